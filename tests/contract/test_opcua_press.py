"""The OPC UA driver against the simulated press, over real sockets."""

from datetime import UTC, datetime
from typing import Any

import pytest

from linewitness.base.errors import DeviceUnavailable
from linewitness.devices.base import Gap, Quality, Reading, Signals
from linewitness.devices.opcua.decoding.times import moment_of
from linewitness.devices.opcua.driver import OpcUaDriver as Driver
from linewitness_simulators.press.server import PressSimulation, serve
from support.opcua_rig import CLOCK, Memory, listening, listening_again, of_type, options, point, reading
from support.waiting import until

STILL = PressSimulation(tick_s=0)


async def test_change_is_a_reading_with_decimal_text_and_the_device_time() -> None:
    async with serve(STILL) as press, listening(options(press, point("Holding", unit="bar"))) as ear:
        first = await ear.next()
        assert isinstance(first, Reading)
        assert (first.value, first.quality, first.status) == ("125", Quality.GOOD, "Good")
        moment = moment_of(CLOCK.stamp().realtime_ns).replace(microsecond=123456)
        await press.set("Holding", 131.7, source=moment)
        changed = await ear.first(reading("holding", "131.7"))
        assert changed.when.occurred_from == "device"
        assert changed.when.device_time == f"{moment:%Y-%m-%dT%H:%M:%S}.123456Z"
        assert changed.remember["seen.holding"] == changed.when.device_time
        assert abs(changed.when.device_offset_ms) < 1000


async def test_each_of_many_quick_changes_arrives_once_and_in_order() -> None:
    async with serve(STILL) as press, listening(options(press, point("Program", queue_size=500))) as ear:
        await ear.next()
        for number in range(2, 302):
            await press.set("Program", number)
        seen = [int((await ear.next()).value) for _ in range(300)]
        assert seen == list(range(2, 302))
        assert not [one for one in ear.heard if isinstance(one, Gap)]


async def test_array_is_told_by_field_and_float32_in_its_shortest_form() -> None:
    async with (
        serve(STILL) as press,
        listening(options(press, point("Limits"), point("Temperature"))) as ear,
    ):
        await press.set("Limits", [41.5, 60.25])
        limits = reading("limits")
        found = await ear.first(lambda one: limits(one) and one.value["[0]"] == "41.5")
        assert found.value == {"[0]": "41.5", "[1]": "60.25"}
        await press.set("Temperature", 12.3)
        await ear.first(reading("temperature", "12.3"))


async def test_bad_and_uncertain_values_are_marked_as_such() -> None:
    async with serve(STILL) as press, listening(options(press, point("Holding"))) as ear:
        await press.set("Holding", 1.0, status=0x808A0000)
        bad = await ear.first(lambda one: one.quality is Quality.BAD)
        assert bad.status == "BadNotConnected"
        await press.set("Holding", 2.0, status=0x40900000)
        uncertain = await ear.first(lambda one: one.quality is Quality.UNCERTAIN)
        assert uncertain.status == "UncertainLastUsableValue"


async def test_telemetry_comes_in_blocks_and_names_bad_positions() -> None:
    async with serve(STILL) as press:
        settings = options(press, *(point(name, record="telemetry") for name in ("Force", "Temperature")))
        async with listening(settings) as ear:
            await ear.first(of_type(Signals))
            await press.set("Force", 3.5, status=0x80000000)
            await press.set("Temperature", 12.3)
            blocks: list[Any] = []
            while sum(len(block.points) for block in blocks) < 2:
                blocks.append(await ear.first(of_type(Signals)))
            told = {
                name: (block.values[place], block.statuses.get(place))
                for block in blocks
                for place, name in enumerate(block.points)
            }
            assert told == {"force": (None, "Bad"), "temperature": (12.3, None)}
            assert all(len(block.points) == len(block.values) == len(block.times_ns) for block in blocks)


async def test_operator_of_the_moment_stands_in_each_change() -> None:
    async with serve(STILL) as press:
        await press.set("Operator", "anna.b")
        settings = options(press, point("Holding"), operator="ns=2;s=Press.Operator")
        async with listening(settings) as ear:
            first = await ear.first(reading("holding"))
            assert (first.initial, first.operator) == (True, None), "who changed it before is not known"
            await press.set("Holding", 98.0)
            assert (await ear.first(reading("holding", "98"))).operator == "anna.b"
            await press.set("Operator", "jonas.k")
            await press.set("Holding", 99.0)
            changed = await ear.first(reading("holding", "99"))
            assert (changed.operator, changed.operator_by, changed.initial) == ("jonas.k", "tag", False)


async def test_complaint_10_one_wrong_node_is_named_and_the_others_live() -> None:
    async with serve(STILL) as press:
        memory = Memory()
        settings = options(
            press, point("Nowhere"), point("Holding"), {"id": "alien", "node": "nsu=urn:x;s=y"}
        )
        async with listening(settings, memory) as ear:
            gaps = [await ear.next(), await ear.next()]
            assert [(gap.source, gap.reason.partition(":")[0]) for gap in gaps] == [
                ("nowhere", "devices.press-4.points[0].node"),
                ("alien", "devices.press-4.points[2].node"),
            ]
            assert "BadNodeIdUnknown" in gaps[0].reason
            assert "no such namespace" in gaps[1].reason
            assert ear.session.refused_points["nowhere"] == "ns=2;s=Press.Nowhere: BadNodeIdUnknown"
            await ear.first(reading("holding", "125"))
        async with listening(settings, memory) as ear:
            first = await ear.first(reading("holding"))
            assert first is ear.heard[-1]
            assert not [one for one in ear.heard if isinstance(one, Gap) and one.source == "nowhere"]


async def test_point_that_appears_later_is_asked_for_again_and_its_next_refusal_is_news(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("linewitness.devices.opcua.session.RETRY_REFUSED_S", 0.1)
    async with serve(PressSimulation(tick_s=0, missing=frozenset({"Program"}))) as press:
        memory = Memory()
        settings = options(press, point("Program"), point("Holding"))
        async with listening(settings, memory) as ear:
            await ear.first(reading("holding"))
            assert "refused.program" in memory.kept
            await press.reveal("Program")
            await ear.first(reading("program", "1"))
            assert "refused.program" not in memory.kept
            assert not ear.session.refused_points


async def test_complaint_8_all_points_live_again_after_a_restart_of_the_server() -> None:
    async with serve(STILL) as press:
        driver = Driver(options(press, point("Holding"), point("Program")), clock=CLOCK)
        memory = Memory()
        async with listening_again(driver, memory) as ear:
            await ear.first(reading("program"))
            await press.restart()
            with pytest.raises(DeviceUnavailable):
                await ear.end()
        async with listening_again(driver, memory) as ear:
            gap = await ear.first(of_type(Gap))
            assert gap.first < gap.last
            await ear.first(reading("holding"))
            await press.set("Holding", 140.0)
            await press.set("Program", 7)
            await ear.first(reading("holding", "140"))
            await ear.first(reading("program", "7"))


async def test_complaint_9_silent_subscription_is_noticed() -> None:
    async with serve(STILL) as press, listening(options(press, point("Holding"), silence_s=1)) as ear:
        await ear.next()
        press.silence()
        with pytest.raises(DeviceUnavailable, match="silent"):
            await ear.end()


async def test_pulled_cable_is_noticed() -> None:
    async with serve(STILL) as press, listening(options(press, point("Holding"), timeout_s=1)) as ear:
        await ear.next()
        press.wire.passing.clear()
        try:
            with pytest.raises(DeviceUnavailable):
                await ear.end()
        finally:
            press.wire.passing.set()


async def test_complaint_19_no_session_is_left_behind() -> None:
    async with serve(STILL) as press:
        driver = Driver(options(press, point("Holding")), clock=CLOCK)
        for _ in range(5):
            async with listening_again(driver, Memory()) as ear:
                await ear.next()
                assert press.sessions == 1
        await until(lambda: press.sessions == 0)


async def test_overflow_of_the_servers_queue_is_a_gap() -> None:
    async with serve(STILL) as press, listening(options(press, point("Holding"))) as ear:
        before = await ear.next()
        await press.overflow("Holding", 77.0)
        gap = await ear.next()
        after = await ear.next()
        assert isinstance(gap, Gap)
        assert (gap.source, gap.first, gap.last) == (
            "holding",
            before.when.device_time,
            after.when.device_time,
        )
        assert (after.value, after.status) == ("77", "Good")


async def test_complaint_14_a_clock_in_the_year_2000_poisons_nothing() -> None:
    far = (datetime(2000, 1, 1, tzinfo=UTC) - moment_of(CLOCK.stamp().realtime_ns)).total_seconds()
    async with (
        serve(PressSimulation(tick_s=0, clock_offset_s=far)) as press,
        listening(options(press, point("Holding"), point("Force", record="telemetry"))) as ear,
    ):
        await ear.first(reading("holding", "125"))
        now_ns = CLOCK.stamp().realtime_ns
        await press.set("Holding", 126.0)
        changed = await ear.first(reading("holding", "126"))
        assert changed.when.device_time.startswith(("1999-12-31", "2000-01-01"))
        assert abs(changed.when.occurred_ns - now_ns) < 5e9
        assert abs(changed.when.device_offset_ms - far * 1000) < 5000
        await press.set("Force", 1.0)
        block = await ear.first(of_type(Signals))
        assert all(abs(time - now_ns) < 20e9 for time in block.times_ns)


async def test_unreachable_server_is_unavailable_and_says_so() -> None:
    with pytest.raises(DeviceUnavailable, match=r"127\.0\.0\.1:1"):
        async with listening(options("opc.tcp://127.0.0.1:1", point("Holding"))):
            pass
