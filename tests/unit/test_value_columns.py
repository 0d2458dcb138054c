"""Values that a device gave together become the same records as values that it gave one by one."""

from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewitness.base.clock import ClockState, SharedClockState, Stamp
from linewitness.devices.base import Quality, Reading, Readings, When
from linewitness.devices.options import ShareOptions
from linewitness.devices.together import MOST_READINGS, together
from linewitness.evidence.format.keys import new_key
from linewitness.evidence.format.record import Draft, Event, parse
from linewitness.evidence.format.value_changes import ValueChanges
from linewitness.journal.submission import Submission
from linewitness.records.builder import EventKey, RecordBuilder
from linewitness.records.drafts import Drafts
from linewitness.stations.options import StationOptions, UnitOptions
from linewitness.stations.rules import DeviceRule, PointRule
from linewitness.stations.shared_state import SharedState
from linewitness.stations.shares.share import DeviceShare
from linewitness.stations.station import Station
from support.clocks import ManualClock
from support.journals import IDENTITY, create, members_of, reopen, result_event, verdict_of
from support.observations import BASE_NS, BOOT_NS, START, reading
from support.one_by_one import singly
from support.single_events import single_events

pytestmark = pytest.mark.heavy

POINTS = ("holding", "speed", "program", "serial")
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(["1", "2", "12.5", "-3", "NaN", "text", "x" * 300, "Prüfung", "1" * 199]),
    st.integers(-(2**60), 2**60),
)
WHENS = st.builds(
    When,
    occurred_ns=st.integers(BASE_NS - 10**12, BASE_NS + 10**12),
    occurred_from=st.sampled_from(["device", "poll"]),
    unc_ms=st.none() | st.integers(0, 9),
    device_time=st.none() | st.sampled_from(["2026-03-01T08:00:00", "\ud800"]),
    device_offset_ms=st.none() | st.integers(-5, 5),
)
RULES = {
    "press-10": DeviceRule(
        points={"speed": PointRule(unit="rpm", low=1, high=10), "program": PointRule(unit="°C")}  # type: ignore[arg-type]
    )
}
RECEIVED = Stamp(BASE_NS, BOOT_NS)


@st.composite
def groups(draw: st.DrawFn, text: Any = VALUES) -> Readings:
    """Return values of some points, each with its own time, or all with one."""
    points = tuple(draw(st.lists(st.sampled_from(POINTS), min_size=1, max_size=12)))
    each = st.tuples(*[WHENS] * len(points))
    return Readings(
        device="press-10",
        session_id="s1",
        received=RECEIVED,
        when=draw(WHENS),
        remember={"contact": "now"},
        points=points,
        values=tuple(draw(text) for _ in points),
        whens=draw(st.none() | each),
    )


@st.composite
def befores(draw: st.DrawFn) -> list[Reading]:
    """Return readings of any sort that came before."""
    quality = draw(st.sampled_from(list(Quality)))
    value: Any = draw(VALUES | st.just({"x": "1"}) | st.just({}))
    return [reading(value, point=draw(st.sampled_from(POINTS)), quality=quality, status=quality.value)]


def station(tagged: bool) -> Station:
    options = (
        StationOptions(id="st-10", devices=("press-10",), unit=UnitOptions(point="press-10/serial"))
        if tagged
        else None
    )
    return Station(options, RULES, shared=SharedState(), state={}, now=START)


@given(st.lists(befores()), st.lists(groups(), min_size=1, max_size=3), st.booleans())
def test_values_together_mean_what_they_mean_one_by_one(
    before: list[list[Reading]], given_groups: list[Readings], tagged: bool
) -> None:
    at_once, singly = station(tagged), station(tagged)
    for [one] in before:
        at_once.interpret(one)
        singly.interpret(one)
    for group in given_groups:
        together_ = at_once.interpret(group)
        events: list[Event] = []
        state: dict[str, str | None] = {}
        for one in group.singly():
            outcome = singly.interpret(one)
            events += single_events(outcome.events)
            state |= outcome.state
        assert single_events(together_.events) == events
        assert together_.state == state
    assert at_once._last == singly._last


@given(st.lists(groups(), min_size=1, max_size=4), st.integers(1, 30), st.integers(2000, 40_000))
def test_a_share_counts_values_together_as_it_counts_them_one_by_one(
    given_groups: list[Readings], records: int, size: int
) -> None:
    rule = ShareOptions(records_per_s=records, bytes_per_s=size, burst_s=1)
    at_once, singly = (DeviceShare("press-10", rule, station(tagged=False)) for _ in range(2))
    for group in given_groups:
        one = at_once.take([group], RECEIVED, "s1")
        other = singly.take(list(group.singly()), RECEIVED, "s1")
        assert single_events(one.outcome.events) == single_events(other.outcome.events)
        assert (one.outcome.state, one.count) == (other.outcome.state, other.count)
        assert (at_once.above, at_once.dropped) == (singly.above, singly.dropped)
        assert at_once.debt_s == pytest.approx(singly.debt_s)


def drafts(changes: ValueChanges, *, moved_ns: int, at_once: bool) -> list[Draft]:
    """Return the records of a group: assembled together, or each by itself."""
    numbers = count()
    clock, state = ManualClock(), SharedClockState()
    state.set(ClockState("locked", 1200), clock.stamp())
    builder = RecordBuilder(IDENTITY, clock=clock, clock_state=state)
    stamp = Stamp(RECEIVED.realtime_ns + moved_ns, RECEIVED.boottime_ns)
    key = EventKey(IDENTITY.stream, KEY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder._ids, "new", lambda _ns: f"{next(numbers):026}")
        patch.setattr(builder._ids, "many", lambda _ns, many: [b"%026d" % next(numbers) for _ in range(many)])
        if at_once:
            together_ = Drafts(ZERO)
            builder.build_changes(changes, together_, sequence_no=7, key=key, stamp=stamp)
            drafted = [together_.draft(position) for position in range(len(together_))]
            assert together_.data == [draft.data() for draft in drafted]
            assert together_.sizes(0) == [draft.size for draft in drafted]
            return drafted
        found: list[Draft] = []
        for number, event in enumerate(changes.events(), 7):
            prev_hash = found[-1].record_hash if found else ZERO
            found.append(builder.build(event, sequence_no=number, prev_hash=prev_hash, key=key, stamp=stamp))
        return found


KEY = new_key()
ZERO = "sha256:" + "0" * 64


@given(st.lists(groups(), min_size=1, max_size=3), st.sampled_from([0, 3_600_000_000_000, -5_000_000_000]))
def test_their_records_are_the_same_byte_by_byte(given_groups: list[Readings], moved_ns: int) -> None:
    place = station(tagged=False)
    for group in given_groups:
        for changes in place.interpret(group).events:
            if isinstance(changes, ValueChanges):
                one = drafts(changes, moved_ns=moved_ns, at_once=True)
                assert one == drafts(changes, moved_ns=moved_ns, at_once=False)
                for draft in one:
                    parse(draft.data())


def test_they_are_a_part_of_the_stream_like_others(tmp_path: Path, clock: ManualClock) -> None:
    directory = tmp_path / "journal"
    create(directory, clock)
    group = Readings(
        device="press-10",
        session_id="s1",
        received=clock.stamp(),
        when=When(occurred_ns=clock.stamp().realtime_ns, occurred_from="poll"),
        points=tuple(f"p{number}" for number in range(100)),
        values=tuple(str(number) for number in range(100)),
    )
    events = station(tagged=False).interpret(group).events
    assert [len(one) for one in events if isinstance(one, ValueChanges)] == [100]
    file = reopen(directory, clock)
    try:
        file.append([Submission(events=(*events, result_event(1, clock), *events))])
    finally:
        file.close()
    assert verdict_of(directory).status == "INTACT"
    members = members_of(directory)
    assert [member["changes"][0]["after"] for member in members[1:101]] == [str(n) for n in range(100)]
    assert members[101]["kind"] == "tightening.result"
    assert members[201]["resource"]["id"] == "press-10/p99"


@given(
    st.lists(befores() | st.lists(st.builds(reading, st.sampled_from(["1", "2"])), max_size=5), max_size=9)
)
def test_readings_are_joined_in_their_order(parts: list[list[Reading]]) -> None:
    one_by_one = [one for part in parts for one in part]
    joined = list(together(one_by_one))
    assert [one for observation in joined for one in singly(observation)] == one_by_one


def test_no_more_than_the_most_are_joined() -> None:
    stamp = RECEIVED
    many = [reading(str(n), point=f"p{n}", remember={f"seen.p{n}": str(n)}) for n in range(300)]
    many = [Reading(**{**_members(one), "received": stamp}) for one in many]
    joined = list(together(many))
    assert [len(one.points) for one in joined if isinstance(one, Readings)] == [
        MOST_READINGS,
        MOST_READINGS,
        44,
    ]
    assert [one for observation in joined for one in singly(observation)] == many
    assert joined[0].remember["seen.p5"] == "5"


def _members(one: Reading) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Reading.__dataclass_fields__}
