"""Results that a trigger completes: read at once, told once, and acknowledged after the commit."""

from collections.abc import Callable
from typing import Any

import pytest

from linewitness.base.errors import DeviceRefused
from linewitness.devices.base import Gap, Result, Seen
from linewitness_simulators.press.server import PressSimulation, RunningPress, serve
from support.opcua_rig import Memory, listening, options, point
from support.waiting import until

STILL = PressSimulation(tick_s=0)
FIELDS = [
    {"id": "peak", "node": "ns=2;s=Press.PeakForce", "unit": "kN", "low": 40, "high": 60},
    {"id": "end", "node": "ns=2;s=Press.EndPosition", "unit": "mm"},
    {"id": "profile", "node": "ns=2;s=Press.Profile"},
]
HANDSHAKE = {"node": "ns=2;s=Press.Acknowledged", "value": "trigger"}


def counter(**more: Any) -> dict[str, Any]:
    settings = {
        "fields": FIELDS,
        "identifier": "ns=2;s=Press.Serial",
        "ok": "ns=2;s=Press.PartOk",
        **more,
    }
    return point("CycleCount", id="pressing", record="result", result=settings)


async def made(press: RunningPress, cycle: int) -> None:
    await press.set("Serial", f"SN-{cycle}")
    await press.finish(cycle)


def of(*kinds: type[Any]) -> Callable[..., Any]:
    return lambda one: isinstance(one, kinds)


async def test_result_holds_the_values_of_its_own_cycle() -> None:
    async with serve(STILL) as press, listening(options(press, counter())) as ear:
        assert isinstance(await ear.next(), Seen)
        await press.set("Serial", "SN-1")
        await made(press, 1)
        result = await ear.first(of(Result))
        part = press.part(1)
        assert (result.source, result.result_id, result.identifier, result.ok) == (
            "pressing",
            "1",
            "SN-1",
            part.ok,
        )
        found = {one.field: one.value for one in result.measured}
        assert found["peak"] == str(part.peak_kn)
        assert found["profile[9]"] == str(part.profile[9])
        peak = result.measured[0]
        assert (peak.unit, peak.low, peak.high) == ("kN", "40", "60")
        assert peak.status == ("ok" if 40 <= part.peak_kn <= 60 else "low")
        assert not result.confirmable


async def test_handshake_is_written_only_after_the_commit() -> None:
    async with serve(STILL) as press, listening(options(press, counter(handshake=HANDSHAKE))) as ear:
        await ear.next()
        await made(press, 7)
        result = await ear.first(of(Result))
        assert result.confirmable
        assert press.value("Acknowledged") == 0
        await ear.session.confirm(result)
        assert press.value("Acknowledged") == 7


async def test_handshake_that_a_crash_prevented_is_made_up_for_without_a_second_result() -> None:
    async with serve(STILL) as press:
        settings, memory = options(press, counter(handshake=HANDSHAKE)), Memory()
        async with listening(settings, memory) as ear:
            await ear.next()
            await made(press, 7)
            await ear.first(of(Result))
        async with listening(settings, memory) as ear:
            seen = await ear.first(of(Result, Seen))
            assert isinstance(seen, Seen)
            assert seen.confirmable
            await ear.session.confirm(seen)
            assert press.value("Acknowledged") == 7


async def test_result_made_while_nobody_listened_is_read_and_those_before_it_are_a_gap() -> None:
    async with serve(STILL) as press:
        settings, memory = options(press, counter()), Memory()
        async with listening(settings, memory) as ear:
            await ear.next()
            await made(press, 3)
            await ear.first(of(Result))
        for cycle in (4, 5, 6):
            await made(press, cycle)
        async with listening(settings, memory) as ear:
            gap = await ear.first(lambda one: isinstance(one, Gap) and one.source == "pressing")
            result = await ear.first(of(Result))
            assert (gap.first, gap.last, gap.count) == ("4", "5", 2)
            assert (result.result_id, result.epoch) == ("6", 0)


async def test_restarted_counter_begins_a_new_epoch() -> None:
    async with serve(STILL) as press, listening(options(press, counter())) as ear:
        await ear.next()
        await made(press, 9)
        first = await ear.first(of(Result))
        await press.set("CycleCount", 0)
        await ear.first(of(Seen))
        await made(press, 1)
        second = await ear.first(of(Result))
        assert [(one.epoch, one.result_id) for one in (first, second)] == [(0, "9"), (1, "1")]


async def test_values_overwritten_before_they_were_read_are_a_gap_and_never_a_wrong_result() -> None:
    async with serve(STILL) as press, listening(options(press, counter())) as ear:
        await ear.next()
        for cycle in (1, 2, 3):
            await made(press, cycle)
        heard: list[Any] = []
        while not (heard and isinstance(heard[-1], Result) and heard[-1].result_id == "3"):
            heard.append(await ear.first(of(Result, Gap)))
        numbers = [one.result_id if isinstance(one, Result) else one.first for one in heard]
        assert numbers == ["1", "2", "3"]
        for one in heard:
            if isinstance(one, Result):
                assert one.measured[0].value == str(press.part(int(one.result_id)).peak_kn)


async def test_bit_triggers_on_its_rising_edge_and_is_cleared_by_the_handshake() -> None:
    done = point(
        "PartDone",
        id="pressing",
        record="result",
        result={
            "edge": "rising",
            "fields": FIELDS,
            "handshake": {"node": "ns=2;s=Press.PartDone", "value": False},
        },
    )
    async with serve(STILL) as press, listening(options(press, done)) as ear:
        for cycle in (1, 2):
            await made(press, cycle)
            await press.set("PartDone", True)
            result = await ear.first(of(Result))
            assert result.measured[0].value == str(press.part(cycle).peak_kn)
            await ear.session.confirm(result)
            assert press.value("PartDone") is False
        assert press.writes == {"PartDone": 2}


async def test_bad_field_is_told_as_such() -> None:
    async with serve(STILL) as press, listening(options(press, counter())) as ear:
        await ear.next()
        await press.finish(1)
        await ear.first(of(Result))
        await press.set("PeakForce", 3.0, status=0x808A0000)
        await press.set("CycleCount", 2)
        result = await ear.first(of(Result))
        assert result.measured[0].value is None
        assert ("peak.status", "BadNotConnected") in result.facts


async def test_handshake_that_may_not_be_written_is_refused_with_its_place() -> None:
    handshake = {"node": "ns=2;s=Press.Force", "value": 1}
    async with serve(STILL) as press, listening(options(press, counter(handshake=handshake))) as ear:
        await ear.next()
        await press.finish(1)
        result = await ear.first(of(Result))
        with pytest.raises(DeviceRefused, match=r"points\[0\].*BadUserAccessDenied"):
            await ear.session.confirm(result)
        # What cannot be acknowledged must not be read on as if all were well.
        with pytest.raises(DeviceRefused):
            await ear.end()


async def test_running_press_gives_each_part_once() -> None:
    async with (
        serve(PressSimulation(tick_s=0.02, cycle_s=0.2)) as press,
        listening(options(press, counter(handshake=HANDSHAKE))) as ear,
    ):
        results: list[Any] = []
        while len(results) < 5:
            found = await ear.first(of(Result, Gap))
            if isinstance(found, Result):
                results.append(int(found.result_id))
                await ear.session.confirm(found)
        assert results == sorted(set(results))
        await until(lambda: press.value("Acknowledged") == results[-1])
