"""Tell whether the ids of a controller's results still mean the same, by content and by time."""

from collections.abc import Generator
from enum import Enum
from typing import Final

from linewitness.devices.open_protocol.ledger import rules
from linewitness.devices.open_protocol.ledger.restarts import earlier
from linewitness.devices.open_protocol.ledger.rules import ResultComparison
from linewitness.devices.open_protocol.ledger.state import HistoryMode, ResultEntry, ResultRecord
from linewitness.devices.open_protocol.ledger.tracker import ResultTracker

#: How many stored results are looked at to tell a full memory from one that began anew.
SAMPLES: Final = 10


class NoResult(Enum):
    """Why there is no result in an answer."""

    ABSENT = "absent"
    UNREADABLE = "unreadable"
    UNSUPPORTED = "unsupported"


Answer = ResultRecord | NoResult
Asking = Generator[int, Answer, None]


def restarted(tracker: ResultTracker, newest: ResultRecord, highest: int) -> Generator[int, Answer, str]:
    """Return why the ids must have begun anew, or "". `highest` was known before the newest was asked for."""
    evidence = _contradicts(tracker, newest)
    if evidence:
        return evidence
    lower = newest.entry.id < highest
    reset = f"the newest id is {newest.entry.id}, and {highest} was captured before" if lower else ""
    if evidence is not None:
        return reset if lower and not (yield from _still_there(tracker, highest)) else ""
    past = tracker.ledger.is_past(newest.entry)
    if lower and not past and _is_resolved(tracker, newest):
        # The controller says that this was made after the highest, whatever its memory still holds.
        return reset
    contradiction = yield from _anchor_contradicts(tracker)
    if contradiction is not None or past:
        # What has the highest id may be of an earlier epoch; then it says nothing about this one.
        return contradiction or ""
    anchor = tracker.ledger.anchor
    if anchor is None:
        return reset
    return reset or (yield from _restarted_by_samples(tracker, newest, anchor))


def _is_resolved(tracker: ResultTracker, newest: ResultRecord) -> bool:
    """Whether a result that is not known has an id that nothing is missing under."""
    unknown = newest.entry.id not in tracker.ledger.known and not newest.entry.core.blank
    return unknown and rules.judge(tracker.ledger, newest.entry) is ResultComparison.SUSPECT


def _anchor_contradicts(tracker: ResultTracker) -> Generator[int, Answer, str | None]:
    """Ask for the anchor; return why it is another result, "" where it is the same, None where it is gone."""
    anchor = tracker.ledger.anchor
    answer = (yield anchor.id) if anchor is not None else NoResult.ABSENT
    if anchor is not None and isinstance(answer, ResultRecord) and answer.entry.id == anchor.id:
        return _contradicts(tracker, answer) or ""
    return None


def _still_there(tracker: ResultTracker, number: int) -> Generator[int, Answer, bool]:
    """Ask for a result that a controller may have pushed before it counted it as its newest."""
    answer = yield number
    return (
        isinstance(answer, ResultRecord) and answer.entry.id == number and not _contradicts(tracker, answer)
    )


def _contradicts(tracker: ResultTracker, record: ResultRecord) -> str | None:
    """Return why a stored result is not the one we know; "" where it is, None where we know none."""
    known = tracker.ledger.known.get(record.entry.id)
    if known is None or known.blank or record.entry.core.blank:
        return None
    if known.matches(record.entry.core):
        return ""
    return f"id {record.entry.id} holds another result than the one captured"


def _restarted_by_samples(
    tracker: ResultTracker, newest: ResultRecord, anchor: ResultEntry
) -> Generator[int, Answer, str]:
    """Tell a memory that has overwritten the anchor from one that began anew, by the newest results."""
    sample: Answer = newest
    times: list[bool | None] = []
    while isinstance(sample, ResultRecord) and len(times) < SAMPLES:
        evidence = _contradicts(tracker, sample)
        if evidence is not None:
            return evidence
        times.append(earlier(sample.entry, anchor))
        if sample.entry.id <= 1:
            break
        below = sample.entry.id - 1
        sample = yield below
        if isinstance(sample, ResultRecord) and sample.entry.id > below:
            break
    if any(times):
        return f"stored results are older than id {anchor.id}, which is not stored any more"
    if None in times:
        return f"id {anchor.id} is not stored any more, and times do not show why: operator action required"
    if tracker.ledger.mode is HistoryMode.EXACT:
        tracker.doubt(f"id {anchor.id} is not stored any more: what followed it may have been overwritten")
    return ""
