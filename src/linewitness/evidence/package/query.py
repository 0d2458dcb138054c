"""Choose records out of a stream for a package: by unit, by batch or by time."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from linewitness.evidence.format import record
from linewitness.evidence.format.merkle import Subtree
from linewitness.evidence.package.build import CannotPack
from linewitness.evidence.package.course import UnitCourses
from linewitness.evidence.package.spool import RecordSpool
from linewitness.evidence.package.time_stamps import StampedCheckpoint
from linewitness.evidence.progress import Progress

#: Fields under which a record may name the batch that a unit belongs to.
BATCH_FIELDS: Final = frozenset(("batch", "batch_id", "lot", "lot_id", "order", "order_id"))
#: Each record comes with a proof of its own, and a verifier keeps the names of a package's files in memory.
MAX_RECORDS: Final = 250_000

_OCCURRED: Final = b'"occurred_at":"'
_TIME_BYTES: Final = 24
_EVERY: Final = 1000

Numbered = Iterator[tuple[int, bytes]]


class Holdings(Protocol):
    """Whoever holds a stream: a journal or an audit store. Records are (sequence_no, exact bytes)."""

    @property
    def origin(self) -> str:
        """The stream."""

    @property
    def size(self) -> int:
        """The number of its records, those included that are no longer here."""

    @property
    def first(self) -> int:
        """From this record on nothing is missing here."""

    def records(self) -> Numbered:
        """Yield all records that are here."""

    def between(self, first: int, last: int) -> Numbered:
        """Yield the records [first, last) that are here."""

    def of_unit(self, unit: str) -> Numbered:
        """Yield the records of one serialized unit."""

    def key_records(self) -> Numbered:
        """Yield record 0 and every `key.rotated`."""

    def notes(self) -> Iterable[str]:
        """Yield receipts and what else carries signatures of other parties, as signed notes."""

    def stamps(self) -> Iterable[StampedCheckpoint]:
        """Yield the time stamps over checkpoints of the stream, oldest first."""

    @property
    def subtree(self) -> Subtree:
        """Read the Merkle tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordQuery:
    """What is asked for: units and batches add up, the times (RFC 3339, UTC, end excluded) cut down."""

    units: tuple[str, ...] = ()
    batches: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None

    @property
    def is_all(self) -> bool:
        """Whether nothing was asked for in particular."""
        return not (self.units or self.batches or self.since or self.until)

    @property
    def title(self) -> str:
        """What the package is called."""
        if self.is_all:
            return "The whole stream"
        parts = [f"Unit {unit}" for unit in self.units] + [f"Batch {batch}" for batch in self.batches]
        if self.since or self.until:
            parts.append(f"{self.since or 'the beginning'} to {self.until or 'the end'}")
        return ", ".join(parts)

    @property
    def asked(self) -> dict[str, Any]:
        """What was asked for, as a manifest says it."""
        return {
            "units": list(self.units),
            "batches": list(self.batches),
            "since": self.since,
            "until": self.until,
        }

    def collect(
        self,
        holdings: Holdings,
        spool: RecordSpool,
        *,
        most: int | None = MAX_RECORDS,
        progress: Progress | None = None,
    ) -> None:
        """Put the records that are asked for into `spool`; CannotPack if they are too many.

        To the records of units come those that say when there was capture at their stations meanwhile.
        `progress` is told how many were looked at.
        """
        for looked, (number, data) in enumerate(self._candidates(holdings), 1):
            if progress and looked % _EVERY == 0:
                progress(looked)
            if data is not None and self._in_time(data):
                spool.add(number, data)
            if most is not None and len(spool) > most:
                raise CannotPack(
                    f"these are more than {most:,} records, each of which would need a proof of its own",
                    hint="ask for shorter times or fewer units, one package each; or export the whole stream"
                    " (no --unit, --batch, --from, --to), which needs no proofs and has no limit",
                )

    def _candidates(self, holdings: Holdings) -> Iterator[tuple[int, bytes | None]]:
        """Yield records that may be asked for; None for one that was looked at in vain."""
        if not self.units and not self.batches:
            yield from holdings.records()
            return
        units = dict.fromkeys(self.units)
        if self.batches:
            batches = frozenset(self.batches)
            marks = [json.dumps(batch, ensure_ascii=False).encode() for batch in self.batches]
            for number, data in holdings.records():
                named = any(mark in data for mark in marks) and _names(data, batches)
                if named and (unit := record.unit_of(record.parse(data))):
                    units[unit] = None
                yield number, data if named else None
        courses = UnitCourses(frozenset(units))
        for unit in units:
            for number, data in holdings.of_unit(unit):
                courses.take(unit, number, data)
                yield number, data
        yield from courses.others(holdings.between)

    def _in_time(self, data: bytes) -> bool:
        if not (self.since or self.until):
            return True
        # The quotes of a name are never escaped, so this stands once in canonical bytes.
        at = data.find(_OCCURRED) + len(_OCCURRED)
        occurred = data[at : at + _TIME_BYTES].decode("ascii", "replace")
        return (self.since is None or self.since <= occurred) and (
            self.until is None or occurred < self.until
        )


def _names(data: bytes, batches: frozenset[str]) -> bool:
    """Say whether a record names one of the batches."""
    changes: list[dict[str, Any]] = record.parse(data)["changes"]
    return any(change["field"] in BATCH_FIELDS and change["after"] in batches for change in changes)
