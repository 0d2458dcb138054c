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
    """

    last: int | None = None
    time: str = ""
    turned: int | None = None
    missing: tuple[int, ...] = ()

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
    """The state after a result; `began` on first contact, `anew` where the ids began anew."""

    ledger: SyncLedger
    began: bool = False
    anew: bool = False


def take(ledger: SyncLedger, sync: int, time: str) -> SyncStep:
    """Take in the id and time of a result."""
    if ledger.last is None:
        return SyncStep(SyncLedger(sync, time), began=True)
    if sync in ledger.missing:
        return SyncStep(replace(ledger, missing=tuple(each for each in ledger.missing if each != sync)))
    ahead = (sync - ledger.last) % COUNT
    if ahead <= MOST_SKIPPED:
        return SyncStep(_forward(ledger, ledger.last, sync, time) if ahead else ledger)
    if ledger.turned is not None and 0 < (sync - ledger.turned) % COUNT <= MOST_SKIPPED:
        return SyncStep(_forward(ledger, ledger.turned, sync, time), anew=True)
    if time > ledger.time:
        return SyncStep(replace(ledger, last=sync, time=time, turned=None), anew=True)
    # One result of before that came late, or the first one of a clock that fell back.
    return SyncStep(replace(ledger, turned=sync))


def given_up(ledger: SyncLedger, syncs: frozenset[int]) -> SyncLedger:
    """Ask no more for these: they are named in gap records."""
    return replace(ledger, missing=tuple(each for each in ledger.missing if each not in syncs))


def _forward(ledger: SyncLedger, before: int, sync: int, time: str) -> SyncLedger:
    skipped = tuple((before + step) % COUNT for step in range(1, (sync - before) % COUNT))
    missing = (*ledger.missing, *(each for each in skipped if each not in ledger.missing))
    return SyncLedger(sync, time, None, missing[-MOST_SKIPPED:])


def spans(syncs: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return ids in their order as ranges, both ends included; a range may pass 65535."""
    found: list[tuple[int, int]] = []
    for sync in syncs:
        if found and (found[-1][1] + 1) % COUNT == sync:
            found[-1] = (found[-1][0], sync)
        else:
            found.append((sync, sync))
    return found
