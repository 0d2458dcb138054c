"""What the OPC UA driver says about the time in which nobody listened."""

from typing import Any

import pytest

from linewitness.base.clock import from_rfc3339
from linewitness.base.errors import DeviceUnavailable
from linewitness.devices.base import Gap, Observation, Reading, Signals
from linewitness.devices.opcua.decoding.times import moment_of
from linewitness.devices.opcua.driver import OpcUaDriver as Driver
from linewitness_simulators.press.server import PressSimulation, serve
from support.opcua_rig import CLOCK, Memory, listening, listening_again, of_type, options, point, reading
from support.present import present

KEEPING = PressSimulation(tick_s=0, history=True)
STILL = PressSimulation(tick_s=0)


def values(heard: list[Reading], name: str) -> list[Any]:
    return [one.value for one in heard if isinstance(one, Reading) and one.point == name]


async def test_complaint_11_history_fills_the_outage_in_order_and_without_duplicates() -> None:
    async with serve(KEEPING) as press:
        driver, memory = Driver(options(press, point("Holding"), point("Program")), clock=CLOCK), Memory()
        async with listening_again(driver, memory) as ear:
            await ear.first(reading("program", "1"))
            await press.set("Holding", 101.0)
            await ear.first(reading("holding", "101"))
            press.wire.refuse = True
            press.wire.cut()
            with pytest.raises(DeviceUnavailable):
                await ear.end()
        for number in (102.0, 103.0, 104.0):
            await press.set("Holding", number)
        press.wire.refuse = False
        async with listening_again(driver, memory) as ear:
            await ear.first(reading("holding", "104"))
            await press.set("Holding", 105.0)
            await ear.first(reading("holding", "105"))
            assert values(ear.heard, "holding") == ["102", "103", "104", "105"]
            assert [one.backfilled for one in ear.heard if one.point == "holding"] == [True] * 3 + [False]
            assert all(one.when.occurred_from == "device" for one in ear.heard if one.backfilled)
            assert not [one for one in ear.heard if isinstance(one, Gap)]


async def test_history_is_read_from_what_the_journal_committed_after_a_crash() -> None:
    async with serve(KEEPING) as press:
        settings, memory = options(press, point("Holding")), Memory()
        async with listening(settings, memory) as ear:
            await ear.next()
        before = dict(memory.kept)
        async with listening(settings, memory) as ear:
            await press.set("Holding", 111.0)
            await ear.first(reading("holding", "111"))
        # The reading of 111 never reached the journal: to a new process it is news again.
        memory.kept = before
        await press.set("Holding", 112.0)
        async with listening(settings, memory) as ear:
            await ear.first(reading("holding", "112"))
            assert values(ear.heard, "holding") == ["111", "112"]
            assert ear.heard[-1].backfilled


async def test_what_is_still_on_its_way_to_the_journal_is_not_told_again_after_a_reconnect() -> None:
    class Slow(Memory):
        """The journal of a gateway that committed the first value and no other yet."""

        def keep(self, observation: Observation) -> None:
            if not self.kept:
                super().keep(observation)

    async with serve(KEEPING) as press:
        driver, memory = Driver(options(press, point("Holding")), clock=CLOCK), Slow()
        async with listening_again(driver, memory) as ear:
            await ear.next()
            await press.set("Holding", 111.0)
            await ear.first(reading("holding", "111"))
        await press.set("Holding", 112.0)
        async with listening_again(driver, memory) as ear:
            await ear.first(reading("holding", "112"))
            assert values(ear.heard, "holding") == ["112"]


async def test_history_is_read_page_after_page() -> None:
    async with serve(KEEPING) as press:
        settings, memory = options(press, point("Program")), Memory()
        async with listening(settings, memory) as ear:
            await ear.next()
        start = CLOCK.stamp().realtime_ns
        for number in range(2500):
            # Stamps of their own: a server may make two changes in one of our clock's ticks.
            await press.set("Program", number, source=moment_of(start + number * 1000))
        async with listening(settings, memory) as ear:
            await ear.first(reading("program", "2499"))
            assert values(ear.heard, "program") == [str(number) for number in range(2500)]


async def test_without_history_the_outage_is_a_gap_with_its_interval() -> None:
    async with serve(STILL) as press:
        settings, memory = options(press, point("Holding"), point("Force", record="telemetry")), Memory()
        async with listening(settings, memory) as ear:
            await ear.first(reading("holding"))
            last_heard = ear.heard[-1].received.realtime_ns
        async with listening(settings, memory) as ear:
            gap = await ear.next()
            assert isinstance(gap, Gap)
            assert abs(from_rfc3339(present(gap.first)) - last_heard) < 2e6
            assert from_rfc3339(present(gap.last)) <= CLOCK.stamp().realtime_ns
            assert "holding, force" in gap.reason


async def test_history_that_is_not_wanted_is_not_read() -> None:
    async with serve(KEEPING) as press:
        settings, memory = options(press, point("Holding"), history=False), Memory()
        async with listening(settings, memory) as ear:
            await ear.next()
        await press.set("Holding", 140.0)
        async with listening(settings, memory) as ear:
            assert isinstance(await ear.next(), Gap)
            assert not (await ear.next()).backfilled


async def test_telemetry_is_filled_from_history_too() -> None:
    async with serve(KEEPING) as press:
        settings, memory = options(press, point("Program", record="telemetry"), point("Holding")), Memory()
        async with listening(settings, memory) as ear:
            await ear.first(reading("holding"))
        for number in (5, 6, 7):
            await press.set("Program", number)
        async with listening(settings, memory) as ear:
            block = await ear.first(of_type(Signals))
            assert (block.backfilled, block.values[-3:]) == (True, (5, 6, 7))


async def test_first_contact_ever_is_no_gap() -> None:
    async with serve(STILL) as press, listening(options(press, point("Holding"))) as ear:
        assert isinstance(await ear.next(), Reading)


async def test_history_of_a_server_with_a_wrong_clock_is_read_by_its_own_clock() -> None:
    async with serve(PressSimulation(tick_s=0, history=True, clock_offset_s=-86_400)) as press:
        settings, memory = options(press, point("Holding")), Memory()
        async with listening(settings, memory) as ear:
            await ear.next()
        await press.set("Holding", 102.0)
        changed_ns = CLOCK.stamp().realtime_ns
        async with listening(settings, memory) as ear:
            found = await ear.first(reading("holding", "102"))
            assert found.backfilled
            assert abs(found.when.occurred_ns - changed_ns) < 3e9
            assert abs(found.when.device_offset_ms + 86_400_000) < 3000
