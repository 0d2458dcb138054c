"""The driver against the bundled oven: blocks, holes, silence, restarts."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from ruamel.yaml import YAML

from linewitness.base.clock import NS_PER_MS, SystemClock, monotonic
from linewitness.base.errors import DeviceUnavailable
from linewitness.devices.base import Gap, Quality, Reading, Signals
from linewitness.devices.modbus.driver import ModbusDriver, ModbusSession
from linewitness.devices.modbus.options import ModbusOptions
from linewitness.devices.modbus.points import ModbusPoint
from linewitness.devices.modbus.polling import rounds
from linewitness.devices.modbus.probe import Span, probe
from linewitness.devices.modbus.wire.bus import Buses
from linewitness_simulators.oven.server import OvenServerOptions, RunningOvens, serve
from support.one_by_one import one_by_one
from support.oven_rig import DOOR, driver_for, options_for
from support.present import present


class NoMemory:
    async def get(self, key: str) -> None:
        return None

    async def items(self, prefix: str) -> Any:
        return {}


SET_POINT = {"id": "set-point", "record": "change", "address": 1, "type": "int16", "scale": "0.1"}
ZONES = [
    {"id": f"zone-{zone}", "record": "telemetry", "table": "input", "address": zone, "type": "int16"}
    for zone in range(4)
]


async def first_that(observations: AsyncIterator[Any], wanted: Callable[..., Any]) -> Any:
    """Return the first observation that is wanted."""
    async with asyncio.timeout(10):
        async for observation in observations:
            if wanted(observation):
                return observation
    raise AssertionError("the observations ended")


async def first_readings(observations: AsyncIterator[Any], count: int) -> dict[str, Reading]:
    found = {}
    async with asyncio.timeout(10):
        async for observation in observations:
            if isinstance(observation, Reading):
                found[observation.point] = observation
                if len(found) == count:
                    return found
    raise AssertionError("the observations ended")


@asynccontextmanager
async def oven_and_observations(
    *points: dict[str, Any], **settings: Any
) -> AsyncIterator[tuple[RunningOvens, ModbusSession, AsyncIterator[Any]]]:
    async with (
        serve(OvenServerOptions()) as oven,
        driver_for(oven, *points, **settings).connect(NoMemory()) as session,
    ):
        yield oven, session, one_by_one(session.observations())


async def test_evidence_is_said_first_and_then_only_when_it_changes() -> None:
    async with oven_and_observations(SET_POINT, DOOR) as (oven, _, observations):
        first = await first_readings(observations, 2)
        assert first["set-point"].value == "180.0"
        assert first["door"].value is False
        made_ns = time.time_ns()
        oven.oven.inputs.set_points[0] = 1855
        changed = await first_that(observations, lambda _: True)
        assert (changed.point, changed.value, changed.quality) == ("set-point", "185.5", Quality.GOOD)
        when = changed.when
        assert when.occurred_from == "poll"
        assert 0 < when.unc_ms <= 200
        assert abs(when.occurred_ns - made_ns) <= when.unc_ms * NS_PER_MS
        assert when.occurred_ns < changed.received.realtime_ns


async def test_telemetry_comes_as_one_block_each_tick() -> None:
    async with oven_and_observations(*ZONES) as (oven, _, observations):
        blocks = [await first_that(observations, lambda each: isinstance(each, Signals)) for _ in range(3)]
        assert all(block.points == tuple(f"zone-{zone}" for zone in range(4)) for block in blocks)
        assert all(len(block.values) == 4 for block in blocks)
        assert oven.requests[1, "input", 0, 4] >= 3
        assert not any(count == 1 and first > 0 for _, _, first, count in oven.requests)


async def test_a_missing_register_is_said_once_with_its_place_and_the_rest_goes_on() -> None:
    missing = {"id": "nothing", "record": "change", "address": 7, "type": "uint16"}
    async with oven_and_observations(SET_POINT, missing) as (oven, _, observations):
        first = await first_readings(observations, 2)
        assert first["set-point"].value == "180.0"
        assert first["nothing"].quality is Quality.BAD
        assert first["nothing"].value is None
        assert first["nothing"].status == (
            "the device has no such register (Modbus exception 2), at holding 7"
        )
        asked = oven.requests[1, "holding", 7, 1]
        oven.oven.inputs.set_points[0] = 1700
        changed = await first_that(observations, lambda _: True)
        assert (changed.point, changed.value) == ("set-point", "170.0")
        assert oven.requests[1, "holding", 7, 1] == asked


async def test_an_exception_is_bad_quality_until_it_is_over() -> None:
    async with oven_and_observations(SET_POINT) as (oven, _, observations):
        await first_readings(observations, 1)
        oven.faults.exceptions[1] = 4
        failed = await first_that(observations, lambda _: True)
        assert (failed.quality, failed.value) == (Quality.BAD, None)
        assert "Modbus exception 4" in failed.status
        del oven.faults.exceptions[1]
        back = await first_that(observations, lambda _: True)
        assert (back.quality, back.value) == (Quality.GOOD, "180.0")


async def test_a_block_without_answer_does_not_take_the_device_down() -> None:
    async with oven_and_observations(SET_POINT, DOOR, retries=0, timeout_s=0.1) as (oven, _, observations):
        await first_readings(observations, 2)
        oven.faults.silent.append(("coil", 0, 9))
        failed = await first_that(observations, lambda _: True)
        assert (failed.point, failed.quality) == ("door", Quality.BAD)
        oven.oven.inputs.set_points[0] = 1700
        changed = await first_that(observations, lambda _: True)
        assert (changed.point, changed.value) == ("set-point", "170.0")


async def test_wrong_transaction_ids_are_never_taken_for_an_answer() -> None:
    async with oven_and_observations(SET_POINT, retries=2) as (oven, _, observations):
        await first_readings(observations, 1)
        oven.faults.wrong_transactions = 1
        oven.oven.inputs.set_points[0] = 1700
        changed = await first_that(observations, lambda _: True)
        assert (changed.value, oven.faults.wrong_transactions) == ("170.0", 0)


async def test_a_dropped_connection_ends_the_session_at_once() -> None:
    async with oven_and_observations(SET_POINT, timeout_s=5) as (oven, _, observations):
        await first_readings(observations, 1)
        begun = monotonic()
        oven.drop()
        with pytest.raises(DeviceUnavailable, match="by the device"):
            await first_that(observations, lambda _: False)
        assert monotonic() - begun < 2


async def test_a_connection_that_drops_during_an_answer_does_not_wait_for_the_timeout() -> None:
    async with oven_and_observations(SET_POINT, timeout_s=8) as (oven, _, observations):
        await first_readings(observations, 1)
        oven.faults.dead_units.add(1)
        served = oven.served
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(until_unavailable(observations))
            while oven.served == served:  # noqa: ASYNC110 - the oven counts, it has no event
                await asyncio.sleep(0.01)
            begun = monotonic()
            oven.drop()
        assert "by the device" in waiting.result()
        assert monotonic() - begun < 2


async def until_unavailable(observations: Any) -> Any:
    try:
        await first_that(observations, lambda _: False)
    except DeviceUnavailable as error:
        return str(error)
    raise AssertionError("the device never went")


async def test_a_silent_device_is_unavailable_and_connect_brings_it_back() -> None:
    async with serve(OvenServerOptions()) as oven:
        driver = driver_for(oven, SET_POINT, retries=0, timeout_s=0.1)
        async with driver.connect(NoMemory()) as session:
            observations = one_by_one(session.observations())
            await first_readings(observations, 1)
            oven.faults.dead_units.add(1)
            with pytest.raises(DeviceUnavailable, match=r"unit 1 at 127\.0\.0\.1:.* no answer within 0\.1 s"):
                await first_that(observations, lambda _: False)
        with pytest.raises(DeviceUnavailable, match=r"no answer within 0\.1 s"):
            async with driver.connect(NoMemory()):
                pass
        oven.faults.dead_units.clear()
        oven.oven.inputs.set_points[0] = 1700
        async with driver.connect(NoMemory()) as session:
            observations = one_by_one(session.observations())
            gap = await first_that(observations, lambda _: True)
            assert isinstance(gap, Gap)
            assert present(gap.first) < present(gap.last)
            changed = await first_that(observations, lambda _: True)
            assert changed.value == "170.0"
            # Nobody knows when it changed while nobody looked: half of the outage at least.
            assert changed.when.unc_ms >= 50


async def test_nobody_listening_is_unavailable_with_advice() -> None:
    async with serve(OvenServerOptions()) as oven:
        driver = driver_for(oven, SET_POINT)
    with pytest.raises(DeviceUnavailable, match="cannot be reached"):
        async with driver.connect(NoMemory()):
            pass


async def test_a_restart_of_the_device_is_survived_by_connecting_again() -> None:
    async with serve(OvenServerOptions()) as oven:
        driver = driver_for(oven, SET_POINT)
        async with driver.connect(NoMemory()) as session:
            observations = one_by_one(session.observations())
            await first_readings(observations, 1)
            await oven.stop()
            with pytest.raises(DeviceUnavailable):
                await first_that(observations, lambda _: False)
        await oven.start()
        async with driver.connect(NoMemory()) as session:
            assert (await first_readings(one_by_one(session.observations()), 1))["set-point"].value == "180.0"


async def test_slow_answers_skip_ticks_and_never_bunch() -> None:
    async with oven_and_observations(*ZONES, timeout_s=1) as (oven, session, observations):
        oven.faults.delay_s = 0.05
        await first_that(observations, lambda _: session._grid.figures.missed >= 4)
        oven.faults.delay_s = 0.0
        served = oven.served
        begun = monotonic()
        for _ in range(5):
            await first_that(observations, lambda _: True)
        assert monotonic() - begun >= 0.06
        assert oven.served - served <= 7


async def test_single_registers_are_asked_one_by_one_where_the_device_needs_it() -> None:
    power = {"id": "power", "record": "change", "table": "input", "address": 6, "type": "float32"}
    async with oven_and_observations(power, one_register=True, pause_ms=5) as (oven, _, observations):
        assert (await first_readings(observations, 1))["power"].value == "12.1"
        assert all(count == 1 for _, _, _, count in oven.requests)


async def test_probe_reads_each_point_once_and_finds_what_exists() -> None:
    async with serve(OvenServerOptions()) as oven:
        missing = {"id": "nothing", "record": "change", "address": 7, "type": "uint16"}
        options = options_for(oven, SET_POINT, missing, forbidden=[{"first": 2, "last": 3}])
        scan = [Span(table="holding", first=0, last=40), Span(table="coil", first=0, last=7)]
        probed = await probe(options, clock=SystemClock(), scan=scan)
        addresses = [(table, address) for table, address, _ in probed.found]
        read = {span[2] + at for span in oven.requests if span[1] == "holding" for at in range(span[3])}
    assert addresses == [
        *(("holding", address) for address in (0, 1, 4, *range(10, 20))),
        ("coil", 0),
        ("coil", 1),
    ]
    assert not read & {2, 3}
    report = probed.report()
    assert "set-point (holding 1): 180.0 [good]" in report
    assert "nothing (holding 7): the device has no such register (Modbus exception 2) [bad]" in report
    found = YAML(typ="safe").load(probed.yaml())["points"]
    assert [ModbusPoint(**each).address for each in found] == [address for _, address in addresses]


async def test_the_oven_runs_as_a_process_with_faults() -> None:
    program = "import typer; from linewitness_simulators.oven.command import command; typer.run(command)"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, "--port", "0", "--units", "1,2", "--dead-units", "2",
        "--illegal", "coil:0-9", stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        line = (await present(process.stdout).readline()).decode()
        assert line.startswith("ready modbus://127.0.0.1:")
        port = int(line.rpartition(":")[2])
        options = ModbusOptions(
            id="oven", host="127.0.0.1", port=port, timeout_s=0.3, retries=0, points=[SET_POINT, DOOR]
        )
        async with ModbusDriver(options, clock=SystemClock(), buses=Buses()).connect(NoMemory()) as session:
            first = await first_readings(one_by_one(session.observations()), 2)
        assert (first["set-point"].value, first["door"].quality) == ("180.0", Quality.BAD)
        dead = ModbusDriver(options.model_copy(update={"device_id": 2}), clock=SystemClock(), buses=Buses())
        with pytest.raises(DeviceUnavailable):
            async with dead.connect(NoMemory()):
                pass
    finally:
        process.terminate()
        assert await process.wait() == 0


async def test_complaint_14_a_device_that_believes_it_is_the_year_2000_poisons_no_time() -> None:
    """What a device keeps as its date is a value like any other; the time of a reading is ours."""
    begun = SystemClock().stamp().realtime_ns
    date = {"id": "device-date", "record": "change", "address": 10, "type": "string", "length": 20}
    async with oven_and_observations(date) as (oven, _, observations):
        oven.oven.inputs.batch = "2000-01-01 00:00:00"
        read = await first_that(observations, lambda each: each.value.startswith("2000"))
    assert begun <= read.when.occurred_ns <= SystemClock().stamp().realtime_ns
    assert read.when.device_time is None


async def test_complaint_12_a_round_is_one_request_for_all_registers_that_lie_together() -> None:
    points = [
        {
            "id": f"input-{address}",
            "record": "telemetry",
            "table": "input",
            "address": address,
            "type": "uint16",
        }
        for address in range(12)
    ]
    async with oven_and_observations(*points) as (oven, session, observations):
        await first_that(observations, lambda _: True)
        before = oven.served
        for _ in range(10):
            block = await first_that(observations, lambda _: True)
            assert len(block.points) == 12
        assert oven.served - before <= 10 + session._grid.figures.missed
        assert oven.requests[1, "input", 0, 12] >= 11


async def test_a_missing_register_that_appears_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "MISSING_RETRY_S", 0.05)
    async with serve(OvenServerOptions()) as oven:
        oven.faults.illegal.append(("holding", 1, 1))
        async with driver_for(oven, SET_POINT).connect(NoMemory()) as session:
            observations = one_by_one(session.observations())
            assert (await first_that(observations, lambda _: True)).quality is Quality.BAD
            oven.faults.illegal.clear()
            assert (await first_that(observations, lambda _: True)).value == "180.0"


async def test_a_block_that_is_split_later_does_not_say_its_good_points_again() -> None:
    program = {"id": "program", "record": "change", "address": 0, "type": "uint16"}
    async with oven_and_observations(program, SET_POINT) as (oven, _, observations):
        await first_readings(observations, 2)
        oven.faults.illegal.append(("holding", 0, 0))
        failed = await first_that(observations, lambda _: True)
        assert (failed.point, failed.quality) == ("program", Quality.BAD)
        oven.oven.inputs.set_points[0] = 1700
        changed = await first_that(observations, lambda _: True)
        assert (changed.point, changed.value) == ("set-point", "170.0")
