"""Ids that wrap, begin anew, or are none: what a controller pushes is a result, once, and whole."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewitness.base.clock import Stamp
from linewitness.devices.open_protocol.ledger.events import (
    ConflictingResult,
    EpochBegan,
    MissingResults,
    NewResult,
    RepeatedResult,
)
from linewitness.devices.open_protocol.ledger.rules import RETAINED, ResultComparison
from linewitness.devices.open_protocol.ledger.state import (
    NO_ID,
    HistoryMode,
    ResultCore,
    ResultEntry,
    ResultRecord,
)
from linewitness.devices.open_protocol.ledger.storage import load
from linewitness.devices.open_protocol.ledger.tracker import ResultTracker
from linewitness.devices.open_protocol.session import recovery
from linewitness.devices.open_protocol.wire.codec import decode
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram, Telegram

SOURCE = "ACT:SIM1:1"
TELEGRAM = ReceivedTelegram(Telegram(mid=61), b"", Stamp(0, 0))
MINUTES_OF_DAY = 1440


@dataclass
class Peer:
    """A controller in the field: its counter has a width, its clock may fall back, its memory may stay."""

    memory_answers: bool = False
    newest_is_highest: bool = False
    last_id: int = 4_294_967_295
    after_last: int = 0
    always: int | None = None
    counter: int = 0
    seconds: int = 0
    year: int = 2026
    memory: dict[int, ResultRecord] = field(default_factory=dict)
    made: list[ResultRecord] = field(default_factory=list)

    def make(self, *, torque: int | None = None, after_s: int = 60) -> ResultRecord:
        self.counter = self.after_last if self.counter == self.last_id else self.counter + 1
        self.seconds += after_s
        number = self.counter if self.always is None else self.always
        count = len(self.made)
        value = 2000 + count * 7919 % 997 if torque is None else torque
        core = ResultCore(self.time(), str(value), str(count * 31 % 83), "1", "1", "1", f"SN{count}")
        record = record_of(number, core)
        self.made.append(record)
        self.memory.pop(number, None)
        self.memory[number] = record
        return record

    def time(self) -> str:
        minutes, seconds = divmod(self.seconds, 60)
        days, minutes = divmod(minutes, MINUTES_OF_DAY)
        months, days = divmod(days, 28)
        return (
            f"{self.year + months // 12}-{1 + months % 12:02d}-{1 + days:02d}"
            f":{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"
        )

    def begin_anew(self, *, clock: bool = True, memory: bool = False, at: int = 0) -> None:
        """Count from anew; with `clock`, that falls back to 2000; `memory` stays where it is said."""
        self.counter = at
        if clock:
            self.year, self.seconds = 2000, self.seconds % 977
        if not memory:
            self.memory.clear()

    def ask(self, number: int) -> recovery.Answer:
        if not self.memory_answers:
            return recovery.NoResult.UNSUPPORTED
        if not self.memory:
            return recovery.NoResult.ABSENT
        if number == 0:
            newest = max(self.memory) if self.newest_is_highest else next(reversed(self.memory))
            return stored(self.memory[newest])
        return stored(self.memory[number]) if number in self.memory else recovery.NoResult.ABSENT


def record_of(number: int, core: ResultCore, *, live: bool = True, place: str = "") -> ResultRecord:
    return ResultRecord(
        entry=ResultEntry(number, core),
        live=live,
        received=TELEGRAM,
        content=decode(TELEGRAM.telegram),
        place=place,
    )


def stored(record: ResultRecord) -> ResultRecord:
    return record_of(record.entry.id, record.entry.core, live=False)


@dataclass
class Line:
    """A gateway at this peer; what it says is committed at once, and it may begin again from that."""

    peer: Peer
    mode: HistoryMode = HistoryMode.EXACT
    committed: dict[str, str] = field(default_factory=dict)
    said: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.connect()

    def connect(self) -> None:
        ledger = load(SOURCE, self.committed, self.mode)
        self.tracker = ResultTracker(ledger=ledger, station=1, remembered=self.committed)
        self.run(recovery.establish(self.tracker, None))
        self.run(recovery.back_fill(self.tracker, again=True))

    def commit(self) -> None:
        for event in self.tracker.events():
            self.said.append(event)
            for key, text in event.changes.items():
                if text is None:
                    self.committed.pop(key, None)
                else:
                    self.committed[key] = text

    def run(self, asking: recovery.Asking) -> None:
        try:
            number = next(asking)
            while True:
                self.commit()
                number = asking.send(self.peer.ask(number))
        except StopIteration:
            self.commit()

    def push(self, record: ResultRecord) -> None:
        before = len(self.of_record(record))
        if self.tracker.take(record) in (ResultComparison.CONFLICT, ResultComparison.SUSPECT):
            self.commit()
            self.run(recovery.resolve(self.tracker, record))
        self.commit()
        assert len(self.of_record(record)) == before + 1, "exactly one observation is to be confirmed"
        if self.tracker.behind:
            self.run(recovery.back_fill(self.tracker, again=False))

    def of_record(self, record: ResultRecord) -> list[Any]:
        return [each for each in self.said if getattr(each, "record", None) is record]

    def all(self, kind: type) -> list[Any]:
        return [each for each in self.said if isinstance(each, kind)]

    @property
    def units(self) -> list[str]:
        """Units of the results that count, in the order of their records."""
        return [each.record.entry.core.unit for each in self.all(NewResult) if not each.same_as]

    @property
    def ids(self) -> list[tuple[int, int]]:
        return [(each.ledger.epoch, each.record.entry.id) for each in self.all(NewResult)]


def units(peer: Peer, first: int = 0) -> list[str]:
    return [each.entry.core.unit for each in peer.made[first:]]


def test_a_clock_that_fell_back_to_2000_without_a_memory_costs_no_result() -> None:
    peer = Peer()
    line = Line(peer)
    for _ in range(12):
        line.push(peer.make())
    peer.begin_anew()
    for _ in range(20):
        line.push(peer.make())
    assert line.units == units(peer)
    assert line.ids[12:] == [(1, number) for number in range(1, 21)]
    assert not line.all(ConflictingResult)
    assert len(line.all(EpochBegan)) == 1


@pytest.mark.heavy
def test_a_clock_that_fell_back_is_found_where_the_content_is_forgotten_too() -> None:
    peer = Peer()
    line = Line(peer)
    for _ in range(RETAINED + 30):
        line.push(peer.make())
    peer.begin_anew()
    for _ in range(20):
        line.push(peer.make())
    assert line.units == units(peer)
    assert not line.all(ConflictingResult)


@pytest.mark.parametrize("memory_answers", [True, False])
@pytest.mark.parametrize("newest_is_highest", [True, False])
@pytest.mark.parametrize("clock", [True, False])
@pytest.mark.parametrize(
    ("last_id", "after_last"), [(99_999, 1), (4_294_967_295, 0), (65_535, 0), (9_999, 1)]
)
def test_ids_that_wrap_are_an_epoch_without_a_gap(
    last_id: int, after_last: int, clock: bool, newest_is_highest: bool, memory_answers: bool
) -> None:
    peer = Peer(memory_answers, newest_is_highest, last_id, after_last, counter=last_id - 5)
    first = peer.make()
    line = Line(peer)
    for _ in range(4):
        line.push(peer.make())
    if clock:
        peer.year = 2000
    for _ in range(8):
        line.push(peer.make())
    line.connect()
    for _ in range(3):
        line.push(peer.make())
    assert line.units == units(peer, 1)
    assert first.entry.id == last_id - 4
    assert len(line.all(EpochBegan)) == 1
    assert not line.all(ConflictingResult)
    assert not line.all(MissingResults)
    assert len(line.all(NewResult)) == 15


@pytest.mark.parametrize("newest_is_highest", [True, False])
def test_results_on_both_sides_of_a_wrap_that_nobody_saw_are_fetched(newest_is_highest: bool) -> None:
    peer = Peer(memory_answers=True, newest_is_highest=newest_is_highest, last_id=99_999, after_last=1)
    peer.counter = 99_990
    peer.make()
    line = Line(peer)
    line.push(peer.make())
    for _ in range(12):
        peer.make()
    line.connect()
    line.push(peer.make())
    line.connect()
    assert sorted(line.units) == sorted(units(peer, 1))
    assert not line.all(ConflictingResult)


def test_old_results_that_come_again_after_a_restart_are_repeats_of_the_epoch_before() -> None:
    peer = Peer()
    line = Line(peer)
    old = [peer.make() for _ in range(12)]
    for each in old:
        line.push(each)
    peer.begin_anew()
    line.push(peer.make())
    line.connect()
    for each in old[8:]:
        line.push(record_of(each.entry.id, each.entry.core))
    line.push(peer.make())
    assert line.units == units(peer)
    assert len(line.all(RepeatedResult)) == 4
    assert len(line.all(EpochBegan)) == 1


def test_a_memory_that_lost_its_newest_results_gives_none_of_the_others_twice() -> None:
    peer = Peer(memory_answers=True)
    peer.make()
    line = Line(peer)
    for _ in range(60):
        line.push(peer.make())
    for number in range(56, 62):
        del peer.memory[number]
    peer.counter = 55
    for _ in range(4):
        peer.make()
    line.connect()
    line.push(peer.make())
    assert line.units == units(peer, 1)


def test_a_controller_that_always_says_0_is_served_by_content() -> None:
    peer = Peer(always=NO_ID)
    line = Line(peer)
    first = peer.make()
    line.push(first)
    for _ in range(5):
        line.push(peer.make())
    line.connect()
    line.push(record_of(NO_ID, first.entry.core))
    line.push(peer.make())
    assert line.units == units(peer)
    assert [each.name for each in line.all(NewResult)] == [f"0-{number}" for number in range(1, 8)]
    assert len(line.all(RepeatedResult)) == 1
    assert not line.all(ConflictingResult)
    assert not line.all(MissingResults)


def test_the_newest_result_without_an_id_is_fetched_after_an_absence_and_the_first_one_is_not() -> None:
    peer = Peer(always=NO_ID, memory_answers=True)
    peer.make()
    line = Line(peer)
    line.connect()
    assert line.units == []
    peer.make()
    line.connect()
    line.connect()
    line.push(peer.make())
    assert line.units == units(peer, 1)


def test_without_id_and_time_the_place_in_the_batch_tells_a_repeat_and_nothing_else_does() -> None:
    line = Line(Peer())
    core = ResultCore("", "2500", "40", "1", "1", "1", "SN1")
    for place in ("1.7.1", "1.7.2", "1.7.2"):
        line.push(record_of(NO_ID, core, place=place))
    assert len(line.units) == 2
    assert not line.all(ConflictingResult)
    line.push(record_of(NO_ID, core))
    line.push(record_of(NO_ID, core))
    assert len(line.units) == 3
    (conflict,) = line.all(ConflictingResult)
    assert conflict.record.entry.core == core


@pytest.mark.parametrize("killed", [False, True])
def test_without_id_and_time_the_next_batch_is_new_work_and_a_repeat_is_the_newest(killed: bool) -> None:
    line = Line(Peer())
    core = ResultCore("", "2500", "40", "1", "1", "1")
    for product in range(3):
        for batch in (1, 2, 3, 4):
            line.push(record_of(NO_ID, core, place=f"1.7.{batch}"))
            if killed:
                line.connect()
            line.push(record_of(NO_ID, core, place=f"1.7.{batch}"))
        assert len(line.units) == 4 * product + 4
    assert len({each.name for each in line.all(NewResult)}) == 12
    assert len(line.all(RepeatedResult)) == 12
    assert not line.all(ConflictingResult)


@pytest.mark.parametrize("always", [NO_ID, None])
def test_a_stored_copy_of_a_result_without_id_and_time_is_none_of_its_own(always: int | None) -> None:
    peer = Peer(always=always, memory_answers=True)
    cast(Any, peer).time = lambda: ""
    peer.make()
    line = Line(peer)
    for batch in range(3):
        line.push(record_of(NO_ID, peer.make().entry.core, place=f"1.7.{batch}"))
        line.connect()
    assert line.units == units(peer, 1)


def test_without_a_clock_another_unit_under_an_old_id_is_new_work_even_with_the_same_values() -> None:
    line = Line(Peer())
    for life in range(2):
        for number in (1, 2, 3):
            core = ResultCore("", "2500", "40", "1", "1", "1", f"SN{life}{number}")
            line.push(record_of(number, core))
            line.push(record_of(number, core))
    assert line.units == ["SN01", "SN02", "SN03", "SN11", "SN12", "SN13"]
    assert not line.all(ConflictingResult)
    assert len(line.all(RepeatedResult)) == 6


@pytest.mark.parametrize("same_values", [False, True])
def test_with_a_clock_that_stands_still_another_unit_under_an_old_id_is_new_work(same_values: bool) -> None:
    line = Line(Peer())
    for life in range(2):
        for number in (1, 2, 3):
            torque = "2500" if same_values else f"25{life}{number}"
            core = ResultCore("2000-01-01:00:00:00", torque, "40", "1", "1", "1", f"SN{life}{number}")
            line.push(record_of(number, core))
            line.push(record_of(number, core))
    assert line.units == ["SN01", "SN02", "SN03", "SN11", "SN12", "SN13"]
    assert not line.all(ConflictingResult)
    assert len(line.all(RepeatedResult)) == 6


FROZEN = "2000-01-01:00:00:00"


def at(place: str, *, time: str = FROZEN, unit: str = "") -> ResultCore:
    """A tightening as all others are, but for its place: job, sequence of the job, parameter set, counter."""
    return ResultCore(time, "2500", "40", "1", "1", "1", unit, place)


@pytest.mark.parametrize("time", [FROZEN, ""])
@pytest.mark.parametrize("other", ["1..7.{}", "2..7.{}", "1.9.7.{}", "1..8.{}"])
def test_without_a_running_clock_the_same_values_at_another_place_under_an_old_id_are_new_work(
    other: str, time: str
) -> None:
    line = Line(Peer())
    before = [at(f"1.5.7.{number}", time=time) for number in (1, 2, 3)]
    after = [at(other.format(number + 10 * (other == "1..7.{}")), time=time) for number in (1, 2, 3)]
    for cores in (before, after):
        for number, core in enumerate(cores, start=1):
            line.push(record_of(number, core))
            line.push(record_of(number, core))
    assert line.ids == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]
    assert [each.record.entry.core for each in line.all(NewResult)] == [*before, *after]
    assert len(line.all(RepeatedResult)) == 6
    assert not line.all(ConflictingResult)


def test_another_place_and_another_time_are_new_work_even_where_the_clock_went_by_an_hour() -> None:
    line = Line(Peer())
    line.push(record_of(1, at("1..7.4", time="2026-03-14:09:00:00")))
    line.push(record_of(1, at("2..7.1", time="2026-03-14:10:00:00")))
    assert line.ids == [(0, 1), (1, 1)]
    assert not line.all(ConflictingResult)


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("time", ["2026-03-14:09:00:0{}", FROZEN, ""])
@pytest.mark.parametrize("again", ["", "..7.", "...{}", "..7.{}", "123..7.{}", "23..7.{}"])
def test_a_repeat_that_says_less_of_its_place_or_more_is_a_repeat(again: str, time: str, number: int) -> None:
    """The job of 123 is 23 in a revision that has two digits for it, and a place of 0 is not told."""
    first, second = "123..7.{}", again
    for before, after in ((first, second), (second, first)):
        line = Line(Peer())
        for each in (1, 2, 3):
            core = at(before.format(each), time=time.format(each), unit=f"SN{each}")
            line.push(record_of(each, core))
        core = at(after.format(number), time=time.format(number), unit=f"SN{number}")
        line.push(record_of(number, core))
        assert len(line.all(RepeatedResult)) == 1
        assert len(line.all(NewResult)) == 3
        assert not line.all(ConflictingResult)


@pytest.mark.parametrize(("number", "time"), [(3, FROZEN), (3, ""), (2, "2026-03-14:09:00:0{}")])
def test_another_place_of_the_same_time_is_undecided_where_the_id_is_the_newest_or_the_clock_runs(
    number: int, time: str
) -> None:
    line = Line(Peer())
    for each in (1, 2, 3):
        line.push(record_of(each, at(f"1..7.{each}", time=time.format(each))))
    for _ in range(2):
        line.push(record_of(number, at("2..7.1", time=time.format(number))))
    assert {each.record.entry.core.place for each in line.all(ConflictingResult)} == {"2..7.1"}
    assert len(line.all(NewResult)) == 3


@pytest.mark.parametrize("first_is_copy", [False, True])
def test_a_stored_copy_is_the_result_that_was_pushed_whatever_its_place(first_is_copy: bool) -> None:
    line = Line(Peer(memory_answers=True))
    line.push(record_of(1, at("1..7.1", time="2026-03-14:09:00:00")))
    pushed = record_of(2, at("1..7.2", time="2026-03-14:09:01:00"))
    copy = record_of(2, at("", time="2026-03-14:09:01:00"), live=False)
    for each in (copy, pushed) if first_is_copy else (pushed, copy):
        line.tracker.take(each)
    line.commit()
    assert line.ids == [(0, 1), (0, 2)]
    assert len(line.all(RepeatedResult)) == 1


def test_the_place_of_a_result_is_remembered_and_what_earlier_versions_remembered_has_none() -> None:
    line = Line(Peer())
    for number in (1, 2):
        line.push(record_of(number, at(f"1..7.{number}")))
    line.connect()
    assert line.tracker.ledger.known[2] == at("1..7.2")
    old = "2000-01-01:00:00:00|2500|40|1|1|1|SN1"
    assert ResultCore.parse(old) == at("", unit="SN1")
    assert str(at("", unit="SN1")) == old


@pytest.mark.heavy
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["push", "push", "push", "again", "copy", "anew", "reconnect"]), st.booleans()
        ),
        max_size=50,
    ),
    st.sampled_from([FROZEN, ""]),
)
@settings(max_examples=400, deadline=None)
def test_any_history_without_a_running_clock_counts_each_place_once(
    actions: list[tuple[str, bool]], time: str
) -> None:
    """All values are equal, and no unit is named: nothing but the place tells a result from another one."""
    line = Line(Peer())
    pushed: list[ResultRecord] = []
    life, number = 1, 0
    for action, whole in actions:
        if action == "push":
            number += 1
            pushed.append(record_of(number, at(f"{life}..7.{number}", time=time)))
            line.push(pushed[-1])
        elif action == "again" and number:
            newest = pushed[-1].entry
            core = newest.core if whole else newest.core._replace(place="..7.")
            line.push(record_of(newest.id, core))
            assert line.all(RepeatedResult) or line.all(ConflictingResult), "not recorded once more"
        elif action == "copy" and number:
            line.tracker.take(record_of(number, at("", time=time), live=False))
            line.commit()
        elif action == "anew":
            life, number = life + 1, 0
        elif action == "reconnect":
            line.connect()
    said = [each.record for each in (*line.all(NewResult), *line.all(ConflictingResult))]
    assert all(any(each is record for record in said) for each in pushed), (
        "pushed, confirmed and not recorded"
    )
    counted = [each.record.entry.core.place for each in line.all(NewResult)]
    assert len(counted) == len(set(counted)), "counted twice"
    assert not set(counted) - {each.entry.core.place for each in pushed}


def test_another_unit_of_the_same_second_with_the_same_values_is_no_repeat() -> None:
    line = Line(Peer())
    for number in (1, 2, 3):
        time = f"2026-03-14:09:00:0{number}"
        line.push(record_of(number, ResultCore(time, "2500", "40", "1", "1", "1", f"SN{number}")))
    line.push(record_of(2, ResultCore("2026-03-14:09:00:02", "2500", "40", "1", "1", "1", "SN9")))
    (conflict,) = line.all(ConflictingResult)
    assert conflict.record.entry.core.unit == "SN9"


@pytest.mark.parametrize("connects", [False, True])
def test_without_clock_and_unit_equal_values_under_an_old_id_are_undecided(connects: bool) -> None:
    line = Line(Peer())
    core = ResultCore("", "2500", "40", "1", "1", "1")
    for number in (1, 2, 3, 4, 5, 5):
        line.push(record_of(number, core))
    assert len(line.all(NewResult)) == 5
    assert len(line.all(RepeatedResult)) == 1
    if connects:
        line.connect()
    for number in (1, 2, 3, 4, 5):
        line.push(record_of(number, core))
    conflicts = line.all(ConflictingResult)
    assert [each.record.entry.id for each in conflicts] == [1, 2, 3, 4, 5]
    assert len({each.name for each in conflicts}) == 5
    line.push(record_of(6, core))
    line.push(record_of(6, core))
    assert len(line.all(NewResult)) == 6
    assert len(line.all(ConflictingResult)) == 5


def test_a_stored_copy_gives_the_id_and_is_no_second_tightening() -> None:
    peer = Peer(memory_answers=True)
    peer.make()
    line = Line(peer)
    made = peer.make()
    line.push(record_of(NO_ID, made.entry.core))
    line.push(peer.make())
    assert line.units == units(peer, 1)
    (copy,) = [each for each in line.all(NewResult) if each.same_as]
    assert copy.record.entry == made.entry
    assert copy.same_as == line.all(NewResult)[0].name


def test_only_what_cannot_be_decided_is_a_conflict_and_its_repeat_is_one() -> None:
    peer = Peer()
    line = Line(peer)
    for _ in range(3):
        line.push(peer.make())
    same_time = peer.made[1].entry.core._replace(torque="9999")
    line.push(record_of(2, same_time))
    line.push(record_of(2, same_time))
    (conflict,) = line.all(ConflictingResult)
    assert conflict.name == "2-conflict-1"
    assert "same time" in conflict.reason
    line.push(peer.make())
    assert line.units == units(peer)
    assert not line.all(EpochBegan)


def test_a_result_pushed_late_under_a_missing_id_stays_in_its_epoch() -> None:
    peer = Peer()
    line = Line(peer)
    late = [peer.make() for _ in range(5)]
    for number in (0, 1, 4, 2, 3):
        line.push(late[number])
    assert [number for _, number in line.ids] == [1, 2, 5, 3, 4]
    assert {epoch for epoch, _ in line.ids} == {0}


def test_a_state_of_an_earlier_version_is_read_as_before() -> None:
    old = {
        f"head/{SOURCE}": "2 11 none 0 0",
        f"known/{SOURCE}/2/0000000010": "2026-03-14:09:26:53|2500|40|1|1|1",
        f"known/{SOURCE}/2/0000000011": "2026-03-14:09:27:53|2600|41|1|1|1",
        f"span/{SOURCE}/2/3-4": "3 1",
    }
    ledger = load(SOURCE, old, HistoryMode.EXACT)
    assert (ledger.epoch, ledger.watermark, ledger.mode, ledger.highest) == (2, 11, HistoryMode.NONE, 11)
    assert ledger.known[10] == ResultCore("2026-03-14:09:26:53", "2500", "40", "1", "1", "1")
    assert (ledger.past, ledger.first) == ({}, None)
    assert [(span.first, span.last) for span in ledger.spans] == [(3, 4)]


@pytest.mark.heavy
def test_what_is_remembered_gives_the_same_ledger_again() -> None:
    peer = Peer()
    line = Line(peer)
    for _ in range(3):
        for _ in range(700):
            line.push(peer.make())
        peer.begin_anew(clock=False)
    assert load(SOURCE, line.committed, HistoryMode.EXACT) == line.tracker.ledger
    assert len(line.committed) < 2 * RETAINED + 10


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["push", "push", "push", "away"]), st.integers(1, 4000)),
        st.tuples(st.sampled_from(["reconnect", "replay"]), st.integers(0, 30)),
        st.tuples(st.sampled_from(["restart", "restart and clock", "clock"]), st.integers(0, 1)),
    ),
    max_size=50,
)


@pytest.mark.heavy
@given(
    ACTIONS,
    st.booleans(),
    st.booleans(),
    st.sampled_from([(99_999, 1, 99_990), (65_535, 0, 65_530), (9_999, 1, 9_999), (4_294_967_295, 0, 3)]),
    st.sampled_from([None, None, None, 0]),
)
@settings(max_examples=800, deadline=None)
def test_any_history_of_ids_records_each_result_once(
    actions: list[tuple[str, int]],
    memory_answers: bool,
    newest_is_highest: bool,
    counter: tuple[int, int, int],
    always: int | None,
) -> None:
    last_id, after_last, start = counter
    peer = Peer(memory_answers, newest_is_highest, last_id, after_last, always, counter=start)
    peer.make()
    line = Line(peer)
    pushed: list[ResultRecord] = []
    linked = True
    for action, number in actions:
        # A controller that loses power breaks the connection, and what it makes meanwhile is not pushed.
        if action in {"push", "replay"} and not linked:
            line.connect()
        breaks = action == "away" or action.startswith("restart")
        linked = not breaks and (linked or action in {"push", "replay", "reconnect"})
        if action == "push":
            pushed.append(peer.make(after_s=number))
            line.push(pushed[-1])
        elif action == "away":
            peer.make(after_s=number)
        elif action == "reconnect":
            line.connect()
        elif action == "replay" and pushed:
            old = pushed[-1 - number % len(pushed)]
            line.push(record_of(old.entry.id, old.entry.core))
        elif action == "clock":
            peer.year, peer.seconds = 2000, peer.seconds % 977
        elif action.startswith("restart"):
            peer.begin_anew(clock=action == "restart and clock", memory=bool(number))
    line.connect()
    pushed.append(peer.make())  # a loss shows itself with the next result at the latest
    line.push(pushed[-1])
    line.connect()
    check(peer, line, pushed)


def test_a_count_that_begins_anew_before_anything_was_captured_leaves_a_gap_record() -> None:
    peer = Peer(memory_answers=True, newest_is_highest=True, counter=3)
    peer.make()
    line = Line(peer)
    peer.begin_anew(clock=False, memory=True)
    peer.make(after_s=1)
    peer.year, peer.seconds = 2000, peer.seconds % 977
    line.connect()
    pushed = [peer.make()]
    line.push(pushed[0])
    line.connect()
    check(peer, line, pushed)


def check(peer: Peer, line: Line, pushed: list[ResultRecord]) -> None:
    counted = line.units
    assert len(counted) == len(set(counted)), "recorded twice as two units' work"
    undecided = [each.record.entry.core for each in line.all(ConflictingResult)]
    missing = {each.entry.core.unit for each in pushed} - set(counted) - {core.unit for core in undecided}
    assert not missing, "pushed, confirmed and not recorded"
    if peer.memory_answers and peer.always is None:
        whole = set(counted) | {core.unit for core in undecided}
        lost = [each for each in peer.memory.values() if each.entry.core.unit not in whole | {"SN0"}]
        assert not lost or line.all(MissingResults), "still in the controller, and not even missed"
    for core in undecided:
        assert any(is_alike(core, each.entry.core) for each in peer.made), "this could have been decided"


def is_alike(one: ResultCore, other: ResultCore) -> bool:
    """Whether time or values of two tightenings are the same: their ids alone do not tell them apart."""
    if one.unit == other.unit:
        return False
    return one.time == other.time or one[1:3] == other[1:3]
