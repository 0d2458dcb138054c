"""All faults at once, and what the records say of each result: its unit, its operator, its program."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.clock import monotonic
from linewitness.demo.plant import Plant
from linewitness_selftest.outcome import FaultOutcome
from linewitness_simulators.scanner.server import RunningScanner, ScannerSimulation
from linewitness_simulators.scanner.server import serve as serve_scanner
from support.forked import forked_gateway
from support.plants import Account, Load, at_work, change, held_tightenings, new_plant, settle
from support.plants import account as ledgers_of
from support.waiting import until

SEED = 21
FEW = 60
#: `LINEWITNESS_RESULTS=10000 make fault` makes that many under all faults; it takes about half an hour.
MANY = int(os.environ.get("LINEWITNESS_RESULTS", "1000"))

_BADGES = """
  - id: badge-10
    driver: scanner
    host: 127.0.0.1
    port: {port}

"""


@dataclass
class StationLoad(Load):
    """Work at a station whose people change with each third unit, and whose program with each second."""

    badges: RunningScanner = field(kw_only=True)

    async def step(self) -> None:
        torque = self.plant.devices.torque
        if torque.clients or torque.made_with:
            await super().step()

    async def next_unit(self) -> str:
        serial = await super().next_unit()
        torque = self.plant.devices.torque
        programs = [each.id for each in torque.options.parameter_sets]
        torque.controller.select_parameter_set(programs[self.units // 2 % len(programs)])
        if self.units % 3 == 1:
            await self._next_operator(f"B{self.units:04d}")
        return serial

    async def _next_operator(self, badge: str) -> None:
        """The one before goes without signing off; the next one shows a badge."""
        self.plant.devices.torque.workplace.operator = badge
        await self.badges.scan(badge)
        await asyncio.sleep(0.3)


@dataclass
class Faults:
    """Everything that goes wrong on such a line, chosen at random from a seed."""

    plant: Plant
    gateway: Any
    badges: RunningScanner
    chance: random.Random
    met: Counter[str] = field(default_factory=Counter)

    async def one(self) -> None:
        """Let one thing go wrong, and wait until the gateway runs again."""
        kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "gateway killed": self._gateway_killed,
            "gateway stood still": self._gateway_frozen,
            "store killed": self._store_killed,
            "broker killed": self._broker_killed,
            "reader unplugged": self._reader_unplugged,
            "reader reads nothing": self._nothing_read,
            "badge reader unplugged": self._badges_unplugged,
            "tool's connection broken": self._tool_dropped,
        }
        kind = self.chance.choice(list(kinds))
        self.met[kind] += 1
        await kinds[kind]()
        await asyncio.sleep(self.chance.uniform(0.1, 1.5))

    async def _gateway_killed(self) -> None:
        await self.gateway.kill()
        await asyncio.sleep(self.chance.uniform(0, 1.5))
        await self.gateway.start()

    async def _gateway_frozen(self) -> None:
        os.kill(self.gateway.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(self.chance.uniform(0.05, 3))
        finally:
            os.kill(self.gateway.pid, signal.SIGCONT)

    async def _store_killed(self) -> None:
        await self.plant.store.kill()
        await self.plant.store.start()

    async def _broker_killed(self) -> None:
        await self.plant.broker.stop()
        await asyncio.sleep(self.chance.uniform(0, 1.5))
        await self.plant.broker.start()

    async def _reader_unplugged(self) -> None:
        self.plant.devices.scanner.hang_up()

    async def _nothing_read(self) -> None:
        await self.plant.devices.scanner.garbage(16)
        await self.plant.devices.scanner.send(b"\r\n")

    async def _badges_unplugged(self) -> None:
        self.badges.hang_up()

    async def _tool_dropped(self) -> None:
        self.plant.devices.torque.drop()


@asynccontextmanager
async def station(folder: Path) -> AsyncIterator[tuple[Plant, RunningScanner]]:
    """Start the plant with a reader of badges at the station of the tool."""
    async with new_plant(folder) as plant, serve_scanner(ScannerSimulation()) as badges:
        change(plant, "devices: [reader-10, wrench-10]", "devices: [reader-10, badge-10, wrench-10]")
        change(plant, '{scanner: reader-10, pattern: "OP[0-9]+"}', "{scanner: badge-10}")
        change(plant, "\n  - id: oven-10\n", f"{_BADGES.format(port=badges.port)}  - id: oven-10\n")
        change(plant, "    start_after: 0 ", "    back_fill_per_s: 50\n    start_after: 0 ")
        yield plant, badges


async def all_at_once(folder: Path, *, results: int, seed: int) -> tuple[Account, Counter[str], float]:
    """Work under faults until so many results are made; then let all of them arrive."""
    began = monotonic()
    async with station(folder) as (plant, badges), forked_gateway(plant) as gateway:
        await plant.store.start()
        await gateway.start()
        await at_work(plant)
        load = StationLoad(plant, period_s=0.1, changeover_s=0.6, badges=badges)
        faults = Faults(plant, gateway, badges, random.Random(seed))
        async with load.going_on():
            while len(load.made) < results:
                await faults.one()
            await at_work(plant)
            units = load.units
            await until(lambda: load.units > units + 2, "units after the last fault")
        await until(lambda: load.made <= held_tightenings(plant), "all in the store", timeout_s=300)
        await settle(plant, load.made, timeout_s=120)
        return ledgers_of(plant, load.made), faults.met, monotonic() - began


def outcome(found: Account, met: Counter[str], seconds: float) -> FaultOutcome:
    print(*found.meaning.wrong, sep="\n")
    print(f"\n{found.made} results, {met.total()} faults {dict(met)}, {seconds:.0f} s: {found.meaning}")
    return FaultOutcome(
        fault="all faults at once: the meaning of each result",
        injected=met.total(),
        survived=met.total(),
        lost=len(found.lost) + len(found.meaning.wrong),
        duplicated=len(found.duplicated),
        note=str(found.meaning),
    )


async def test_a_few_results_under_all_faults_stand_under_no_wrong_unit(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    found, met, seconds = await all_at_once(tmp_path, results=FEW, seed=SEED)
    account(outcome(found, met, seconds))
    found.check()
    assert found.meaning.right > 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_many_results_under_all_faults_stand_under_no_wrong_unit(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    found, met, seconds = await all_at_once(tmp_path, results=MANY, seed=SEED + 1)
    account(outcome(found, met, seconds))
    found.check()
    # With a fault each second, most results are delayed, fetched afterwards, or without a reader.
    assert found.meaning.right > found.made / 20
