"""Tell whether the ids of a controller's results still mean the same, by content and by time."""

from collections.abc import Generator
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from linewitness.devices.open_protocol.ledger.state import HistoryMode, ResultEntry, ResultRecord
from linewitness.devices.open_protocol.ledger.tracker import ResultTracker

#: How many stored results are looked at to tell a full memory from one that began anew.
SAMPLES: Final = 10
#: In the repeated autumn hour a later result carries an earlier time.
FOLD: Final = timedelta(minutes=65)


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
    anchor = tracker.ledger.anchor
    if anchor is None:
        return reset
    answer = yield anchor.id
    if isinstance(answer, ResultRecord) and answer.entry.id == anchor.id:
        return _contradicts(tracker, answer) or ""
    return reset or (yield from _restarted_by_samples(tracker, newest, anchor))


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
        times.append(_earlier(sample.entry, anchor))
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


def restarted_by_time(tracker: ResultTracker, record: ResultRecord) -> str:
    """Return why the ids must have begun anew where the controller has no memory to ask, or ""."""
    known, anchor = tracker.ledger.known.get(record.entry.id), tracker.ledger.anchor
    if known is not None and known.time == record.entry.core.time:
        return ""
    if anchor is not None and _earlier(record.entry, anchor) is True:
        return ""
    return f"id {record.entry.id} came again with a later time"


def _earlier(entry: ResultEntry, anchor: ResultEntry) -> bool | None:
    """Return whether an entry's time is clearly before the anchor's; None where one cannot be read."""
    mine, theirs = _time(entry.core.time), _time(anchor.core.time)
    return None if mine is None or theirs is None else mine < theirs - FOLD


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d:%H:%M:%S")  # noqa: DTZ007 - compared with its like only
    except ValueError:
        return None
