"""A device's share: what is above it is counted, what devices keep waits, and no value is left behind."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewitness.base.clock import NS_PER_MS, NS_PER_S, Stamp
from linewitness.devices.base import Gap, Observation
from linewitness.devices.options import ShareOptions
from linewitness.evidence.format.record import Event
from linewitness.stations.options import StationOptions, UnitOptions
from linewitness.stations.rules import DeviceRule
from linewitness.stations.shared_state import SharedState
from linewitness.stations.shares.allowance import AboveShare
from linewitness.stations.shares.share import DeviceShare
from linewitness.stations.station import Station
from support.clocks import ManualClock
from support.observations import START, code, gap, reading, seen, tightening
from support.present import present

KEY = "share/scan-10"


class Listener(Station):
    """A station that notes what it is told, in order."""

    def __init__(self) -> None:
        options = StationOptions(
            id="st-10", devices=("scan-10", "wrench-10"), unit=UnitOptions(scanner="scan-10")
        )
        super().__init__(options, {"scan-10": DeviceRule()}, shared=SharedState(), state={}, now=START)
        self.told: list[Observation] = []

    def interpret(self, observation: Observation, *, delayed_since_ns: int | None = None) -> Any:
        self.told.append(observation)
        return super().interpret(observation, delayed_since_ns=delayed_since_ns)


class Shared:
    """One device with a share; time goes on as the test says."""

    def __init__(self, *, records_per_s: float = 10, burst_s: float = 10, **limits: Any) -> None:
        self.station = Listener()
        self.clock = ManualClock(tick_ns=0)
        rule = ShareOptions(records_per_s=records_per_s, burst_s=burst_s, **limits)
        self.share = DeviceShare("scan-10", rule, self.station)
        self.state: dict[str, str | None] = {}
        self.events: list[Event] = []

    @property
    def now(self) -> Stamp:
        return self.clock.stamp()

    def say(self, *group: Observation, after_s: float = 0, scarce: bool = False) -> list[Event]:
        self.clock.advance_ns(int(after_s * NS_PER_S))
        return self._keep(self.share.take(group, self.now, "s1", scarce=scarce))

    def end(self) -> list[Event]:
        return self._keep(self.share.finish(self.now, "s1"))

    def _keep(self, taken: Any) -> list[Event]:
        self.state |= taken.outcome.state
        self.events += taken.outcome.events
        self.slower = taken.slower
        return list(taken.outcome.events)


def kinds(events: Sequence[Event]) -> list[str]:
    return [event.kind for event in events]


def fields(event: Event) -> dict[str, Any]:
    return {change.field: change.after for change in event.changes}


def codes(first: int, last: int) -> list[Observation]:
    return [code(f"SN{number:05}", at_ms=number) for number in range(first, last)]


def test_nothing_is_counted_within_the_share() -> None:
    it = Shared(records_per_s=10)
    for second in range(100):
        it.say(*codes(3 * second, 3 * second + 3), after_s=1)  # each unit enters and one leaves: 6 records
    assert kinds(it.events).count("unit.entered") == 300
    assert "source.gap" not in kinds(it.events)
    assert (it.share.above, it.share.dropped, it.state) == (False, 0, it.state)
    assert KEY not in it.state


def test_what_is_above_the_share_becomes_one_counted_gap_with_its_times_and_bytes() -> None:
    it = Shared(records_per_s=10, burst_s=10)
    events = it.say(*codes(0, 5000))
    assert kinds(events).count("unit.entered") == 51  # a hundred records, and the one that was begun
    begun = events[-1]
    assert (begun.kind, fields(begun)) == ("source.gap", {"first": "2026-03-01T08:00:00.051Z", "last": None})
    assert begun.reason.startswith("the device sends more than its share (10 records/s, 2,097,152 B/s)")
    assert (it.share.above, it.share.losing, it.share.dropped) == (True, True, 4949)
    for number in range(5000, 9000):
        assert it.say(*codes(number, number + 1), after_s=0.001) == []
    (counted,) = it.say(after_s=6)
    assert counted.kind == "source.gap"
    assert fields(counted) == {
        "first": "2026-03-01T08:00:00.051Z",
        "last": "2026-03-01T08:00:08.999Z",
        "count": 8949,
        "bytes": 8949 * 7,
    }
    assert it.share.dropped == 8949
    assert len({event.raw for event in it.events if event.raw is not None}) == 51


def test_large_codes_are_above_the_share_by_their_bytes() -> None:
    it = Shared(records_per_s=1000, bytes_per_s=10_000, burst_s=10)
    events = it.say(*(code(f"{number:04}" + "x" * 5000) for number in range(100)))
    assert kinds(events).count("unit.entered") < 15
    assert kinds(events)[-1] == "source.gap"


@pytest.mark.heavy
def test_a_flood_without_end_takes_no_more_of_the_journal_than_the_share() -> None:
    it = Shared(records_per_s=10, burst_s=10)
    number = 0
    for _ in range(600):  # a minute
        it.say(*codes(number, number + 200), after_s=0.1)
        number += 200
    gaps = [event for event in it.events if event.kind == "source.gap"]
    taken = kinds(it.events).count("unit.entered")
    assert len(it.events) - len(gaps) <= 100 + 10 * 60 + 2 * 6
    assert len(gaps) <= 2 * 60 / 10
    it.end()
    counts = [fields(event).get("count", 0) for event in it.events if event.kind == "source.gap"]
    assert taken + sum(counts) == number


def test_the_station_is_told_of_lost_codes_before_anything_else_happens() -> None:
    it = Shared(records_per_s=10, burst_s=10)
    it.say(*codes(0, 60))
    *_, last_code, told = it.station.told
    assert (last_code.device, type(told), told.device) == ("scan-10", Gap, "scan-10")
    it.say(*codes(60, 70))
    assert it.station.told[-1] is told  # nothing of the unit that the codes named meanwhile


def test_a_device_that_calmed_down_is_heard_again_and_that_is_shown_once_it_stays_calm() -> None:
    it = Shared(records_per_s=10, burst_s=10)
    it.say(*codes(0, 100))
    assert AboveShare.load(str(it.state[KEY])).gap == "2026-03-01T08:00:00.051Z"
    assert it.share.due_s(it.now) == pytest.approx(10, abs=0.2)
    it.say(after_s=11)
    assert kinds(it.say(*codes(200, 201))) == ["unit.left", "unit.entered"]
    assert AboveShare.load(str(it.state[KEY])) == AboveShare("2026-03-01T08:00:00.000Z", None)
    assert it.share.above
    assert it.share.due_s(it.now) == pytest.approx(49, abs=0.2)
    it.say(after_s=50)
    assert (it.share.above, it.share.losing, it.state[KEY]) == (False, False, None)
    assert it.share.due_s(it.now) is None


def test_results_that_the_device_keeps_are_all_taken_and_it_is_read_more_slowly() -> None:
    it = Shared(records_per_s=10, burst_s=10)
    events = it.say(*(tightening(number) for number in range(150)))
    assert kinds(events).count("tightening.result") == 150
    assert it.slower
    assert it.share.debt_s == pytest.approx(5, abs=0.1)
    assert (it.share.above, it.share.losing, it.share.dropped) == (True, False, 0)
    events = it.say(*(tightening(number, remember={"w": "1"}, backfilled=True) for number in (200, 201)))
    assert kinds(events) == ["tightening.result"] * 2
    it.say(after_s=6)
    assert (it.slower, it.share.debt_s) == (False, 0)


def test_gaps_that_a_driver_found_and_duplicates_are_not_counted_as_lost() -> None:
    it = Shared(records_per_s=10, burst_s=10)
    it.say(*codes(0, 60))
    assert kinds(it.say(gap(4711, 4713, device="scan-10"))) == ["source.gap"]
    before = it.share.dropped
    assert it.say(seen(device="scan-10"), seen(device="scan-10", confirmable=True)) == []
    assert it.share.dropped == before


def test_the_newest_value_of_each_point_gets_on_record_with_what_the_journal_said_before() -> None:
    it = Shared(records_per_s=10, burst_s=10)
    it.say(*(reading(str(number), point="fast", at_ms=number) for number in range(1000)))
    it.say(reading("7", point="slow", at_ms=1001), reading("ok", point="text", at_ms=1002))
    first, second, third, fourth = it.say(after_s=11)
    assert (first.kind, fields(first)["count"]) == ("source.gap", 899)
    assert [change.before for change in second.changes] == ["99"]
    assert [change.after for change in second.changes] == ["999"]
    assert (fields(third), fields(fourth)) == ({"slow": "7"}, {"text": "ok"})


def test_values_that_do_not_change_need_no_share() -> None:
    it = Shared(records_per_s=1, burst_s=1)
    it.say(*(reading("1") for _ in range(100)))
    assert kinds(it.events) == ["parameter.changed"]


def test_a_value_that_came_back_to_what_is_on_record_makes_no_change_but_counts() -> None:
    it = Shared(records_per_s=1, burst_s=1)
    it.say(reading("1"))
    it.say(reading("2"), reading("1"))
    (counted,) = it.say(after_s=5)
    assert fields(counted)["count"] == 2


@pytest.mark.heavy
@given(
    values=st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.sampled_from([0, 0.05, 0.3])), max_size=60
    )
)
def test_each_change_is_on_record_or_counted_and_each_before_is_what_the_journal_said(
    values: list[tuple[str, int, float]],
) -> None:
    it = Shared(records_per_s=4, burst_s=1)
    seen_before: dict[str, str] = {}
    changes = 0
    for at, (point, number, pause_s) in enumerate(values):
        it.say(reading(str(number), point=point, at_ms=at), after_s=pause_s)
        changes += seen_before.get(point) != str(number)
        seen_before[point] = str(number)
    it.end()
    recorded: dict[str, Any] = {}
    for event in it.events:
        if event.kind == "parameter.changed":
            (change,) = event.changes
            assert change.before == recorded.get(change.field)
            recorded[change.field] = change.after
    counted = sum(fields(event).get("count", 0) for event in it.events if event.kind == "source.gap")
    assert kinds(it.events).count("parameter.changed") + counted == changes
    assert recorded == seen_before


@pytest.mark.heavy
def test_a_device_above_its_share_takes_nothing_of_the_last_room_until_it_calms_down() -> None:
    it = Shared(records_per_s=10, burst_s=10)
    it.say(*codes(0, 100))
    for second in range(300):
        assert it.say(*codes(100 * second, 100 * second + 100), after_s=1, scarce=True) == []
        assert present(it.share.due_s(it.now)) > 0
    assert kinds(it.say(after_s=59, scarce=True)) == []
    (counted,) = it.say(after_s=2, scarce=True)
    assert fields(counted)["count"] == 49 + 300 * 100
    assert kinds(it.say(*codes(1, 2), scarce=True)) == ["unit.left", "unit.entered"]


def test_a_new_session_gives_no_more_of_the_last_room() -> None:
    it = Shared(records_per_s=10, burst_s=10)
    it.say(*codes(0, 100))
    it.end()
    assert kinds(it.say(*codes(100, 110), after_s=20, scarce=True)) == ["source.gap"]
    assert kinds(it.say(*codes(110, 120), after_s=1)) == []


def test_the_end_of_a_session_puts_the_count_on_record() -> None:
    it = Shared(records_per_s=10, burst_s=10)
    it.say(*codes(0, 100))
    (counted,) = it.end()
    assert fields(counted)["count"] == 49
    assert it.end() == []


def test_a_gap_that_a_crash_left_open_is_closed_at_the_next_start() -> None:
    crashed = Shared(records_per_s=10, burst_s=10)
    crashed.say(*codes(0, 100))
    it = Shared()
    it.share.recall(crashed.state[KEY])
    assert it.share.due_s(it.now) == 0
    (mended,) = it.say()
    assert fields(mended) == {"first": "2026-03-01T08:00:00.051Z", "last": "2026-03-01T08:00:00.000Z"}
    assert mended.reason.endswith("until the gateway ended: how many observations are missing is not known")
    assert it.state[KEY] is None
    assert it.say() == []


def test_a_set_back_boot_clock_refills_nothing() -> None:
    it = Shared(records_per_s=10, burst_s=10)
    it.say(*codes(0, 60))
    it.clock.boottime_ns -= 5 * NS_PER_MS
    assert it.say() == []
