"""Find out what the controller still has that we do not: a dialogue of questions, without a socket.

Each function is a generator: it yields the id that it wants to ask for (0: the newest result) and is
sent the answer. Live results may be taken into the same ledger between question and answer.
"""

from collections.abc import Generator, Mapping
from typing import Final

from linewitness.devices.open_protocol.ledger import rules
from linewitness.devices.open_protocol.ledger.epochs import (
    Answer,
    Asking,
    NoResult,
    restarted,
    restarted_by_time,
)
from linewitness.devices.open_protocol.ledger.rules import ResultComparison
from linewitness.devices.open_protocol.ledger.state import HistoryMode, ResultRecord
from linewitness.devices.open_protocol.ledger.tracker import ResultTracker

__all__ = ["NEWEST", "Answer", "Asking", "NoResult", "back_fill", "establish", "resolve"]

NEWEST: Final = 0
#: So many ids in a row that are not there mean that the memory ends here.
PATIENCE: Final = 20


class _SharedMemory(Exception):
    """An answer that only a memory shared between stations gives."""


class _EpochChanged(Exception):
    """A live result proved that the ids began anew while we were asking for old ones."""


def establish(tracker: ResultTracker, start_after: int | None) -> Asking:
    """Make sure that the ids still mean what they meant; on first contact, note where capture starts."""
    if tracker.ledger.mode is HistoryMode.NONE:
        return
    highest = tracker.ledger.highest
    newest = yield NEWEST
    if newest is NoResult.UNSUPPORTED:
        tracker.use(HistoryMode.NONE)
        return
    if tracker.ledger.watermark is None:
        _enrol(tracker, newest, start_after)
    elif isinstance(newest, ResultRecord):
        reason = yield from restarted(tracker, newest, highest)
        if reason:
            tracker.begin_epoch(reason)
    elif newest is NoResult.ABSENT and tracker.ledger.known:
        tracker.doubt(
            "the controller's memory is empty: what followed this id may be lost, and ids may begin anew"
        )


def back_fill(tracker: ResultTracker, *, again: bool) -> Asking:
    """Fetch everything up to the newest result that is not known; `again` asks for lost ones too."""
    while tracker.ledger.mode is not HistoryMode.NONE:
        tracker.behind = False
        newest = yield NEWEST
        if not isinstance(newest, ResultRecord):
            return
        try:
            if tracker.ledger.mode is HistoryMode.AT_OR_BEFORE:
                yield from _walk(tracker, newest)
            else:
                yield from _fetch(tracker, newest, again=again)
        except _SharedMemory:
            tracker.use(HistoryMode.AT_OR_BEFORE)
        except _EpochChanged:
            again = True
        else:
            return


def resolve(tracker: ResultTracker, record: ResultRecord) -> Asking:
    """Decide about a live result that contradicts what is known: a conflict, or a new epoch."""
    highest = tracker.ledger.highest
    newest: Answer = NoResult.UNSUPPORTED if tracker.ledger.mode is HistoryMode.NONE else (yield NEWEST)
    if isinstance(newest, ResultRecord):
        reason = yield from restarted(tracker, newest, highest)
    elif newest is NoResult.ABSENT:
        reason = "the controller's memory is empty, and a lower id came again"
    else:
        reason = restarted_by_time(tracker, record)
    if reason:
        tracker.begin_epoch(reason)
    verdict = tracker.take(record, certain=True)
    if verdict is ResultComparison.CONFLICT:
        tracker.clash(record, "the id is known with another content")
    elif verdict is ResultComparison.SUSPECT:
        tracker.clash(record, "the id was captured before; its content is no longer at hand to compare")


def _enrol(tracker: ResultTracker, newest: Answer, start_after: int | None) -> None:
    if start_after is not None:
        tracker.enrol(start_after or None, None, f"capture starts after id {start_after}, as configured")
    elif isinstance(newest, ResultRecord):
        tracker.enrol(newest.entry.id, newest, f"capture starts here, after id {newest.entry.id}")
    else:
        tracker.enrol(None, None, "capture starts here; the controller's memory is empty")


def _fetch(tracker: ResultTracker, newest: ResultRecord, *, again: bool) -> Asking:
    top = max(newest.entry.id, tracker.ledger.highest)
    held = {newest.entry.id: newest}
    lost: list[tuple[int, int]] = []
    for first, last in rules.wanted(tracker.ledger, top, again=again):
        # Where id 1 was captured nothing can lie below: from there on it is asked upward, and kept at once.
        fresh = not tracker.ledger.watermark and (first == 1 or tracker.ledger.open_start)
        if fresh:
            below = yield from _descend(tracker, first, last, held)
            if tracker.ledger.open_start:
                below = _settle(tracker, below)
            lost += below
        else:
            lost += yield from _ascend(tracker, first, last, held)
    if tracker.ledger.open_start:
        tracker.settle_start(1)
    lost = yield from _once_more(tracker, lost)
    if lost:
        tracker.missed(_joined(sorted(lost)))


def _once_more(
    tracker: ResultTracker, lost: list[tuple[int, int]]
) -> Generator[int, Answer, list[tuple[int, int]]]:
    """Ask a second time for what was not found, unless it is so much that the memory has lost it."""
    still: list[tuple[int, int]] = []
    for first, last in lost:
        if last - first >= PATIENCE:
            still.append((first, last))
            continue
        still += yield from _ascend(tracker, first, last, {})
    return still


def _settle(tracker: ResultTracker, below: list[tuple[int, int]]) -> list[tuple[int, int]]:
    bottom = below[0] if below and below[0][0] == 1 else None
    tracker.settle_start((bottom[1] if bottom else 0) + 1)
    return below[1:] if bottom else below


def _ascend(
    tracker: ResultTracker, first: int, last: int, held: Mapping[int, ResultRecord]
) -> Generator[int, Answer, list[tuple[int, int]]]:
    lost: list[int] = []
    misses = 0
    for number in range(first, last + 1):
        record = yield from _get(tracker, number, held)
        if isinstance(record, ResultRecord):
            tracker.take(record)
        misses = misses + 1 if record is None else 0
        if record is None:
            lost.append(number)
        if misses > PATIENCE:
            rest = yield from _descend(tracker, number + 1, last, held)
            return _ranges(lost) + rest
    return _ranges(lost)


def _descend(
    tracker: ResultTracker, first: int, last: int, held: Mapping[int, ResultRecord]
) -> Generator[int, Answer, list[tuple[int, int]]]:
    """Fetch from the newest down to where the memory ends, then take what was found in the order of ids."""
    found: list[ResultRecord] = []
    lost: list[int] = []
    misses, number = 0, last
    while number >= first and misses <= PATIENCE:
        record = yield from _get(tracker, number, held)
        if isinstance(record, ResultRecord):
            found.append(record)
        misses = misses + 1 if record is None else 0
        if record is None:
            lost.append(number)
        number -= 1
    for record in reversed(found):
        tracker.take(record)
    unasked = [(first, number)] if number >= first else []
    return _joined(unasked + _ranges(sorted(lost)))


def _get(
    tracker: ResultTracker, number: int, held: Mapping[int, ResultRecord]
) -> Generator[int, Answer, ResultRecord | bool | None]:
    """Return the result with this id, True where it is known by now, None where there is none."""
    if number in tracker.ledger.known:
        return True
    epoch = tracker.ledger.epoch
    answer: Answer = held[number] if number in held else (yield number)
    if tracker.ledger.epoch != epoch:
        raise _EpochChanged
    if number in tracker.ledger.known:
        return True
    if not isinstance(answer, ResultRecord) or answer.entry.id > number:
        return None
    if answer.entry.id < number or not tracker.owns(answer):
        raise _SharedMemory
    return answer


def _walk(tracker: ResultTracker, newest: ResultRecord) -> Asking:
    """Go down from the newest result, each time to the one before, until what is known begins."""
    watermark, epoch = tracker.ledger.watermark or 0, tracker.ledger.epoch
    found: list[ResultRecord] = []
    answer: Answer = newest
    lowest = newest.entry.id + 1
    while isinstance(answer, ResultRecord) and watermark < answer.entry.id < lowest:
        lowest = answer.entry.id
        if tracker.owns(answer) and lowest not in tracker.ledger.known:
            found.append(answer)
        if lowest <= watermark + 1:
            break
        answer = yield lowest - 1
        if tracker.ledger.epoch != epoch:
            raise _EpochChanged
    for record in reversed(found):
        if record.entry.id not in tracker.ledger.known:
            tracker.take(record)
    lost_before = lowest if answer is NoResult.ABSENT and watermark else None
    tracker.complete_up_to(newest.entry, lost_before)


def _ranges(numbers: list[int]) -> list[tuple[int, int]]:
    return _joined([(number, number) for number in numbers])


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in ranges:
        if joined and joined[-1][1] + 1 == first:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined
