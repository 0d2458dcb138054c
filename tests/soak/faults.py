"""What goes wrong during a soak: seeded, one after the other in three loops that overlap."""

import asyncio
import csv
import os
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from linewitness.base.clock import monotonic
from soak.line import Line

Fault = Callable[[Line, random.Random], Awaitable[None]]

DEVICES = ("torque", "scanner", "press", "oven", "scale")
#: A gateway that was started has read its YAML after so many seconds.
READS_YAML_S = 5.0
#: How long faults last, in seconds: mostly short, sometimes long enough for every time-out on the way.
SHORT, LONG = (0.2, 6.0), (20.0, 45.0)


def some_s(chance: random.Random) -> float:
    return chance.uniform(*(LONG if chance.random() < 0.12 else SHORT))


def cable_cut(*names: str) -> Fault:
    async def cut(line: Line, chance: random.Random) -> None:
        line.cables[chance.choice(names)].drop()

    return cut


def cable_out(*names: str) -> Fault:
    async def out(line: Line, chance: random.Random) -> None:
        cable = line.cables[chance.choice(names)]
        cable.pull_out()
        try:
            await line.lasting(some_s(chance))
        finally:
            await cable.plug_in()

    return out


def half_open(*names: str) -> Fault:
    async def silent(line: Line, chance: random.Random) -> None:
        cable = line.cables[chance.choice(names)]
        cable.silent = True
        try:
            await line.lasting(some_s(chance))
        finally:
            cable.silent = False

    return silent


def slow(*names: str) -> Fault:
    async def delayed(line: Line, chance: random.Random) -> None:
        cable = line.cables[chance.choice(names)]
        cable.delay_s = chance.uniform(0.02, 0.4)
        try:
            await line.lasting(some_s(chance))
        finally:
            cable.delay_s = 0.0

    return delayed


async def broker_killed(line: Line, chance: random.Random) -> None:
    await cast(Any, line.plant.broker).kill()
    await line.lasting(some_s(chance))
    await line.plant.broker.start()


async def broker_restarted(line: Line, chance: random.Random) -> None:
    await line.plant.broker.stop()
    await line.lasting(some_s(chance))
    await line.plant.broker.start()


async def broker_frozen(line: Line, chance: random.Random) -> None:
    cast(Any, line.plant.broker).frozen(wanted=True)
    try:
        await line.lasting(some_s(chance))
    finally:
        cast(Any, line.plant.broker).frozen(wanted=False)


def process_ended(name: str, *, killed: bool) -> Fault:
    async def ended(line: Line, chance: random.Random) -> None:
        if name == "store":
            await end_and_start(line, chance)
            return
        async with line.yaml:
            await end_and_start(line, chance)
            await line.lasting(READS_YAML_S)

    async def end_and_start(line: Line, chance: random.Random) -> None:
        process = getattr(line.plant, name)
        line.taken.add(name)
        try:
            code = await (process.kill() if killed else process.stop())
            if not killed and code != 0:
                raise AssertionError(f"{name} ended with {code} when asked to stop")
            if name == "store":
                await line.lasting(some_s(chance))
        finally:
            await process.start()
            line.taken.discard(name)

    return ended


async def controller_restarted(line: Line, chance: random.Random) -> None:
    await line.plant.devices.torque.restart(down_s=chance.uniform(0, 5))


async def controller_breaks_after_results(line: Line, chance: random.Random) -> None:
    line.plant.devices.torque.faults.drop_after_push = chance.randint(1, 3)


async def press_restarted(line: Line, chance: random.Random) -> None:
    await line.plant.devices.press.switch_off()
    await asyncio.sleep(chance.uniform(0, 5))
    await line.plant.devices.press.switch_on()


async def press_subscriptions_die(line: Line, _chance: random.Random) -> None:
    line.plant.devices.press.silence()


async def oven_restarted(line: Line, chance: random.Random) -> None:
    await line.plant.devices.oven.stop()
    await line.lasting(chance.uniform(0, 5))
    await line.plant.devices.oven.start()


async def reader_hangs_up(line: Line, _chance: random.Random) -> None:
    line.plant.devices.scanner.hang_up()


async def scale_switched(line: Line, _chance: random.Random) -> None:
    line.scale.power_cycle()


async def clock_source_away(line: Line, chance: random.Random) -> None:
    line.ntp.device.loss = 1.0
    await line.lasting(chance.uniform(10, 40))
    line.ntp.device.loss = 0.0


async def anchors_away(line: Line, chance: random.Random) -> None:
    """Take the write-once medium out."""
    folder, aside = line.plant.folder / "anchors", line.plant.folder / "anchors-away"
    folder.rename(aside)
    await line.lasting(chance.uniform(20, 60))
    aside.rename(folder)


async def reloaded(line: Line, chance: random.Random) -> None:
    """Change the oven's rhythm, or add a second reader and take it away again, by SIGHUP."""
    file = line.plant.line_file
    text = file.read_text(encoding="utf-8")
    extra = (
        f"\n  - {{id: reader-20, driver: scanner, host: 127.0.0.1, port: {line.cables['scanner'].port}}}\n"
    )
    if chance.random() < 0.5:
        text = text.replace(extra, "") if extra in text else text + extra
    else:
        old, new = ("period_ms: 250", "period_ms: 300")
        text = text.replace(old, new) if old in text else text.replace(new, old)
    file.write_text(text, encoding="utf-8")
    _hang_up(line)


async def reloaded_wrongly(line: Line, _chance: random.Random) -> None:
    file = line.plant.line_file
    async with line.yaml:
        text = file.read_text(encoding="utf-8")
        file.write_text(text + "\n  - {id: nonsense, driver: crystal-ball}\n", encoding="utf-8")
        _hang_up(line)
        await asyncio.sleep(5)
        file.write_text(text, encoding="utf-8")


def _hang_up(line: Line) -> None:
    if line.plant.gateway.running:
        os.kill(line.plant.gateway.pid, signal.SIGHUP)


AT_DEVICES: dict[str, Fault] = {
    "device cable cut": cable_cut(*DEVICES),
    "device cable out": cable_out(*DEVICES),
    "device half-open": half_open(*DEVICES),
    "device slow": slow(*DEVICES),
    "controller restarted": controller_restarted,
    "controller breaks after results": controller_breaks_after_results,
    "press restarted": press_restarted,
    "press subscriptions die": press_subscriptions_die,
    "oven restarted": oven_restarted,
    "reader hangs up": reader_hangs_up,
    "scale switched": scale_switched,
}
AT_THE_UPLINK: dict[str, Fault] = {
    "uplink cut": cable_cut("uplink", "store"),
    "uplink out": cable_out("uplink", "store"),
    "uplink half-open": half_open("uplink", "store"),
    "uplink slow": slow("uplink", "store"),
    "broker killed": broker_killed,
    "broker restarted": broker_restarted,
    "broker frozen": broker_frozen,
    "store killed": process_ended("store", killed=True),
    "store restarted": process_ended("store", killed=False),
}
ASIDE: dict[str, Fault] = {
    "reloaded": reloaded,
    "reloaded wrongly": reloaded_wrongly,
    "clock source away": clock_source_away,
    "anchors away": anchors_away,
}
AT_THE_GATEWAY: dict[str, Fault] = {
    "gateway killed": process_ended("gateway", killed=True),
    "gateway restarted": process_ended("gateway", killed=False),
}


class Faults:
    """The loops, and the account of what they did."""

    def __init__(self, line: Line, seed: int, file: Path) -> None:
        self._line = line
        self._seed = seed
        self._file = file
        self._began = monotonic()
        self.counts: Counter[str] = Counter()
        self.failed: list[str] = []

    async def run(self, faults: dict[str, Fault], pause_s: tuple[float, float], until: asyncio.Event) -> None:
        """Let one of these go wrong after the other until told otherwise; every one heals in the end."""
        names = sorted(faults)
        chance = random.Random(f"{self._seed} {names}")
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(chance.uniform(*pause_s)):
                    await until.wait()
            if until.is_set():
                return
            await self._inject(chance.choice(names), faults, chance)

    async def _inject(self, name: str, faults: dict[str, Fault], chance: random.Random) -> None:
        began = monotonic()
        said = ""
        try:
            await faults[name](self._line, chance)
        except (OSError, RuntimeError, AssertionError) as error:
            said = f"{type(error).__name__}: {error}"
            self.failed.append(f"{name}: {said}")
        self.counts[name] += 1
        with self._file.open("a", newline="", encoding="utf-8") as rows:
            row = (f"{began - self._began:.1f}", name, f"{monotonic() - began:.1f}", said)
            csv.writer(rows).writerow(row)
