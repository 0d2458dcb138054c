"""Brokers, devices and connections that go away under load: the rest goes on, and everything arrives."""

import asyncio
import itertools
import statistics
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.clock import monotonic
from linewitness.testing import proxy
from linewitness_selftest.outcome import FaultOutcome
from support.outcomes import kept
from support.plants import Load, at_work, change, held, new_plant, running_plant, said, settle
from support.waiting import until


async def broker_away(folder: Path, seconds: float) -> Any:
    """Take the broker away under load; return how often the oven was asked meanwhile, and before."""
    async with running_plant(folder) as plant:
        oven = plant.devices.oven
        load = Load(plant)
        async with load.going_on():
            began, served = monotonic(), oven.served
            await until(lambda: monotonic() > began + 3, "three seconds of work")
            before = (oven.served - served) / (monotonic() - began)
            await plant.broker.stop()
            began, served = monotonic(), oven.served
            await until(lambda: monotonic() > began + seconds, "the outage", timeout_s=seconds + 10)
            during = (oven.served - served) / (monotonic() - began)
            await plant.broker.start()
            steps = load.steps
            await until(lambda: load.steps > steps + 20, "work after the outage")
        await settle(plant, load.made, timeout_s=90)
        found = kept(f"broker away for {seconds} s", plant, load.made)
        numbers = [int(r["resource"]["id"].rpartition("/")[2]) for r in held(plant).kind("tightening.result")]
        assert numbers == sorted(numbers), "in order"
    print(
        f"\nbroker away {seconds} s: {len(load.made)} made, all stored; polls a second {before:.1f} before, "
        f"{during:.1f} during"
    )
    assert during > 0.9 * before
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
    assert made > 600


def intervals_of(oven: Any) -> Any:
    """Note the times between the oven's requests from now on."""
    times = []
    answer = oven.answer

    def noting(*arguments: Any) -> Any:
        times.append(monotonic())
        return answer(*arguments)

    oven.answer = noting
    return times


def intervals(times: list[float]) -> Any:
    """Return the median and the worst of twenty, in seconds."""
    # The points of one round follow each other at once; the rounds are what is measured.
    rounds = [one for previous, one in zip([0, *times], times, strict=False) if one - previous > 0.03]
    found = [b - a for a, b in itertools.pairwise(rounds)]
    return statistics.median(found), statistics.quantiles(found, n=20)[-1]


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
        times = intervals_of(plant.devices.oven)
        await until(lambda: len(times) > 60, "polls")
        alive, worst_alive = intervals(times)
        cables[dead].silent = True
        times.clear()
        await until(lambda: len(times) > 160, "polls while one device is dead")
        without, worst = intervals(times)
        print(
            f"\n{dead} dead: the oven's median interval {alive * 1000:.1f} ms, then {without * 1000:.1f} ms; "
            f"worst of twenty {worst_alive * 1000:.1f} ms, then {worst * 1000:.1f} ms"
        )
        assert without < alive * 1.1
        assert worst < worst_alive * 1.5
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
