"""Which results of one controller are safe, which are missing, and whether its memory is still the same.

Pure: a state and a result go in, a new state and what must be remembered come out. Everything at or
below the watermark of the epoch is resolved: stored, or named in a gap record.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from linewitness.devices.open_protocol.ledger.state import (
    HistoryMode,
    MissingRange,
    ResultEntry,
    ResultLedger,
)
from linewitness.devices.open_protocol.ledger.storage import Changes, changes, entries_of, past_of

#: Resolved results whose content is kept, to recognise a repeat and a memory that started again.
RETAINED: Final = 1000
#: How many rounds (connects, reconciliations) an id is asked for before it becomes a gap record.
ROUNDS_BEFORE_GAP: Final = 3
#: How many rounds a recorded gap is still asked for.
ROUNDS_AFTER_GAP: Final = 12


class ResultComparison(StrEnum):
    """What a result is, compared with what is known."""

    NEW = "new"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    SUSPECT = "suspect"
    PAST = "past"


@dataclass(frozen=True, slots=True)
class LedgerStep:
    """A new state, the spans that became gap records in it, and what must be remembered with it."""

    ledger: ResultLedger
    changes: Changes
    gaps: tuple[MissingRange, ...] = ()


def judge(ledger: ResultLedger, entry: ResultEntry, *, live: bool = False) -> ResultComparison:
    """Return what this result is.

    SUSPECT: at or below the watermark, and its content is not kept. PAST: a result of an earlier epoch. A
    `live` one of another unit, or at another place in job and batch, is no repeat; a stored copy may name its
    unit in another way.
    """
    known = ledger.known.get(entry.id)
    if known is not None and entry.core.is_repeat_of(known):
        same_work = not live or entry.core.may_be_same_work(known)
        return ResultComparison.DUPLICATE if same_work else ResultComparison.CONFLICT
    if ledger.is_past(entry):
        return ResultComparison.PAST
    if known is not None:
        return ResultComparison.CONFLICT
    if ledger.watermark is None or entry.id > ledger.watermark:
        return ResultComparison.NEW
    return (
        ResultComparison.NEW if any(entry.id in span for span in ledger.spans) else ResultComparison.SUSPECT
    )


def enrol(ledger: ResultLedger, start_after: int | None, newest: ResultEntry | None = None) -> LedgerStep:
    """Begin capture after this id, or with the oldest one that the controller has (None).

    `newest` is kept as the anchor where it is the id to start after.
    """
    known = {newest.id: newest.core} if newest is not None and newest.id == start_after else {}
    after = replace(
        ledger,
        watermark=start_after or 0,
        known=MappingProxyType(known),
        open_start=start_after is None,
        first=newest if known else None,
    )
    return _step(ledger, after)


def settle_start(ledger: ResultLedger, lowest: int) -> LedgerStep:
    """End an open start: `lowest` is the oldest id that the controller had."""
    after = replace(ledger, watermark=max(ledger.watermark or 0, lowest - 1), open_start=False)
    return _step(ledger, _advance(after))


def accept(ledger: ResultLedger, entry: ResultEntry) -> LedgerStep:
    """Take a new result in; the watermark follows as far as everything below is resolved."""
    after = replace(
        ledger,
        watermark=entry.id - 1 if ledger.watermark is None else ledger.watermark,
        known=MappingProxyType({**ledger.known, entry.id: entry.core}),
        spans=tuple(_without(ledger.spans, entry.id)),
        doubted=False,
        first=entry if ledger.first is None and not ledger.known else ledger.first,
    )
    return _step(ledger, _advance(after))


def skip_to(ledger: ResultLedger, tightening_id: int) -> LedgerStep:
    """Give up everything below this id: the controller has no memory that could be asked."""
    watermark = ledger.watermark
    if watermark is None or ledger.open_start:
        after = replace(ledger, watermark=tightening_id - 1, open_start=False)
        return _step(ledger, after)
    gaps = (
        (MissingRange(watermark + 1, tightening_id - 1, recorded=True),)
        if tightening_id > watermark + 1
        else ()
    )
    return _step(ledger, replace(ledger, watermark=max(watermark, tightening_id - 1)), gaps)


def wanted(ledger: ResultLedger, top: int, *, again: bool = True) -> list[tuple[int, int]]:
    """Return the ranges of ids up to `top` to ask for, ascending.

    `again` includes what was asked for before in vain.
    """
    watermark = ledger.watermark or 0
    known = sorted(number for number in ledger.known if number > watermark)
    open_ranges = list(_between(watermark, known, top))
    if again:
        old = [(span.first, span.last) for span in ledger.spans if span.last <= watermark]
        return old + open_ranges
    for span in ledger.spans:
        open_ranges = [part for each in open_ranges for part in _cut(each, span)]
    return open_ranges


def missed(ledger: ResultLedger, ranges: Iterable[tuple[int, int]]) -> LedgerStep:
    """End a round: these ids were asked for in vain. Those asked for often enough become gap records."""
    spans = list(ledger.spans)
    for first, last in ranges:
        again = [span for span in spans if span.first <= last and first <= span.last]
        spans = [span for span in spans if span not in again]
        spans += _merge(again, first, last)
    spans = [span for span in spans if span.rounds <= ROUNDS_AFTER_GAP]
    fresh = tuple(span for span in spans if span.rounds >= ROUNDS_BEFORE_GAP and not span.recorded)
    spans = [replace(span, recorded=True) if span in fresh else span for span in spans]
    after = replace(ledger, spans=tuple(sorted(spans, key=lambda span: span.first)))
    return _step(ledger, _advance(after), fresh)


def complete_up_to(ledger: ResultLedger, top: ResultEntry, lost_before: int | None = None) -> LedgerStep:
    """Move the watermark to `top`: a walk through the whole memory proved that nothing is left below.

    `top` is kept as the anchor, whatever station it belongs to. `lost_before` is the oldest id that the
    memory still had where it did not reach down to the watermark.
    """
    first = (ledger.watermark or 0) + 1
    lost = lost_before is not None and lost_before > first and not ledger.open_start
    gaps = (MissingRange(first, (lost_before or 0) - 1, recorded=True),) if lost else ()
    after = replace(
        ledger,
        watermark=max(top.id, ledger.watermark or 0),
        known=MappingProxyType({top.id: top.core, **ledger.known}),
        open_start=False,
    )
    return _step(ledger, _advance(after), gaps)


def new_epoch(ledger: ResultLedger) -> LedgerStep:
    """Begin with an empty memory: ids count from 1 again. What was not fetched yet becomes gap records.

    The newest results of the epochs before are kept: the controller may still have them, and send them again.
    """
    ended = [(ledger.epoch, ResultEntry(number, core)) for number, core in sorted(ledger.known.items())]
    after = ResultLedger(
        source=ledger.source,
        epoch=ledger.epoch + 1,
        watermark=0,
        mode=ledger.mode,
        past=past_of([*entries_of(ledger), *ended][-RETAINED:]),
    )
    return _step(ledger, after, tuple(MissingRange(first, last) for first, last in _unresolved(ledger)))


def _unresolved(ledger: ResultLedger) -> Iterator[tuple[int, int]]:
    """Yield what lies between known ids and is neither stored nor in a gap record."""
    watermark = ledger.watermark or 0
    ranges = list(_between(watermark, sorted(n for n in ledger.known if n > watermark), ledger.highest))
    if ledger.open_start and ranges and ranges[0][0] == watermark + 1:
        del ranges[0]
    for span in ledger.spans:
        if span.recorded:
            ranges = [part for each in ranges for part in _cut(each, span)]
    yield from ranges


def doubt(ledger: ResultLedger) -> LedgerStep:
    """Note that it is on record that what followed the newest result may be lost."""
    return _step(ledger, replace(ledger, doubted=True))


def with_mode(ledger: ResultLedger, mode: HistoryMode) -> LedgerStep:
    """Note how this controller answers requests for old results."""
    return _step(ledger, replace(ledger, mode=mode))


def _step(before: ResultLedger, after: ResultLedger, gaps: tuple[MissingRange, ...] = ()) -> LedgerStep:
    kept = _forget_old(after)
    return LedgerStep(kept, changes(before, kept), gaps)


def _forget_old(ledger: ResultLedger) -> ResultLedger:
    resolved = [number for number in ledger.known if number <= (ledger.watermark or 0)]
    if len(resolved) <= RETAINED:
        return ledger
    drop = set(sorted(resolved)[: len(resolved) - RETAINED])
    kept = {number: core for number, core in ledger.known.items() if number not in drop}
    return replace(ledger, known=MappingProxyType(kept))


def _advance(ledger: ResultLedger) -> ResultLedger:
    watermark = ledger.watermark or 0
    if ledger.mode is HistoryMode.AT_OR_BEFORE:
        return ledger
    passable = {span.first: span.last for span in ledger.spans if span.recorded}
    while True:
        if watermark + 1 in ledger.known:
            watermark += 1
        elif watermark + 1 in passable:
            watermark = passable[watermark + 1]
        else:
            # Where id 1 is resolved nothing can lie below what is known.
            return replace(ledger, watermark=watermark, open_start=ledger.open_start and watermark == 0)


def _without(spans: Iterable[MissingRange], tightening_id: int) -> Iterator[MissingRange]:
    for span in spans:
        if tightening_id not in span:
            yield span
            continue
        if span.first < tightening_id:
            yield replace(span, last=tightening_id - 1)
        if tightening_id < span.last:
            yield replace(span, first=tightening_id + 1)


def _merge(again: Iterable[MissingRange], first: int, last: int) -> Iterator[MissingRange]:
    """Yield the spans with one round more where they lie in first..last, and new ones for the rest."""
    position = first
    for span in sorted(again, key=lambda each: each.first):
        if span.first < first:
            yield replace(span, last=first - 1)
        if position < span.first:
            yield MissingRange(position, span.first - 1)
        yield replace(span, first=max(span.first, first), last=min(span.last, last), rounds=span.rounds + 1)
        if span.last > last:
            yield replace(span, first=last + 1)
        position = min(span.last, last) + 1
    if position <= last:
        yield MissingRange(position, last)


def _between(watermark: int, known: list[int], top: int) -> Iterator[tuple[int, int]]:
    position = watermark + 1
    for number in [*known, top + 1]:
        if position < number and position <= top:
            yield position, min(number - 1, top)
        position = max(position, number + 1)


def _cut(whole: tuple[int, int], span: MissingRange) -> Iterator[tuple[int, int]]:
    first, last = whole
    if span.last < first or last < span.first:
        yield whole
        return
    if first < span.first:
        yield first, span.first - 1
    if span.last < last:
        yield span.last + 1, last
