"""The press as a process, and against a client that is not our driver."""

import asyncio
import contextlib
import random
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from linewitness.base.errors import DeviceUnavailable
from linewitness.devices.base import Gap, Signals
from linewitness.devices.opcua.backlog import Delivery, Dropped
from linewitness.devices.opcua.connection.wire import Client, UaStatusCodeError
from linewitness_simulators.press.device import Press
from linewitness_simulators.press.server import PressSimulation, serve
from support.opcua_rig import CLOCK, listening, of_type, options, point, reading
from support.present import present
from support.waiting import until


@contextlib.asynccontextmanager
async def started(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "linewitness", "simulate", "press", "--port", "0", *arguments),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(120):
            line = (await present(process.stdout).readline()).decode()
        yield process, line
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_command_says_ready_serves_and_ends_on_sigterm() -> None:
    async with started("--cycle", "0.5", "--tick", "0.05", "--missing", "Running") as (process, line):
        word, url = line.split()
        assert word == "ready"
        async with listening(options(url, point("Force"), point("Running"))) as ear:
            assert (await ear.next()).source == "running"
            await ear.first(lambda one: one.value != "0")
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            assert await process.wait() == 0


@pytest.mark.parametrize(
    ("fault", "words"), [("--restart-every", "ended|broke|reached|answer"), ("--silent-every", "silent")]
)
async def test_fault_from_the_command_line_ends_the_session(fault: str, words: str) -> None:
    async with (
        started(fault, "1.5") as (_, line),
        listening(options(line.split()[1], point("Force"), silence_s=1, timeout_s=1)) as ear,
    ):
        with pytest.raises(DeviceUnavailable, match=words):
            await ear.end()


async def test_overflow_from_the_command_line_is_a_gap() -> None:
    async with (
        started("--overflow-every", "0.5") as (_, line),
        listening(options(line.split()[1], point("Force"))) as ear,
    ):
        assert (await ear.first(of_type(Gap))).source == "force"


def test_same_seed_same_parts_and_another_seed_others() -> None:
    parts = [Press(seed=seed, cycle_s=4).part(9, 125.0) for seed in (1, 1, 2)]
    assert parts[0] == parts[1]
    assert parts[0] != parts[2]


def test_press_is_a_function_of_time() -> None:
    press = Press(seed=3, cycle_s=4)
    moments = [number * 0.37 for number in range(50)]
    shuffled = random.Random(1).sample(moments, k=len(moments))
    assert {at: press.at(at, 125.0) for at in shuffled} == {at: press.at(at, 125.0) for at in moments}
    assert max(press.at(at, 125.0).force_kn for at in moments) > 10
    assert press.at(41.0, 125.0).cycle == 10


async def test_another_client_reads_writes_and_is_counted() -> None:
    async with serve(PressSimulation(tick_s=0)) as press, Client(press.url) as client:
        node = client.get_node("ns=2;s=Press.Holding")
        await node.write_value(140.0)
        assert await node.read_value() == 140.0
        assert press.writes == {"Holding": 1}
        with pytest.raises(UaStatusCodeError):
            await client.get_node("ns=2;s=Press.Force").write_value(1.0)


async def test_set_point_survives_a_restart() -> None:
    async with serve(PressSimulation(tick_s=0)) as press:
        await press.set("Holding", 133.0)
        await press.restart()
        async with listening(options(press, point("Holding"))) as ear:
            await ear.first(reading("holding", "133"))


async def test_slow_wire_delays_and_the_driver_bears_it() -> None:
    async with serve(PressSimulation(tick_s=0)) as press:
        press.wire.delay_s = 0.05
        async with listening(options(press, point("Holding"))) as ear:
            await ear.first(reading("holding"))
            began = CLOCK.stamp().boottime_ns
            await press.set("Holding", 126.0)
            await ear.first(reading("holding", "126"))
            assert CLOCK.stamp().boottime_ns - began > 50_000_000


async def test_thousand_signals_at_each_tick_arrive_complete() -> None:
    simulation = PressSimulation(tick_s=0.05, extra=1000)
    async with serve(simulation) as press:
        points = [point(f"Signal{number}", record="telemetry") for number in range(1000)]
        async with listening(options(press, *points, silence_s=10, timeout_s=10)) as ear:
            count = 0
            while count < 10_000:
                found = await ear.first(of_type(cast(Any, Signals | Gap)))
                assert isinstance(found, Signals)
                count += len(found.points)


async def test_driver_that_is_not_asked_for_more_drops_with_a_gap_and_goes_on() -> None:
    async with (
        serve(PressSimulation(tick_s=0)) as press,
        listening(options(press, point("Program", queue_size=5000), buffer=1000)) as ear,
    ):
        await ear.first(reading("program"))
        for number in range(4):
            for step in range(400):
                await press.set("Program", number * 400 + step + 2)
            await asyncio.sleep(0.3)  # nobody asks for observations, while deliveries go on
        await press.set("Program", 9999)
        await ear.first(reading("program", "9999"))
        lost = [one.count for one in ear.heard if isinstance(one, Gap)]
        kept = len(ear.heard) - len(lost) - len(["the first", "the last"])
        assert lost
        assert kept + sum(cast(Any, lost)) == 1600


def waiting(session: Any) -> tuple[int, int]:
    """Return how many values of points wait, and how many were dropped, in a session that nobody asks."""
    held = session._source.waiting()
    kept = sum(each.below(2) for each in held if isinstance(each, Delivery))
    return kept, sum(each.count for each in held if isinstance(each, Dropped))


async def test_the_last_value_of_a_point_is_read_when_its_change_was_dropped() -> None:
    async with (
        serve(PressSimulation(tick_s=0)) as press,
        listening(options(press, point("Program", queue_size=5000), point("Holding"), buffer=1000)) as ear,
    ):
        await ear.first(reading("holding"))

        async def lose(name: str, value: float) -> bool:
            """Set a point, wait until that has arrived, and return whether it was dropped."""
            kept, lost = waiting(ear.session)
            await press.set(name, value)
            await until(lambda: sum(waiting(ear.session)) > kept + lost)
            return waiting(ear.session)[1] > lost

        for program in range(1000):
            await press.set("Program", 2 + program)
        program, holding = 1002, 200
        while not await lose("Program", program):
            program += 1
        while not await lose("Holding", holding):
            holding += 1
        await ear.first(of_type(Gap))
        assert ear.session.known_until is None, "values may have been lost"
        await ear.first(reading("program", str(program)))
        await ear.first(reading("holding", str(holding)))
        quiet = asyncio.ensure_future(ear.end())
        await until(lambda: ear.session.known_until is not None)
        assert not quiet.done(), "each value is said once"
        quiet.cancel()
