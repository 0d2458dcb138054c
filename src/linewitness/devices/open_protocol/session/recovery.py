"""Find out what the controller still has that we do not: a dialogue of questions, without a socket.

Each function is a generator: it yields the id that it wants to ask for (0: the newest result) and is
sent the answer. Live results may be taken into the same ledger between question and answer.
"""

import contextlib
import itertools
from typing import Final

from linewitness.devices.open_protocol.ledger import rules
from linewitness.devices.open_protocol.ledger.epochs import Answer, Asking, NoResult, restarted
from linewitness.devices.open_protocol.ledger.restarts import Origin, rule, wrapped
from linewitness.devices.open_protocol.ledger.rules import ResultComparison
from linewitness.devices.open_protocol.ledger.state import NO_ID, HistoryMode, ResultRecord
from linewitness.devices.open_protocol.ledger.tracker import ResultTracker
from linewitness.devices.open_protocol.session.fetching import (
    EpochChanged,
    SharedMemory,
    fetch,
    get,
    upward,
    walk,
)

__all__ = ["NEWEST", "Answer", "Asking", "NoResult", "back_fill", "establish", "resolve"]

NEWEST: Final = 0
#: Asked for where ids are shared: the answer is the result with the highest id, whenever it was made.
HIGHEST: Final = 4_294_967_295
#: So many results of an epoch that ended are fetched before the next one begins …
MOST_AT_START: Final = 1000
#: … and so many while a live result waits for that.
MOST_WHILE_LIVE: Final = 40
#: Nothing was missing under such an id: either an old result is pushed late, or the ids began anew.
BEFORE_START: Final = (
    "id {id} came after id {highest}, and lies before the start of capture: "
    "the ids may have begun anew, and what was made under lower ids since may be lost"
)
#: Comparisons that leave open what a result is.
OPEN: Final = frozenset({ResultComparison.CONFLICT, ResultComparison.SUSPECT})


def establish(tracker: ResultTracker, start_after: int | None) -> Asking:
    """Make sure that the ids still mean what they meant; on first contact, note where capture starts."""
    if tracker.ledger.mode is HistoryMode.NONE:
        return
    highest, epoch = tracker.ledger.highest, tracker.ledger.epoch
    newest = yield NEWEST
    if newest is NoResult.UNSUPPORTED:
        tracker.use(HistoryMode.NONE)
        return
    if tracker.ledger.watermark is None:
        _enrol(tracker, newest, start_after)
    elif isinstance(newest, ResultRecord):
        if newest.entry.id == NO_ID:
            return
        reason = yield from restarted(tracker, newest, highest)
        if reason:
            yield from _end_epoch(tracker, epoch, reason, newest.entry.id)
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
        if newest.entry.id == NO_ID:
            tracker.take(newest)
            return
        try:
            if tracker.ledger.mode is HistoryMode.AT_OR_BEFORE:
                yield from walk(tracker, newest)
            else:
                yield from fetch(tracker, newest, again=again)
        except SharedMemory:
            tracker.use(HistoryMode.AT_OR_BEFORE)
        except EpochChanged:
            again = True
        else:
            return


def resolve(tracker: ResultTracker, record: ResultRecord) -> Asking:
    """Decide about a live result that contradicts what is known: a new epoch, or what nobody can decide."""
    highest, epoch = tracker.ledger.highest, tracker.ledger.epoch
    reason, vouched = "", False
    if not wrapped(highest, record.entry.id):
        newest: Answer = NoResult.UNSUPPORTED if tracker.ledger.mode is HistoryMode.NONE else (yield NEWEST)
        if isinstance(newest, ResultRecord) and newest.entry.id != NO_ID:
            reason = yield from restarted(tracker, newest, highest)
            vouched = not reason and newest.entry.id >= highest
        elif newest is NoResult.ABSENT:
            reason = "the controller's memory is empty, and a lower id came again"
    # Meanwhile it may have been taken from the memory, or another result may have begun the epoch.
    verdict = rules.judge(tracker.ledger, record.entry, live=record.live)
    fills_hole = verdict is ResultComparison.NEW and record.entry.id < tracker.ledger.highest
    if (verdict in OPEN or fills_hole) and not reason:
        ruling = rule(tracker.ledger, record.entry, vouched=vouched)
        if ruling.origin is Origin.UNDECIDED:
            tracker.clash(record, ruling.reason)
            return
        if ruling.origin is Origin.SAME_EPOCH:
            if tracker.ledger.lies_before_start(record.entry.id):
                tracker.doubt(BEFORE_START.format(id=record.entry.id, highest=highest))
            tracker.take_late(record)
            return
        reason = ruling.reason
    if reason:
        yield from _end_epoch(tracker, epoch, reason, record.entry.id, most=MOST_WHILE_LIVE)
    if tracker.take(record, certain=True) in OPEN:
        tracker.clash(record, "the id is known with another content in the epoch that began")


def _end_epoch(
    tracker: ResultTracker, epoch: int, reason: str, above: int, most: int = MOST_AT_START
) -> Asking:
    """Fetch what the memory still has of this epoch above an id of the next one, then begin that.

    At most so many questions are asked; what is not fetched is named as missing.
    """
    with contextlib.suppress(EpochChanged, SharedMemory):
        yield from _fetch_rest(tracker, above, most)
    if tracker.ledger.epoch == epoch:
        tracker.begin_epoch(reason, following=above)


def _fetch_rest(tracker: ResultTracker, above: int, most: int) -> Asking:
    anchor = tracker.ledger.anchor
    if tracker.ledger.mode is HistoryMode.NONE or anchor is None or anchor.id <= above:
        return
    answer = yield anchor.id
    if not isinstance(answer, ResultRecord) or answer.entry.id != anchor.id:
        return
    if not anchor.core.matches(answer.entry.core):
        return
    if tracker.ledger.mode is HistoryMode.AT_OR_BEFORE:
        newest = yield HIGHEST
        if isinstance(newest, ResultRecord) and newest.entry.id > above:
            yield from walk(tracker, newest)
        return
    holes = rules.wanted(tracker.ledger, tracker.ledger.highest, again=False)
    missing = (number for first, last in holes for number in range(max(first, above + 1), last + 1))
    for number in itertools.islice(missing, most):
        record = yield from get(tracker, number, {})
        if isinstance(record, ResultRecord):
            tracker.take(record)
    yield from upward(tracker, most)


def _enrol(tracker: ResultTracker, newest: Answer, start_after: int | None) -> None:
    if start_after is not None:
        tracker.enrol(start_after or None, None, f"capture starts after id {start_after}, as configured")
    elif isinstance(newest, ResultRecord) and newest.entry.id == NO_ID:
        tracker.enrol(None, None, "capture starts here; the controller's results have no ids")
        tracker.note_content(newest)
    elif isinstance(newest, ResultRecord):
        tracker.enrol(newest.entry.id, newest, f"capture starts here, after id {newest.entry.id}")
    else:
        tracker.enrol(None, None, "capture starts here; the controller's memory is empty")
