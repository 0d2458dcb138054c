"""Polling, for servers without subscriptions."""

import pytest

from linewitness.base.errors import DeviceUnavailable
from linewitness.devices.base import Gap, Quality, Result, Signals
from linewitness_simulators.press.server import PressSimulation, serve
from support.opcua_rig import CLOCK, listening, of_type, options, point, reading
from support.present import present

STILL = PressSimulation(tick_s=0)
POLL = {"mode": "poll", "poll_ms": 50}


async def test_change_is_found_once_and_dated_within_the_period() -> None:
    async with serve(STILL) as press, listening(options(press, point("Holding"), **POLL)) as ear:
        first = await ear.first(reading("holding", "125"))
        assert (first.when.occurred_from, first.when.unc_ms) == ("poll", None)
        # A second poll, so that there is one to reckon from.
        await ear.until_quiet(0.2)
        changed_ns = CLOCK.stamp().realtime_ns
        await press.set("Holding", 130.0)
        found = await ear.next()
        assert found.value == "130"
        assert 0 < present(found.when.unc_ms) < 1000  # half of what lay between the two polls
        assert abs(found.when.occurred_ns - changed_ns) <= (present(found.when.unc_ms) + 5) * 1_000_000
        await press.set("Holding", 131.0)
        assert (await ear.next()).value == "131"


async def test_telemetry_is_read_at_each_tick() -> None:
    async with (
        serve(STILL) as press,
        listening(options(press, point("Force", record="telemetry"), **POLL)) as ear,
    ):
        blocks = [await ear.first(of_type(Signals)) for _ in range(4)]
        assert all(block.points == ("force",) for block in blocks)


async def test_wrong_node_does_not_stop_the_others() -> None:
    settings = [point("Nowhere"), point("Holding"), {"id": "alarms", "node": "i=2253", "record": "alarm"}]
    async with serve(STILL) as press, listening(options(press, *settings, **POLL)) as ear:
        await ear.first(reading("holding", "125"))
        gaps = [one for one in ear.heard if isinstance(one, Gap)]
        assert [gap.source for gap in gaps] == ["nowhere", "alarms"]


async def test_a_node_that_is_gone_has_no_value_any_more() -> None:
    points = [point("Holding"), point("Program")]
    async with serve(STILL) as press, listening(options(press, *points, **POLL)) as ear:
        await ear.first(reading("holding", "125"))
        await press.server.delete_nodes([press.server.get_node("ns=2;s=Press.Holding")])
        gone = await ear.first(reading("holding"))
        assert (gone.quality, gone.status) == (Quality.BAD, "BadNodeIdUnknown")
        await press.set("Program", 5)
        assert (await ear.next()).point == "program"


async def test_result_is_read_when_the_counter_moved() -> None:
    fields = [{"id": "peak", "node": "ns=2;s=Press.PeakForce"}]
    cycle = point("CycleCount", id="pressing", record="result", result={"fields": fields})
    async with serve(STILL) as press, listening(options(press, cycle, **POLL)) as ear:
        await ear.next()
        await press.finish(1)
        result = await ear.first(of_type(Result))
        assert result.measured[0].value == str(press.part(1).peak_kn)


async def test_server_that_goes_away_ends_the_session() -> None:
    async with serve(STILL) as press, listening(options(press, point("Holding"), **POLL)) as ear:
        await ear.next()
        press.wire.cut()
        with pytest.raises(DeviceUnavailable):
            await ear.end()
