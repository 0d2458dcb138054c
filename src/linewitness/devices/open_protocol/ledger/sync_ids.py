"""How far the ids of multi-spindle results (0101) are captured, and which are missing.

Pure. Sync ids have 16 bits: 65535 is followed by 0, and that is no loss. Results are told apart by their
times too (`content/spindles.py`): a wrong guess here costs a question or a record of a gap, never a result.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Final

KEY: Final = "sync-ids"
COUNT: Final = 65_536
#: More ids than this are not skipped: the ids began anew, or so much was lost that nobody can count it.
MOST_SKIPPED: Final = 1000


@dataclass(frozen=True, slots=True)
class SyncLedger:
    """The newest sync id and its time, a lower one that came after it, and what is missing below.

    `turned` is the id of a result that came out of order: the next one shows whether the ids began anew.
    After they did, results below `lowest` that were made since the time `since` may still be in the
    controller's memory; `lowest` is None where nothing is to be looked for.
    """

    last: int | None = None
    time: str = ""
    turned: int | None = None
    missing: tuple[int, ...] = ()
    lowest: int | None = None
    since: str = ""

    @classmethod
    def load(cls, remembered: Mapping[str, str]) -> "SyncLedger":
        """Read what was committed; an empty one where there is nothing."""
        text = remembered.get(KEY)
        if text is None:
            return cls()
        values = json.loads(text)
        return cls(**{**values, "missing": tuple(values["missing"])})

    @property
    def remember(self) -> Mapping[str, str | None]:
        """Return what must be remembered, so that `load` gives this."""
        return {KEY: json.dumps(asdict(self))}

    @property
    def following(self) -> int:
        """Return the id that comes after the newest one."""
        return ((self.last or 0) + 1) % COUNT


@dataclass(frozen=True, slots=True)
class SyncStep:
    """The state after a result; `began` on first contact, `anew` where the ids began anew.

    `dropped` were missing and are not asked for any more: they must be named.
    """

    ledger: SyncLedger
    began: bool = False
    anew: bool = False
    dropped: tuple[int, ...] = ()


def take(ledger: SyncLedger, sync: int, time: str) -> SyncStep:
    """Take in the id and time of a result."""
    if ledger.last is None:
        return SyncStep(SyncLedger(sync, time), began=True)
    if sync in ledger.missing:
        return SyncStep(replace(ledger, missing=tuple(each for each in ledger.missing if each != sync)))
    ahead = (sync - ledger.last) % COUNT
    if ahead == 0 and (time == ledger.time or not (time and ledger.time)):
        return SyncStep(ledger)
    return _forward(ledger, sync, time) if 0 < ahead <= MOST_SKIPPED else _jump(ledger, sync, time)


def _jump(ledger: SyncLedger, sync: int, time: str) -> SyncStep:
    """Take in what does not follow the newest result."""
    if ledger.turned is not None and 0 < (sync - ledger.turned) % COUNT <= MOST_SKIPPED:
        step = begin_anew(ledger, ledger.turned, ledger.time)
        return replace(step, ledger=_forward(step.ledger, sync, time).ledger)
    if time > ledger.time or sync == ledger.last:
        return begin_anew(ledger, sync, time)
    # One result of before that came late, or the first one of a clock that fell back.
    return SyncStep(replace(ledger, turned=sync))


def begin_anew(ledger: SyncLedger, sync: int, time: str) -> SyncStep:
    """Take in a result of ids that began anew: what was missing before has lost its name."""
    after = SyncLedger(sync, time, lowest=sync, since=ledger.time)
    return SyncStep(after, anew=True, dropped=ledger.missing)


def take_below(ledger: SyncLedger, sync: int, _: str) -> SyncStep:
    """Take in a result below the lowest one of ids that began anew."""
    return SyncStep(replace(ledger, lowest=sync))


def looked_below(ledger: SyncLedger) -> SyncLedger:
    """Look for no more results below the lowest one."""
    return replace(ledger, lowest=None, since="")


def given_up(ledger: SyncLedger, syncs: frozenset[int]) -> SyncLedger:
    """Ask no more for these: they are named in gap records."""
    return replace(ledger, missing=tuple(each for each in ledger.missing if each not in syncs))


def _forward(ledger: SyncLedger, sync: int, time: str) -> SyncStep:
    before = ledger.last or 0
    skipped = tuple((before + step) % COUNT for step in range(1, (sync - before) % COUNT))
    missing = (*ledger.missing, *(each for each in skipped if each not in ledger.missing))
    after = replace(ledger, last=sync, time=time, turned=None, missing=missing[-MOST_SKIPPED:])
    return SyncStep(after, dropped=missing[:-MOST_SKIPPED])


def spans(syncs: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return ids in their order as ranges, both ends included; a range may pass 65535."""
    found: list[tuple[int, int]] = []
    for sync in syncs:
        if found and (found[-1][1] + 1) % COUNT == sync:
            found[-1] = (found[-1][0], sync)
        else:
            found.append((sync, sync))
    return found
