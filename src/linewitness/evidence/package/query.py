"""Choose records out of a stream for a package: by unit, by batch, by component or by time."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from linewitness.evidence.format import record
from linewitness.evidence.format.merkle import Subtree
from linewitness.evidence.history.trace import ComponentQuery, ComponentTrace
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
    """What is asked for: units, batches and components add up, the times cut down.

    A component asks for all units that ever had it. The times are RFC 3339 in UTC, the end excluded.
    """

    units: tuple[str, ...] = ()
    batches: tuple[str, ...] = ()
    components: tuple[ComponentQuery, ...] = ()
    since: str | None = None
    until: str | None = None

    @property
    def is_all(self) -> bool:
        """Whether nothing was asked for in particular."""
        return not (self.is_of_units or self.since or self.until)

    @property
    def is_of_units(self) -> bool:
        """Whether it asks for units, by themselves or by what they are of."""
        return bool(self.units or self.batches or self.components)

    @property
    def searches(self) -> bool:
        """Whether all records have to be looked at to find the units."""
        return bool(self.batches or self.components) or not self.units

    @property
    def title(self) -> str:
        """What the package is called."""
        if self.is_all:
            return "The whole stream"
        parts = [f"Unit {unit}" for unit in self.units] + [f"Batch {batch}" for batch in self.batches]
        parts += [component.title for component in self.components]
        if self.since or self.until:
            parts.append(f"{self.since or 'the beginning'} to {self.until or 'the end'}")
        return ", ".join(parts)

    @property
    def asked(self) -> dict[str, Any]:
        """What was asked for, as a manifest says it."""
        return {
            "units": list(self.units),
            "batches": list(self.batches),
            "components": [component.asked for component in self.components],
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
    ) -> ComponentTrace:
        """Put the records that are asked for into `spool`; CannotPack if they are too many.

        To the records of units come those that say when there was capture at their stations meanwhile.
        `progress` is told how many were looked at. Return which units had the components.
        """
        trace = ComponentTrace(self.components)
        for looked, (number, data) in enumerate(self._candidates(holdings, trace), 1):
            if progress and looked % _EVERY == 0:
                progress(looked)
            if data is not None and self._in_time(data):
                spool.add(number, data)
            if most is not None and len(spool) > most:
                raise CannotPack(
                    f"these are more than {most:,} records, each of which would need a proof of its own",
                    hint="ask for shorter times or fewer units, one package each; or export the whole stream"
                    " (no --unit, --batch, --part, --from, --to), which needs no proofs and has no limit",
                )
        return trace

    def _candidates(self, holdings: Holdings, trace: ComponentTrace) -> Iterator[tuple[int, bytes | None]]:
        """Yield records that may be asked for; None for one that was looked at in vain."""
        if not self.is_of_units:
            yield from holdings.records()
            return
        units = dict.fromkeys(self.units)
        if self.searches:
            for number, data in holdings.records():
                named = self._names_batch(data)
                if named and (unit := record.unit_of(record.parse(data))):
                    units[unit] = None
                yield number, data if trace.take(data) or named else None
            units |= dict.fromkeys(trace.units)
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

    def _names_batch(self, data: bytes) -> bool:
        """Say whether a record names one of the batches."""
        if not any(json.dumps(batch, ensure_ascii=False).encode() in data for batch in self.batches):
            return False
        changes: list[dict[str, Any]] = record.parse(data)["changes"]
        return any(change["field"] in BATCH_FIELDS and change["after"] in self.batches for change in changes)
