"""Tell a result that was made after the ids began anew from a repeat: by width, time, values and place.

Pure, for results that a controller pushes under an id that was resolved before. What it says about its
memory is asked in `epochs.py`; this decides where there is no memory, or where it does not settle the matter.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from linewitness.devices.open_protocol.ledger.rules import RETAINED
from linewitness.devices.open_protocol.ledger.state import NO_ID, ResultCore, ResultEntry, ResultLedger

#: In the repeated autumn hour a later result carries an earlier time.
FOLD: Final = timedelta(minutes=65)
#: A clock that was set to another zone moves all times by a multiple of this, and by no more than a day.
ZONE_STEP: Final = timedelta(minutes=15)
MOST_ZONES: Final = timedelta(hours=26)
#: Highest ids of counters: as many decimal digits as the controller shows, or as many bits as it counts with.
DECIMAL_WIDTHS: Final = frozenset(10**digits - 1 for digits in range(4, 11))
BINARY_WIDTHS: Final = frozenset(2**bits - 1 for bits in (15, 16, 31, 32))
WIDTHS: Final = DECIMAL_WIDTHS | BINARY_WIDTHS
#: A counter that lost so many results around its highest id is still taken to have wrapped.
AROUND_WRAP: Final = 100


class Origin(StrEnum):
    """Where a result under a resolved id comes from."""

    NEW_EPOCH = "new epoch"
    SAME_EPOCH = "same epoch"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Ruling:
    """Where a result comes from, and why."""

    origin: Origin
    reason: str


def wrapped(highest: int, number: int) -> bool:
    """Whether this id follows the highest one that a counter of some width has; 0 is no id."""
    return number == 1 and highest in WIDTHS


def passes_zero(highest: int) -> bool:
    """Whether a counter that ends with this id goes on with 0, as one that counts in bits does."""
    return highest in BINARY_WIDTHS


def rule(ledger: ResultLedger, entry: ResultEntry, *, vouched: bool) -> Ruling:
    """Return where a pushed result comes from whose id was resolved before with another or unknown content.

    `vouched`: the controller says that the newest result that we know is its newest.
    """
    if wrapped(ledger.highest, entry.id):
        return _anew(f"the ids wrapped: {entry.id} follows {ledger.highest}")
    known = ledger.known.get(entry.id)
    if known is not None:
        return _against_known(ledger, entry, known)
    if _was_never_captured(ledger, entry.id):
        return _never_captured(ledger, entry, vouched=vouched)
    return _forgotten(ledger, entry)


def earlier(entry: ResultEntry, anchor: ResultEntry) -> bool | None:
    """Return whether an entry's time is clearly before the anchor's; None where one cannot be read."""
    mine, theirs = _time(entry.core.time), _time(anchor.core.time)
    return None if mine is None or theirs is None else mine < theirs - FOLD


def _against_known(ledger: ResultLedger, entry: ResultEntry, known: ResultCore) -> Ruling:
    """Decide against the content that was captured under the same id."""
    values, went_back = entry.core.differs_in_values(known), entry.id != ledger.highest
    mine, theirs = _time(entry.core.time), _time(known.time)
    stands_still = went_back and mine == theirs == _time_of(ledger, ledger.highest)
    if mine is None or theirs is None or stands_still:
        if went_back and (values or not entry.core.may_be_same_work(known)):
            return _anew(f"id {entry.id} came again with other content after id {ledger.highest}")
        return _open("the id is known with another content, and there is no time to tell why")
    if mine == theirs:
        return _open("the id is known with another content of the same time")
    if values or entry.core.is_elsewhere(known):
        what = "and other values" if values else "at another place in its job or batch"
        return _anew(f"id {entry.id} came again with another time {what}")
    shift = abs(mine - theirs)
    if went_back and (shift > MOST_ZONES or shift % ZONE_STEP):
        return _anew(f"id {entry.id} came again with another time after id {ledger.highest}")
    return _open("the id is known with the same values, and only the time differs")


def _never_captured(ledger: ResultLedger, entry: ResultEntry, *, vouched: bool) -> Ruling:
    """Decide about an id that has no content because nothing came under it."""
    below = max((n for n in ledger.known if NO_ID < n < entry.id), default=None)
    above = min((n for n in ledger.known if n > entry.id), default=None)
    mine = _time(entry.core.time)
    if below is None and (_is_latest(ledger, mine) or _around_wrap(ledger.highest, entry.id)):
        return _anew(f"id {entry.id} came after id {ledger.highest}, and was made after it")
    if not vouched and (below is None or not _fits(ledger, mine, below, above)):
        return _anew(f"id {entry.id} came after id {ledger.highest}, at a time that has no place before it")
    return Ruling(Origin.SAME_EPOCH, f"id {entry.id} was missing, and came later")


def _forgotten(ledger: ResultLedger, entry: ResultEntry) -> Ruling:
    """Decide about an id whose content is not kept any more."""
    mine, lowest = _time(entry.core.time), min(ledger.known, default=entry.id)
    if _is_latest(ledger, mine) or not _fits(ledger, mine, None, lowest):
        return _anew(f"id {entry.id} came again with a later time")
    if mine is not None and ledger.first is not None and earlier(entry, ledger.first):
        return _anew(f"id {entry.id} came again with a time before id {ledger.first.id}, the first one")
    if _around_wrap(ledger.highest, entry.id):
        return _anew(f"the ids wrapped: {entry.id} came after {ledger.highest}")
    return _open("the id was captured before, and its content is no longer at hand to compare")


def _was_never_captured(ledger: ResultLedger, number: int) -> bool:
    """Whether nothing was captured under an id that has no content: not even what is forgotten by now."""
    resolved = [known for known in ledger.known if known <= (ledger.watermark or 0)]
    return len(resolved) < RETAINED or number > min(resolved)


def _fits(ledger: ResultLedger, mine: datetime | None, below: int | None, above: int | None) -> bool:
    """Whether a time lies between those of two ids, as far as they can be read."""
    after, before = _time_of(ledger, below), _time_of(ledger, above)
    if mine is None:
        return True
    return (after is None or mine >= after - FOLD) and (before is None or mine <= before + FOLD)


def _time_of(ledger: ResultLedger, number: int | None) -> datetime | None:
    core = ledger.known.get(number) if number is not None else None
    return None if core is None else _time(core.time)


def _is_latest(ledger: ResultLedger, mine: datetime | None) -> bool:
    """Whether a time is after that of the newest result, as far as both can be read."""
    newest = _time(ledger.anchor.core.time) if ledger.anchor is not None else None
    return mine is not None and newest is not None and mine > newest


def _around_wrap(highest: int, number: int) -> bool:
    return any(highest <= width and width - highest + number <= AROUND_WRAP for width in WIDTHS)


def _anew(reason: str) -> Ruling:
    return Ruling(Origin.NEW_EPOCH, reason)


def _open(reason: str) -> Ruling:
    return Ruling(Origin.UNDECIDED, reason)


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d:%H:%M:%S")  # noqa: DTZ007 - compared with its like only
    except ValueError:
        return None
