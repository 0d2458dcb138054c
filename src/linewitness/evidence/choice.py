"""Choose records out of a stream for a package: by unit, by batch or by time."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from linewitness.evidence import record
from linewitness.evidence.merkle import Subtree
from linewitness.evidence.packing import CannotPack
from linewitness.evidence.stamps import Stamped

#: Fields under which a record may name the batch that a unit belongs to.
BATCH_FIELDS: Final = frozenset(("batch", "batch_id", "lot", "lot_id", "order", "order_id"))
#: Each record comes with a proof, and a package has a limit on its files.
MAX_CHOSEN: Final = 40_000

_OCCURRED: Final = b'"occurred_at":"'
_TIME_BYTES: Final = 24

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

    def of_unit(self, unit: str) -> Numbered:
        """Yield the records of one serialized unit."""

    def key_records(self) -> Numbered:
        """Yield record 0 and every `key.rotated`."""

    def notes(self) -> Iterable[str]:
        """Yield receipts and what else carries signatures of other parties, as signed notes."""

    def stamps(self) -> Iterable[Stamped]:
        """Yield the time stamps over checkpoints of the stream, oldest first."""

    @property
    def subtree(self) -> Subtree:
        """Read the Merkle tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
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

    def among(self, holdings: Holdings) -> list[tuple[int, bytes]]:
        """Return the records that are asked for, in their order; CannotPack if they are too many."""
        chosen: dict[int, bytes] = {}
        for numbered in self._sources(holdings):
            for number, data in numbered:
                if self._in_time(data):
                    chosen[number] = data
                if len(chosen) > MAX_CHOSEN:
                    raise CannotPack(
                        f"these are more than {MAX_CHOSEN} records",
                        hint="ask for fewer, or export the whole stream: its package needs no proof for each",
                    )
        return sorted(chosen.items())

    def _sources(self, holdings: Holdings) -> Iterator[Numbered]:
        if not self.units and not self.batches:
            yield holdings.records()
            return
        units = dict.fromkeys(self.units)
        if self.batches:
            named = dict(_naming(holdings.records(), frozenset(self.batches)))
            units |= dict.fromkeys(unit for data in named.values() if (unit := unit_of(data)))
            yield iter(named.items())
        for unit in units:
            yield holdings.of_unit(unit)

    def _in_time(self, data: bytes) -> bool:
        if not (self.since or self.until):
            return True
        # The quotes of a name are never escaped, so this stands once in canonical bytes.
        at = data.find(_OCCURRED) + len(_OCCURRED)
        occurred = data[at : at + _TIME_BYTES].decode("ascii", "replace")
        return (self.since is None or self.since <= occurred) and (
            self.until is None or occurred < self.until
        )


def unit_of(data: bytes) -> str | None:
    """Return the serialized unit of a record."""
    resource = record.parse(data)["resource"]
    about = resource.get("parent", resource)
    return str(about["id"]) if about["type"] == "unit" else None


def _naming(records: Numbered, batches: frozenset[str]) -> Numbered:
    """Yield the records that name one of the batches."""
    marks = [json.dumps(batch, ensure_ascii=False).encode() for batch in batches]
    for number, data in records:
        if any(mark in data for mark in marks):
            changes: list[dict[str, Any]] = record.parse(data)["changes"]
            if any(change["field"] in BATCH_FIELDS and change["after"] in batches for change in changes):
                yield number, data
