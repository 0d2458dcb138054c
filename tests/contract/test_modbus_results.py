"""Results that a PLC keeps in registers: each taken over once, and losses named."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from linewitness.base.clock import SystemClock
from linewitness.base.errors import DeviceRefused, DeviceUnavailable
from linewitness.devices.base import Gap, Notice, Result, Seen
from linewitness.devices.modbus.driver import ModbusDriver
from linewitness.devices.modbus.options import ModbusOptions
from linewitness.devices.modbus.wire.bus import Buses
from linewitness_simulators.oven.server import OvenServerOptions, RunningOvens, serve

FIELDS = [
    {"id": "serial", "address": 110, "type": "string", "length": 16},
    {"id": "peak", "address": 118, "type": "float32", "unit": "°C", "low": 179, "high": 190},
    {"id": "soak", "address": 120, "type": "uint16", "unit": "s"},
    {"id": "good", "address": 121, "type": "uint16"},
    {"id": "number", "address": 122, "type": "uint16"},
]
ROLES = {"number_field": "number", "identifier_field": "serial", "ok_field": "good"}
HANDSHAKE = {
    "id": "cycle",
    "pattern": "counter",
    "counter": {"address": 100},
    "handshake": 101,
    "fields": FIELDS,
    **ROLES,
}
PLAIN = {key: value for key, value in HANDSHAKE.items() if key != "handshake"}
RING = {
    "id": "cycle",
    "pattern": "ring",
    "counter": {"address": 200},
    "slots": 8,
    "stride": 16,
    "fields": [each | {"address": cast(int, each["address"]) + 100} for each in FIELDS],
    **ROLES,
}
FIFO = {
    "id": "cycle",
    "pattern": "fifo",
    "fifo": 400,
    "handshake": 401,
    "stride": 3,
    "number_field": "number",
    "ok_field": "good",
    "fields": [
        {"id": "number", "address": 0, "type": "uint16"},
        {"id": "peak", "address": 1, "type": "uint16", "scale": "0.1"},
        {"id": "good", "address": 2, "type": "uint16"},
    ],
}


class Remembering:
    """A memory that commits as soon as a test says so."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    async def get(self, key: str) -> str | None:
        return self.values.get(key)

    async def items(self, prefix: str) -> Any:
        return {key: value for key, value in self.values.items() if key.startswith(prefix)}

    def commit(self, observation: Result) -> None:
        self.values |= observation.remember


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[RunningOvens]:
    async with serve(OvenServerOptions(cycle_s=1e9, **settings)) as oven:
        yield oven


def driver_for(oven: RunningOvens, result: dict[str, Any], **settings: Any) -> ModbusDriver:
    options = ModbusOptions(
        id="oven", host="127.0.0.1", port=oven.port, period_ms=10, timeout_s=0.5, results=[result], **settings
    )
    return ModbusDriver(options, clock=SystemClock(), buses=Buses())


async def take(observations: AsyncIterator[Any], count: int) -> list[Any]:
    taken = []
    async with asyncio.timeout(10):
        async for observation in observations:
            taken.append(observation)
            if len(taken) == count:
                return taken
    raise AssertionError("the observations ended")


def numbers(observations: list[Result]) -> list[int]:
    return [int(each.result_id) for each in observations if isinstance(each, Result)]


async def test_a_result_has_its_values_limits_unit_and_verdict() -> None:
    async with served() as oven:
        oven.oven.complete_cycles(1)
        truth = oven.oven.result(1)
        async with driver_for(oven, PLAIN).connect(Remembering()) as session:
            (result,) = await take(session.observations(), 1)
    assert (result.source, result.epoch, result.result_id) == ("oven/cycle", 0, "1")
    assert (result.kind, result.identifier, result.ok) == ("measurement.result", truth.serial, truth.ok)
    peak, soak = result.measured
    assert (peak.field, float(peak.value), peak.unit) == ("peak", round(truth.peak_c, 1), "°C")
    assert (peak.low, peak.high) == ("179", "190")
    assert peak.status == ("ok" if 179 <= truth.peak_c <= 190 else "low" if truth.peak_c < 179 else "high")
    assert (soak.value, soak.status) == (str(truth.soak_s), None)
    assert result.facts == (("good", "1" if truth.ok else "0"),)
    assert result.backfilled
    assert not result.confirmable


async def test_handshake_every_result_is_taken_once_and_confirmed_only_when_told() -> None:
    async with served(handshake=True) as oven:
        memory = Remembering()
        oven.oven.complete_cycles(5)
        async with driver_for(oven, HANDSHAKE).connect(memory) as session:
            observations = session.observations()
            taken = await take(observations, 1)
            polls = oven.requests[1, "holding", 100, 1]
            while oven.requests[1, "holding", 100, 1] < polls + 3:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(observations), 0.05)
                observations = session.observations()
            assert oven.oven.inputs.taken_over == 0
            for _ in range(4):
                memory.commit(taken[-1])
                await session.confirm(taken[-1])
                taken += await take(observations, 1)
    assert numbers(taken) == [1, 2, 3, 4, 5]
    assert oven.oven.inputs.taken_over == 4


async def test_a_crash_between_commit_and_write_back_repeats_only_the_write_back() -> None:
    async with served(handshake=True) as oven:
        memory = Remembering()
        oven.oven.complete_cycles(2)
        driver = driver_for(oven, HANDSHAKE)
        async with driver.connect(memory) as session:
            (first,) = await take(session.observations(), 1)
            memory.commit(first)
        async with driver_for(oven, HANDSHAKE).connect(memory) as session:
            observations = session.observations()
            (seen,) = await take(observations, 1)
            assert isinstance(seen, Seen)
            assert seen.confirmable
            await session.confirm(seen)
            (second,) = await take(observations, 1)
    assert numbers([first, second]) == [1, 2]


async def test_a_crash_before_the_commit_repeats_the_result() -> None:
    async with served(handshake=True) as oven:
        oven.oven.complete_cycles(1)
        for _ in range(2):
            async with driver_for(oven, HANDSHAKE).connect(Remembering()) as session:
                assert numbers(await take(session.observations(), 1)) == [1]


async def test_ring_an_outage_shorter_than_the_ring_loses_nothing() -> None:
    async with served() as oven:
        memory = Remembering()
        driver = driver_for(oven, RING)
        oven.oven.complete_cycles(2)
        async with driver.connect(memory) as session:
            before = await take(session.observations(), 2)
            for each in before:
                memory.commit(each)
        oven.oven.complete_cycles(8)
        async with driver.connect(memory) as session:
            observations = session.observations()
            after = await take(observations, 8)
            oven.oven.complete_cycles(1)
            live = await take(observations, 1)
    assert numbers([*before, *after, *live]) == list(range(1, 12))
    assert [each.identifier for each in after] == [oven.oven.result(n).serial for n in range(3, 11)]
    assert all(each.backfilled for each in after)
    assert not live[0].backfilled


async def test_ring_what_was_overwritten_is_a_gap_with_its_numbers() -> None:
    async with served() as oven:
        memory = Remembering()
        driver = driver_for(oven, RING)
        oven.oven.complete_cycles(1)
        async with driver.connect(memory) as session:
            memory.commit((await take(session.observations(), 1))[0])
        oven.oven.complete_cycles(11)
        async with driver.connect(memory) as session:
            gap, *rest = await take(session.observations(), 9)
    assert isinstance(gap, Gap)
    assert (gap.source, gap.first, gap.last, gap.count) == ("oven/cycle", "2", "4", 3)
    assert numbers(rest) == list(range(5, 13))


async def test_a_counter_that_begins_anew_is_a_new_epoch() -> None:
    async with served() as oven:
        memory = Remembering()
        memory.values["result/cycle"] = "0:500"
        oven.oven.complete_cycles(2)
        async with driver_for(oven, RING).connect(memory) as session:
            notice, first, second = await take(session.observations(), 3)
    assert isinstance(notice, Notice)
    assert notice.kind == "source.epoch"
    assert [(each.epoch, each.result_id) for each in (first, second)] == [(1, "1"), (1, "2")]
    assert second.remember == {"result/cycle": "1:2"}


@pytest.mark.parametrize("rtu", [False, True])
async def test_fifo_queued_results_are_taken_once_and_taken_off_after_the_commit(rtu: Any) -> None:
    async with served(rtu=rtu) as oven:
        memory = Remembering()
        oven.oven.complete_cycles(3)
        transport = "rtu-over-tcp" if rtu else "tcp"
        async with driver_for(oven, FIFO, transport=transport).connect(memory) as session:
            observations = session.observations()
            taken = await take(observations, 3)
            for each in taken:
                memory.commit(each)
                await session.confirm(each)
            assert oven.oven.queue(400) == []
            oven.oven.complete_cycles(1)
            taken += await take(observations, 1)
    assert numbers(taken) == [1, 2, 3, 4]
    assert float(taken[0].measured[0].value) == round(oven.oven.result(1).peak_c, 1)


async def test_results_that_do_not_exist_are_said_once_and_points_go_on() -> None:
    async with served() as oven:
        oven.faults.illegal.append(("holding", 200, 200))
        options = ModbusOptions(
            id="oven",
            host="127.0.0.1",
            port=oven.port,
            period_ms=10,
            results=[RING],
            points=[{"id": "program", "record": "change", "address": 0, "type": "uint16"}],
        )
        async with ModbusDriver(options, clock=SystemClock(), buses=Buses()).connect(
            Remembering()
        ) as session:
            observations = session.observations()
            program, gap = await take(observations, 2)
            oven.oven.inputs.program = 9
            (changed,) = await take(observations, 1)
    assert isinstance(gap, Gap)
    assert "the device has no such register" in gap.reason
    assert (program.value, changed.value) == ("1", "9")


async def test_a_handshake_that_cannot_be_written_is_refused_and_says_where() -> None:
    async with served() as oven:
        oven.oven.complete_cycles(1)
        async with driver_for(oven, HANDSHAKE | {"handshake": 300}).connect(Remembering()) as session:
            observations = session.observations()
            (result,) = await take(observations, 1)
            with pytest.raises(DeviceRefused, match="oven/cycle cannot be confirmed in holding 300"):
                await session.confirm(result)
            with pytest.raises(DeviceRefused):
                await take(observations, 1)


async def test_a_write_back_that_is_not_answered_ends_the_session_and_is_repeated_in_the_next() -> None:
    async with served(handshake=True) as oven:
        memory = Remembering()
        oven.oven.complete_cycles(2)
        driver = driver_for(oven, HANDSHAKE, retries=0)
        async with driver.connect(memory) as session:
            observations = session.observations()
            (first,) = await take(observations, 1)
            memory.commit(first)
            oven.faults.silent.append(("holding", 101, 101))
            with pytest.raises(DeviceUnavailable):
                await session.confirm(first)
            with pytest.raises(DeviceUnavailable):
                await take(observations, 1)
        oven.faults.silent.clear()
        async with driver.connect(memory) as session:
            observations = session.observations()
            (seen,) = await take(observations, 1)
            await session.confirm(seen)
            (second,) = await take(observations, 1)
    assert isinstance(seen, Seen)
    assert numbers([first, second]) == [1, 2]


async def test_a_register_behind_a_gateway_that_loses_the_device_makes_it_unavailable() -> None:
    async with served() as oven, driver_for(oven, RING).connect(Remembering()) as session:
        oven.faults.exceptions[1] = 10
        with pytest.raises(DeviceUnavailable, match="the gateway has no path to the device"):
            await take(session.observations(), 1)
