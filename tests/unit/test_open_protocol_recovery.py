"""Recovery against a model of a controller: each result once, or a gap that names what is missing."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewitness.base.clock import Stamp
from linewitness.devices.open_protocol.ledger.events import (
    CaptureBegan,
    ConflictingResult,
    EpochBegan,
    MissingResults,
    NewResult,
    RepeatedResult,
)
from linewitness.devices.open_protocol.ledger.rules import RETAINED, ResultComparison
from linewitness.devices.open_protocol.ledger.state import HistoryMode, ResultCore, ResultEntry, ResultRecord
from linewitness.devices.open_protocol.ledger.storage import load
from linewitness.devices.open_protocol.ledger.tracker import ResultTracker
from linewitness.devices.open_protocol.session import fetching, recovery
from linewitness.devices.open_protocol.wire.codec import decode
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram, Telegram

SOURCE = "ACT:SIM1:1"
SHARED = 7
TELEGRAM = ReceivedTelegram(Telegram(mid=61), b"", Stamp(0, 0))


def record_of(entry: ResultEntry, *, live: bool, station: int = 1) -> ResultRecord:
    """A result as the ledger sees it: of its telegram only the entry counts."""
    content = decode(TELEGRAM.telegram)
    return ResultRecord(entry=entry, live=live, station=station, received=TELEGRAM, content=content)


@dataclass
class Controller:
    """A memory of results that may be full, have holes, be shared, or begin anew."""

    capacity: int = 10_000
    shared: bool = False
    answers: bool = True
    memory: dict[int, tuple[ResultCore, int]] = field(default_factory=dict)
    counter: int = 0
    minutes: int = 0
    made: list[tuple[int, str]] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def make(self, *, foreign: bool = False) -> ResultRecord:
        self.counter += 1
        self.minutes += 1
        core = ResultCore(self.time(), str(1000 + self.minutes % 977), str(self.minutes % 90), "1", "1", "1")
        self.memory[self.counter] = (core, SHARED if foreign else 1)
        while len(self.memory) > self.capacity:
            del self.memory[min(self.memory)]
        if not foreign:
            self.made.append((self.counter, core.time))
        return self.record(self.counter, live=True)

    def time(self) -> str:
        days, rest = divmod(self.minutes, 1440)
        return f"2026-03-{1 + days:02d}:{rest // 60:02d}:{rest % 60:02d}:00"

    def record(self, number: int, *, live: bool = False) -> ResultRecord:
        core, station = self.memory[number]
        return record_of(ResultEntry(number, core), live=live, station=station)

    def restart(self) -> None:
        self.memory.clear()
        self.counter = 0

    def ask(self, number: int) -> recovery.Answer:
        self.asked.append(number)
        if not self.answers:
            return recovery.NoResult.UNSUPPORTED
        if number == 0:
            return self.record(max(self.memory)) if self.memory else recovery.NoResult.ABSENT
        if self.shared:
            below = [each for each in self.memory if each <= number]
            return self.record(max(below)) if below else recovery.NoResult.ABSENT
        return self.record(number) if number in self.memory else recovery.NoResult.ABSENT


@dataclass
class Gateway:
    """A session on a model controller, with a memory that keeps what was committed."""

    controller: Controller
    mode: HistoryMode = HistoryMode.EXACT
    start_after: int | None = None
    committed: dict[str, str] = field(default_factory=dict)
    said: list[Any] = field(default_factory=list)
    pending: list[Any] = field(default_factory=list)
    linked: bool = False

    def __post_init__(self) -> None:
        self.crash()

    def crash(self) -> None:
        self.pending = []
        self.tracker = ResultTracker(ledger=load(SOURCE, self.committed, self.mode), station=1)

    def commit(self, count: int | None = None) -> None:
        self.pending += self.tracker.events()
        for event in self.pending[:count]:
            self.said.append(event)
            for key, text in event.changes.items():
                if text is None:
                    self.committed.pop(key, None)
                else:
                    self.committed[key] = text
        del self.pending[: len(self.pending) if count is None else count]

    def run(
        self, asking: Generator[int, recovery.Answer, None], between: Callable[..., Any] | None = None
    ) -> None:
        # What happens between question and answer runs to its end there, as tasks of one loop may.
        try:
            number = next(asking)
            while True:
                answer = self.controller.ask(number)
                if between is not None:
                    between()
                number = asking.send(answer)
        except StopIteration:
            pass

    def push(self, record: ResultRecord) -> None:
        if self.tracker.take(record) in (ResultComparison.CONFLICT, ResultComparison.SUSPECT):
            self.run(recovery.resolve(self.tracker, record))
        if self.tracker.behind:
            self.run(recovery.back_fill(self.tracker, again=False))

    def connect(self, between: Callable[..., Any] | None = None) -> None:
        self.linked = True
        self.run(recovery.establish(self.tracker, self.start_after))
        self.run(recovery.back_fill(self.tracker, again=True), between)

    def results(self) -> list[tuple[int, int]]:
        return [
            (each.ledger.epoch, each.record.entry.id) for each in self.said if isinstance(each, NewResult)
        ]

    def all(self, kind: type) -> list[Any]:
        return [each for each in self.said if isinstance(each, kind)]


def enrolled(count: int = 10, **options: int) -> tuple[Controller, Gateway]:
    """A gateway that has captured ids 6..count live; 1..5 were made before it came."""
    controller = Controller(**cast(Any, options))
    gateway = Gateway(controller)
    for _ in range(5):
        controller.make()
    gateway.connect()
    for _ in range(count - 5):
        gateway.push(controller.make())
    gateway.commit()
    return controller, gateway


def test_capture_starts_after_the_newest_result_and_says_so() -> None:
    _, gateway = enrolled(5)
    (start,) = gateway.all(CaptureBegan)
    assert "after id 5" in start.reason
    assert gateway.results() == []


def test_capture_may_start_with_what_is_stored() -> None:
    controller = Controller(capacity=3)
    for _ in range(5):
        controller.make()
    gateway = Gateway(controller, start_after=0)
    gateway.connect()
    gateway.commit()
    assert gateway.results() == [(0, 3), (0, 4), (0, 5)]
    assert not gateway.all(MissingResults)


def test_five_hundred_results_made_meanwhile_come_in_the_order_of_ids() -> None:
    controller, gateway = enrolled()
    for _ in range(500):
        controller.make()
    gateway.crash()
    gateway.connect()
    gateway.commit()
    assert gateway.results() == [(0, number) for number in range(6, 511)]
    assert len(controller.asked) < 520


def test_live_results_during_back_fill_are_taken_at_once_and_only_once() -> None:
    controller, gateway = enrolled()
    for _ in range(20):
        controller.make()
    gateway.crash()
    live = iter(range(5))

    def between() -> None:
        if next(live, None) is not None:
            gateway.tracker.take(controller.make())

    gateway.connect(between)
    if gateway.tracker.behind:
        gateway.run(recovery.back_fill(gateway.tracker, again=False))
    gateway.commit()
    assert sorted(gateway.results()) == [(0, number) for number in range(6, 36)]


def test_a_resent_result_is_a_repeat_after_a_crash_too() -> None:
    controller, gateway = enrolled()
    again = controller.record(10, live=True)
    gateway.push(again)
    gateway.commit()
    gateway.crash()
    gateway.push(again)
    gateway.commit()
    assert len(gateway.all(RepeatedResult)) == 2
    assert gateway.results() == [(0, number) for number in range(6, 11)]


def test_an_uncommitted_result_is_new_again_after_a_crash() -> None:
    controller, gateway = enrolled()
    gateway.push(controller.make())
    gateway.crash()
    gateway.connect()
    gateway.commit()
    assert gateway.results()[-1] == (0, 11)
    assert len(gateway.results()) == 6


def test_a_hole_becomes_a_gap_record_in_the_third_round() -> None:
    controller, gateway = enrolled()
    for _ in range(6):
        controller.make()
    del controller.memory[13]
    for expected in (0, 0, 1, 1):
        gateway.crash()
        gateway.connect()
        gateway.commit()
        assert len(gateway.all(MissingResults)) == expected
    (gap,) = gateway.all(MissingResults)
    assert (gap.first, gap.last) == (13, 13)
    assert gateway.results() == [(0, number) for number in range(6, 17) if number != 13]
    assert gateway.tracker.ledger.watermark == 16


def test_a_recorded_gap_is_filled_when_the_result_turns_up() -> None:
    controller, gateway = enrolled()
    hidden = controller.make()
    del controller.memory[11]
    controller.make()
    for _ in range(3):
        gateway.connect()
    gateway.commit()
    assert len(gateway.all(MissingResults)) == 1
    controller.memory[11] = (hidden.entry.core, 1)
    gateway.crash()
    gateway.connect()
    gateway.commit()
    assert (0, 11) in gateway.results()
    assert not gateway.tracker.ledger.spans


def test_a_lower_newest_id_begins_an_epoch() -> None:
    controller, gateway = enrolled()
    controller.restart()
    for _ in range(4):
        controller.make()
    gateway.crash()
    gateway.connect()
    gateway.commit()
    assert gateway.results()[5:] == [(1, 1), (1, 2), (1, 3), (1, 4)]
    assert len(gateway.all(EpochBegan)) == 1
    (open_end,) = gateway.all(MissingResults)
    assert (open_end.first, open_end.last) == (11, None)


def test_a_restart_that_has_caught_up_is_found_by_content() -> None:
    controller, gateway = enrolled()
    controller.restart()
    for _ in range(30):
        controller.make()
    gateway.crash()
    gateway.connect()
    gateway.commit()
    assert gateway.results()[5:] == [(1, number) for number in range(1, 31)]


def test_a_restart_during_the_session_is_found_with_the_first_result() -> None:
    controller, gateway = enrolled()
    controller.restart()
    gateway.push(controller.make())
    gateway.push(controller.make())
    gateway.commit()
    assert gateway.results()[5:] == [(1, 1), (1, 2)]
    assert not gateway.all(ConflictingResult)


def test_a_lower_live_id_does_not_fill_a_hole_of_another_life() -> None:
    controller, gateway = enrolled()
    controller.restart()
    controller.make()
    del controller.memory[1]
    gateway.push(controller.make())
    assert [(span.first, span.last) for span in gateway.tracker.ledger.spans] == [(1, 1)]
    controller.restart()
    gateway.push(controller.make())
    gateway.commit()
    assert gateway.results()[5:] == [(1, 2), (2, 1)]


def test_a_memory_that_overwrote_the_watermark_leaves_a_named_gap() -> None:
    controller, gateway = enrolled(capacity=50)
    for _ in range(200):
        controller.make()
    for _ in range(3):
        gateway.crash()
        gateway.connect()
        gateway.commit()
    doubt, gap = gateway.all(MissingResults)
    assert (doubt.first, doubt.last) == (11, None)
    assert (gap.first, gap.last) == (11, 160)
    assert not gateway.all(EpochBegan)
    assert gateway.results() == [(0, number) for number in [*range(6, 11), *range(161, 211)]]


def test_a_controller_set_back_in_time_after_overwriting_begins_an_epoch() -> None:
    controller, gateway = enrolled(capacity=5)
    controller.minutes -= 100_000
    cast(Any, controller).time = lambda: "2000-01-01:00:00:00"
    for _ in range(30):
        controller.make()
    gateway.crash()
    gateway.connect()
    gateway.commit()
    assert len(gateway.all(EpochBegan)) == 1


def test_a_shared_memory_is_recognised_and_only_own_results_are_taken() -> None:
    controller = Controller(shared=True)
    for number in range(6):
        controller.make(foreign=number % 2 == 0)
    gateway = Gateway(controller)
    gateway.connect()
    gateway.commit()
    for number in range(40):
        controller.make(foreign=number % 3 != 0)
    gateway = Gateway(controller, committed=gateway.committed)
    gateway.connect()
    gateway.commit()
    own = [number for number, _ in controller.made]
    assert not gateway.all(CaptureBegan)
    assert gateway.results() == [(0, number) for number in own if number > 6]


def test_a_crash_in_the_middle_of_a_walk_gives_the_same_set() -> None:
    for crash_after in range(12):
        controller = Controller(shared=True)
        controller.make()
        gateway = Gateway(controller)
        gateway.connect()
        gateway.commit()
        for number in range(20):
            controller.make(foreign=number % 2 == 0)
        gateway.connect()
        gateway.commit(crash_after)
        gateway.crash()
        gateway.connect()
        gateway.commit()
        expected = [(0, number) for number, _ in controller.made if number > 1]
        assert gateway.results() == expected


def test_a_shared_memory_that_overwrote_the_watermark_leaves_an_uncounted_gap() -> None:
    controller = Controller(shared=True, capacity=10)
    for _ in range(4):
        controller.make()
    gateway = Gateway(controller, mode=HistoryMode.AT_OR_BEFORE)
    gateway.connect()
    for _ in range(30):
        controller.make()
    gateway.connect()
    gateway.commit()
    (gap,) = gateway.all(MissingResults)
    assert (gap.first, gap.last, gap.countable) == (5, 24, False)


def test_a_controller_without_memory_gives_gaps_at_once() -> None:
    controller = Controller(answers=False)
    gateway = Gateway(controller)
    gateway.connect()
    gateway.push(controller.make())
    controller.make()
    controller.make()
    gateway.push(controller.make())
    gateway.commit()
    assert gateway.results() == [(0, 1), (0, 4)]
    (gap,) = gateway.all(MissingResults)
    assert (gap.first, gap.last) == (2, 3)


def test_a_restart_without_memory_is_found_by_time() -> None:
    controller = Controller(answers=False)
    gateway = Gateway(controller)
    gateway.connect()
    for _ in range(5):
        gateway.push(controller.make())
    controller.restart()
    gateway.push(controller.make())
    gateway.push(controller.make())
    gateway.commit()
    assert gateway.results()[5:] == [(1, 1), (1, 2)]


def test_a_repeat_with_another_content_is_a_conflict_and_changes_nothing() -> None:
    controller, gateway = enrolled()
    before = gateway.tracker.ledger
    changed = record_of(ResultEntry(8, controller.memory[8][0]._replace(torque="9999")), live=True)
    gateway.push(changed)
    gateway.commit()
    (clash,) = gateway.all(ConflictingResult)
    assert clash.record is changed
    assert gateway.tracker.ledger == before
    assert not gateway.all(EpochBegan)


def test_what_could_not_be_read_is_no_evidence_of_a_restart() -> None:
    controller, gateway = enrolled()
    controller.make()
    gateway.push(record_of(ResultEntry(11, ResultCore()), live=True))
    gateway.commit()
    gateway.crash()
    gateway.connect()
    gateway.commit()
    assert not gateway.all(EpochBegan)
    assert not gateway.all(ConflictingResult)


def test_blank_fields_of_the_stored_copy_do_not_contradict() -> None:
    assert ResultCore("t", "1", "", "1").matches(ResultCore("t", "1", "5", "1"))
    assert not ResultCore("t", "1", "", "1").matches(ResultCore("t", "2", "5", "1"))


@pytest.mark.heavy
def test_old_contents_are_forgotten_in_the_memory_too() -> None:
    controller, gateway = enrolled()
    for _ in range(RETAINED + 50):
        gateway.push(controller.make())
    gateway.commit()
    assert len(gateway.committed) == RETAINED + 2
    assert load(SOURCE, gateway.committed, HistoryMode.EXACT) == gateway.tracker.ledger


ACTIONS = st.lists(
    st.sampled_from(
        ["push", "push", "make", "make", "crash", "connect", "restart", "hole", "commit", "busy", "busy"]
    ),
    max_size=60,
)


@pytest.mark.heavy
@given(ACTIONS, st.sampled_from([5, 30, 10_000]), st.booleans(), st.integers(0, 3))
@settings(max_examples=600, deadline=None)
def test_any_history_ends_with_each_result_once_or_in_a_gap(
    actions: list[str], capacity: int, shared: bool, keep: int
) -> None:
    controller = Controller(capacity=capacity, shared=shared)
    controller.make()
    gateway = Gateway(controller)
    gateway.connect()
    gateway.commit()
    start = len(controller.made)
    for action in actions:
        act(action, controller, gateway, keep)
    controller.make()  # a loss shows itself with the next result at the latest
    for _ in range(3):
        gateway.crash()
        gateway.connect()
        gateway.commit()
    check_complete(controller, gateway, start)


def act(action: str, controller: Controller, gateway: Gateway, keep: int) -> None:
    if action == "push":
        if not gateway.linked:
            gateway.connect()
        gateway.push(controller.make())
    elif action == "make":
        gateway.linked = False
        controller.make(foreign=controller.shared and controller.minutes % 3 == 0)
    elif action == "crash":
        gateway.commit(keep)
        gateway.crash()
        gateway.connect()
    elif action == "connect":
        gateway.connect()
    elif action == "busy":
        live = iter(range(4))
        gateway.connect(lambda: gateway.push(controller.make()) if next(live, 9) < 3 else None)
    elif action == "restart":
        controller.restart()
        gateway.commit()
    elif action == "hole" and not controller.shared and controller.memory:
        del controller.memory[min(controller.memory)]
    elif action == "commit":
        gateway.commit()


def check_complete(controller: Controller, gateway: Gateway, start: int) -> None:
    found = gateway.results()
    assert len(found) == len(set(found)), "twice"
    times = [each.record.entry.core.time for each in gateway.said if isinstance(each, NewResult)]
    assert len(times) == len(set(times)), "twice under different ids"
    stored = {core.time for core, station in controller.memory.values() if station == 1}
    named = [(each.first, each.last) for each in gateway.all(MissingResults)]
    for number, time in controller.made[start:]:
        if time in times:
            continue
        assert time not in stored, f"id {number} is still in the controller and was not fetched"
        # Where ids began anew, or may have, how far the old ones went is not known: an open end says so.
        open_end = any(last is None for _, last in named)
        assert open_end or any(first <= number <= last for first, last in named), f"id {number} is not named"


@pytest.mark.parametrize("numbers", [[], [1], [1, 2, 3], [1, 3, 4, 9]])
def test_ranges_join_neighbours(numbers: list[int]) -> None:
    ranges = fetching.ranges_of(numbers)
    assert [number for first, last in ranges for number in range(first, last + 1)] == numbers


def test_what_was_not_fetched_yet_when_the_ids_began_anew_is_named() -> None:
    controller, gateway = enrolled()
    for _ in range(5):
        controller.make()
    live = controller.make()
    gateway.tracker.take(replace(live, live=True))
    gateway.commit()
    controller.restart()
    controller.make()
    gateway.crash()
    gateway.connect()
    gateway.commit()
    named = [(gap.first, gap.last) for gap in gateway.all(MissingResults)]
    assert named == [(11, 15), (17, None)]


def test_a_newest_id_that_went_down_is_another_life_even_where_its_content_is_known() -> None:
    """A hole of the old life was filled with a result of the new one before anybody could know."""
    controller, gateway = enrolled()
    controller.restart()
    for _ in range(3):
        controller.make()
    gateway.run(recovery.establish(gateway.tracker, None))
    gateway.commit()
    assert len(gateway.all(EpochBegan)) == 1
    known = gateway.tracker.ledger.known
    polluted = {
        **known,
        3: controller.record(3).entry.core,
        20: known.get(20) or controller.record(1).entry.core,
    }
    gateway.tracker.ledger = replace(gateway.tracker.ledger, known=polluted)
    gateway.run(recovery.establish(gateway.tracker, None))
    gateway.commit()
    assert len(gateway.all(EpochBegan)) == 2


def test_a_controller_that_counts_its_newest_later_than_it_pushes_it_began_nothing_anew() -> None:
    controller, gateway = enrolled()
    ask = controller.ask
    cast(Any, controller).ask = lambda number: ask(9 if number == 0 else number)
    gateway.run(recovery.establish(gateway.tracker, None))
    gateway.commit()
    assert not gateway.all(EpochBegan)


def test_a_hole_right_above_the_watermark_is_named_although_capture_began_with_an_empty_memory() -> None:
    controller = Controller()
    gateway = Gateway(controller)
    gateway.connect()
    gateway.push(
        controller.make(),
    )
    for _ in range(3):
        controller.make()
    gateway.tracker.take(replace(controller.make(), live=True))
    gateway.commit()
    controller.restart()
    controller.make()
    gateway.crash()
    gateway.connect()
    gateway.commit()
    assert [(gap.first, gap.last) for gap in gateway.all(MissingResults)] == [(2, 4), (6, None)]
