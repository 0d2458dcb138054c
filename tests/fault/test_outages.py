"""Brokers, devices and connections that go away under load: the rest goes on, and everything arrives."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from linewitness.base.clock import monotonic
from linewitness.demo.plant import Plant
from linewitness.testing import proxy
from linewitness_selftest.outcome import FaultOutcome
from support.outcomes import kept
from support.plants import Load, at_work, change, held, new_plant, running_plant, said, settle
from support.waiting import until

#: A gateway that waited for a broker or a device that does not answer would wait for seconds.
LONGEST_PAUSE_S = 4.0


class Polls:
    """How the oven is asked: the times of its requests, and what a request costs the gateway.

    A rate says little on a machine that has other work: what is compared is processor time.
    """

    def __init__(self, plant: Plant) -> None:
        """Note the requests from now on."""
        self._gateway = psutil.Process(plant.gateway.pid)
        self._times: list[float] = []
        oven: Any = plant.devices.oven
        answer = oven.answer

        def noting(*arguments: Any) -> Any:
            self._times.append(monotonic())
            return answer(*arguments)

        oven.answer = noting
        self.begin()

    def begin(self) -> None:
        """Begin to count anew."""
        self._used_s = self._cpu_s()
        self._times[:] = [monotonic()]

    @property
    def count(self) -> int:
        return len(self._times) - 1

    @property
    def longest_pause_s(self) -> float:
        return max(b - a for a, b in itertools.pairwise([*self._times, monotonic()]))

    @property
    def cost_ms(self) -> float:
        """Processor time of the gateway for each request."""
        return (self._cpu_s() - self._used_s) * 1000 / self.count

    def _cpu_s(self) -> float:
        used = self._gateway.cpu_times()
        return float(used.user + used.system)


async def broker_away(folder: Path, seconds: float) -> Any:
    """Take the broker away under load; the oven is asked all the time."""
    async with running_plant(folder) as plant:
        load = Load(plant)
        polls = Polls(plant)
        async with load.going_on():
            began = monotonic()
            await until(lambda: monotonic() > began + 3, "three seconds of work")
            before = polls.cost_ms
            await plant.broker.stop()
            polls.begin()
            began = monotonic()
            await until(lambda: monotonic() > began + seconds, "the outage", timeout_s=seconds + 10)
            longest, during = polls.longest_pause_s, polls.cost_ms
            await plant.broker.start()
            steps = load.steps
            await until(lambda: load.steps > steps + 20, "work after the outage")
        await settle(plant, load.made, timeout_s=90)
        found = kept(f"broker away for {seconds} s", plant, load.made)
        numbers = [int(r["resource"]["id"].rpartition("/")[2]) for r in held(plant).kind("tightening.result")]
        assert numbers == sorted(numbers), "in order"
    print(
        f"\nbroker away {seconds} s: {len(load.made)} made, all stored; a poll costs {before:.1f} ms before, "
        f"{during:.1f} ms during; longest pause {longest * 1000:.0f} ms"
    )
    assert longest < LONGEST_PAUSE_S
    assert during < 1.5 * before
    return found, len(load.made)


async def test_broker_away_for_a_while_delays_and_loses_nothing(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    outcome, _ = await broker_away(tmp_path, 6)
    account(outcome)


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_broker_away_for_a_minute_delays_and_loses_nothing(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    outcome, made = await broker_away(tmp_path, 60)
    account(outcome)
    assert made > 60 * 5, "work went on in the outage: with the changes of units, 9 results a second at most"


@asynccontextmanager
async def plant_with_cables(folder: Path) -> AsyncIterator[Any]:
    """A running plant whose tool, reader, press and broker are reached through cables that can be cut."""
    async with AsyncExitStack() as stack:
        plant = await stack.enter_async_context(new_plant(folder))
        devices = plant.devices
        cables = {}
        for name, port in {
            "torque": devices.torque.port,
            "scanner": devices.scanner.port,
            "press": devices.press.port,
            "broker": plant.broker.port,
        }.items():
            cables[name] = await stack.enter_async_context(proxy(port))
            change(
                plant,
                f":{' ' * (name in ('torque', 'scanner'))}{port}\n",
                f":{' ' * (name in ('torque', 'scanner'))}{cables[name].port}\n",
            )
        await plant.store.start()
        await plant.gateway.start()
        await at_work(plant)
        await plant.receipted(1)
        yield plant, cables


@pytest.mark.parametrize(
    "dead",
    [
        "torque",
        pytest.param("scanner", marks=pytest.mark.slow),
        pytest.param("press", marks=pytest.mark.slow),
    ],
)
async def test_dead_device_does_not_slow_down_the_others(tmp_path: Path, dead: Any) -> None:
    """Its machine is gone: connections are accepted, or stay open, and nothing is answered."""
    async with plant_with_cables(tmp_path) as (plant, cables):
        polls = Polls(plant)
        await until(lambda: polls.count > 60, "polls")
        alive = polls.cost_ms
        cables[dead].silent = True
        polls.begin()
        await until(lambda: polls.count > 160, "polls while one device is dead")
        longest, beside_dead = polls.longest_pause_s, polls.cost_ms
        print(
            f"\n{dead} dead: a poll of the oven costs {alive:.1f} ms, then {beside_dead:.1f} ms; "
            f"longest pause {longest * 1000:.0f} ms"
        )
        assert longest < LONGEST_PAUSE_S
        assert beside_dead < 1.5 * alive
        cables[dead].silent = False


async def test_half_open_connection_to_the_broker_is_noticed_and_replaced(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    async with plant_with_cables(tmp_path) as (plant, cables):
        load = Load(plant)
        async with load.going_on():
            await until(lambda: load.steps > 10)
            cables["broker"].silent = True
            await asyncio.sleep(3)
            connections = cables["broker"].connections
            cables["broker"].silent = False
            await until(lambda: cables["broker"].connections > connections, "a new connection")
        await settle(plant, load.made)
        account(kept("broker silent, then the connection broken", plant, load.made))


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_silent_broker_is_given_up_without_its_help(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    """Nobody resets the connection: the gateway's own timeouts must find out."""
    async with plant_with_cables(tmp_path) as (plant, cables):
        load = Load(plant)
        async with load.going_on():
            await until(lambda: load.steps > 10)
            cables["broker"].silent = True
            await until(lambda: "uplink lost" in said(plant), "the loss to be noticed", timeout_s=90)
            cables["broker"].silent = False
        await settle(plant, load.made)
        account(kept("broker silent until we notice", plant, load.made))


@pytest.mark.slow
async def test_tool_behind_a_half_open_connection_comes_back_without_loss(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    async with plant_with_cables(tmp_path) as (plant, cables):
        load = Load(plant)
        async with load.going_on():
            await until(lambda: load.steps > 10)
            cables["torque"].silent = True
            await until(
                lambda: "wrench-10" in said(plant).partition("device lost")[2], "the loss", timeout_s=60
            )
            cables["torque"].silent = False
            await until(lambda: plant.devices.torque.subscribed() > 0, "the tool")
            steps = load.steps
            await until(lambda: load.steps > steps + 10)
        await settle(plant, load.made)
        account(kept("tool silent until we notice", plant, load.made))
