"""Fetch stored results that are not known, id by id or downward: a dialogue of questions, without a socket.

Each function is a generator as in `recovery.py`.
"""

import itertools
from collections.abc import Generator, Mapping
from typing import Final

from linewitness.devices.open_protocol.ledger import rules
from linewitness.devices.open_protocol.ledger.epochs import Answer, Asking, NoResult
from linewitness.devices.open_protocol.ledger.restarts import earlier
from linewitness.devices.open_protocol.ledger.state import ResultRecord
from linewitness.devices.open_protocol.ledger.tracker import ResultTracker

#: So many ids in a row that are not there, or that are of an earlier epoch, mean that the memory ends here.
PATIENCE: Final = 20
#: The highest id that can be asked for.
LAST_ID: Final = 9_999_999_999


class SharedMemory(Exception):
    """An answer that only a memory shared between stations gives."""


class EpochChanged(Exception):
    """A live result proved that the ids began anew while we were asking for old ones."""


def upward(tracker: ResultTracker, most: int | None = None) -> Asking:
    """Fetch what follows the highest known id, where the newest result does not say how far that goes.

    It ends with the first id that is missing, or holds what was made before; after `most` questions at last.
    """
    anchor = tracker.ledger.anchor
    for number in itertools.islice(range(tracker.ledger.highest + 1, LAST_ID + 1), most):
        record = yield from get(tracker, number, {})
        if not isinstance(record, ResultRecord) or tracker.ledger.is_past(record.entry):
            return
        if anchor is not None and earlier(record.entry, anchor) is not False:
            return
        tracker.take(record)


def fetch(tracker: ResultTracker, newest: ResultRecord, *, again: bool) -> Asking:
    """Fetch each id up to the newest that is not known, by itself."""
    held = {newest.entry.id: newest}
    if tracker.ledger.is_past(newest.entry) and newest.entry.id > tracker.ledger.highest:
        # The controller counts as its newest what has the highest id, and that is of an earlier epoch.
        held = {}
        yield from upward(tracker)
    top = max([tracker.ledger.highest, *held])
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
        record = yield from get(tracker, number, held)
        if isinstance(record, ResultRecord):
            tracker.take(record)
        misses = misses + 1 if record is None else 0
        if record is None:
            lost.append(number)
        if misses > PATIENCE:
            rest = yield from _descend(tracker, number + 1, last, held)
            return ranges_of(lost) + rest
    return ranges_of(lost)


def _descend(
    tracker: ResultTracker, first: int, last: int, held: Mapping[int, ResultRecord]
) -> Generator[int, Answer, list[tuple[int, int]]]:
    """Fetch from the newest down to where the memory ends, then take what was found in the order of ids."""
    found: list[ResultRecord] = []
    lost: list[int] = []
    misses, repeats, number = 0, 0, last
    while number >= first and misses <= PATIENCE and repeats <= PATIENCE:
        record = yield from get(tracker, number, held)
        past = isinstance(record, ResultRecord) and tracker.ledger.is_past(record.entry)
        repeats = repeats + 1 if past else 0
        if isinstance(record, ResultRecord):
            found.append(record)
        misses = misses + 1 if record is None else 0
        if record is None:
            lost.append(number)
        number -= 1
    for record in reversed(found):
        tracker.take(record)
    unasked = [(first, number)] if number >= first else []
    if unasked and repeats > PATIENCE and first == (tracker.ledger.watermark or 0) + 1:
        # The memory was not emptied: below lies what earlier epochs have, and nothing of this one.
        tracker.settle_start(number + 1)
        unasked = []
    return _joined(unasked + ranges_of(sorted(lost)))


def get(
    tracker: ResultTracker, number: int, held: Mapping[int, ResultRecord]
) -> Generator[int, Answer, ResultRecord | bool | None]:
    """Return the result with this id, True where it is known by now, None where there is none.

    Raises `EpochChanged` and `SharedMemory`.
    """
    if number in tracker.ledger.known:
        return True
    epoch = tracker.ledger.epoch
    answer: Answer = held[number] if number in held else (yield number)
    if tracker.ledger.epoch != epoch:
        raise EpochChanged
    if number in tracker.ledger.known:
        return True
    if not isinstance(answer, ResultRecord) or answer.entry.id > number:
        return None
    if answer.entry.id < number or not tracker.owns(answer):
        raise SharedMemory
    return answer


def walk(tracker: ResultTracker, newest: ResultRecord) -> Asking:
    """Go down from the newest result, each time to the one before, until what is known begins."""
    watermark, epoch = tracker.ledger.watermark or 0, tracker.ledger.epoch
    found: list[ResultRecord] = []
    answer: Answer = newest
    lowest, repeats = newest.entry.id + 1, 0
    while isinstance(answer, ResultRecord) and watermark < answer.entry.id < lowest:
        lowest = answer.entry.id
        repeats = repeats + 1 if tracker.ledger.is_past(answer.entry) else 0
        if tracker.owns(answer) and lowest not in tracker.ledger.known:
            found.append(answer)
        if lowest <= watermark + 1 or repeats > PATIENCE:
            break
        answer = yield lowest - 1
        if tracker.ledger.epoch != epoch:
            raise EpochChanged
    for record in reversed(found):
        if record.entry.id not in tracker.ledger.known:
            tracker.take(record)
    lost_before = lowest if answer is NoResult.ABSENT and watermark else None
    tracker.complete_up_to(newest.entry, lost_before)


def ranges_of(numbers: list[int]) -> list[tuple[int, int]]:
    """Return ascending numbers as ranges, both ends included."""
    return _joined([(number, number) for number in numbers])


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in ranges:
        if joined and joined[-1][1] + 1 == first:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined
