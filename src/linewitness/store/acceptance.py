"""Decide which records of a stream follow what is held: pure, without a database or a broker."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import orjson

from linewitness.evidence.format import record
from linewitness.evidence.format.canonical import MAX_BYTES
from linewitness.evidence.format.merkle import Frontier, leaf_hash
from linewitness.evidence.format.note import Vkey
from linewitness.evidence.verify.chain import ROTATED, Broken, ChainVerifier, ParsedRecord
from linewitness.store.fast_path import read_fast

#: Lines of a message that are judged at a time. Each is compared with the record held, of 64 KiB at most.
MAX_LINES: Final = 256


@dataclass(frozen=True, slots=True)
class Pinned:
    """What the enrolment says of a stream."""

    origin: str
    tenant: str
    log_vkey: Vkey
    record0_hash: str


class AcceptedRecord(NamedTuple):
    """A record that follows: its exact bytes, and what it is found by."""

    sequence_no: int
    event_id: str
    kind: str
    unit: str | None
    occurred_at: str
    data: bytes


@dataclass(slots=True)
class Accepted:
    """The records that follow, and what changes with them; `stopped` says why the next one does not."""

    records: list[AcceptedRecord] = field(default_factory=list)
    nodes: list[tuple[int, int, bytes]] = field(default_factory=list)
    event_keys: list[tuple[int, str]] = field(default_factory=list)
    stopped: Broken | None = None


class Acceptance:
    """A stream's verified head; it only ever moves forward."""

    def __init__(self, pinned: Pinned, verifier: ChainVerifier, frontier: Frontier) -> None:
        """Go on from a verifier and the tree's frontier, both of the same size."""
        self.pinned = pinned
        self._verifier = verifier
        self._frontier = frontier

    @property
    def size(self) -> int:
        """The number of records accepted."""
        return self._verifier.size

    @property
    def last_hash(self) -> str:
        """The record_hash of the last accepted record."""
        return self._verifier.last_hash

    @property
    def event_key(self) -> str | None:
        """The vkey that signs the next record, None before record 0."""
        return self._verifier.head.event_key if self.size else None

    def root(self) -> bytes:
        """Return the Merkle root over all accepted records."""
        return self._frontier.root()

    def accept(self, lines: Iterable[bytes]) -> Accepted:
        """Take records as long as they follow one another; the first that does not ends it."""
        accepted = Accepted()
        for line in lines:
            try:
                taken = self._follow(line) if self.size else self._first(line)
            except Broken as broken:
                accepted.stopped = broken
                break
            accepted.records.append(taken)
            accepted.nodes += self._frontier.append(leaf_hash(line))
            if taken.sequence_no == 0:
                accepted.event_keys.append((0, self._verifier.head.event_key))
            elif taken.kind == ROTATED:
                accepted.event_keys.append((self.size, self._verifier.head.event_key))
        return accepted

    def _follow(self, line: bytes) -> AcceptedRecord:
        fast = read_fast(line)
        if fast is None:
            return _accepted(self._verifier.accept(line))
        self._verifier.follow(fast.fields)
        fields = fast.fields
        return AcceptedRecord(
            fields.sequence_no, fields.event_id, fields.kind, fast.unit, fast.occurred_at, line
        )

    def _first(self, line: bytes) -> AcceptedRecord:
        """Accept record 0 only if it is the pinned one; any gateway can make one that is good in itself."""
        verifier = ChainVerifier(stream=self.pinned.origin, tenant=self.pinned.tenant)
        parsed = verifier.accept(line)
        if parsed.fields.record_hash != self.pinned.record0_hash:
            raise Broken(
                0, f"its hash is {parsed.fields.record_hash}, the enrolled one {self.pinned.record0_hash}"
            )
        if verifier.head.log_key != str(self.pinned.log_vkey):
            raise Broken(0, "it announces another log key than the enrolled one")
        self._verifier = verifier
        return _accepted(parsed)


def _accepted(parsed: ParsedRecord) -> AcceptedRecord:
    members = parsed.members
    return AcceptedRecord(
        members["sequence_no"],
        members["event_id"],
        members["kind"],
        record.unit_of(members),
        members["occurred_at"],
        parsed.data,
    )


class Claim(NamedTuple):
    """What a line says of itself, unverified."""

    stream: str
    sequence_no: int
    event_id: str


def peek(line: bytes) -> Claim | None:
    """Return what a line claims to be, or None if it cannot be a record at all."""
    if len(line) > MAX_BYTES:
        return None
    try:
        members = orjson.loads(line)
        claim = Claim(members["integrity"]["stream"], members["sequence_no"], members["event_id"])
    except (ValueError, TypeError, KeyError):
        return None
    if not (isinstance(claim.stream, str) and isinstance(claim.event_id, str)):
        return None
    return claim if type(claim.sequence_no) is int and claim.sequence_no >= 0 else None


def lines_of(payload: bytes) -> Iterator[list[bytes]]:
    """Yield the records of a message, one a line, at most `MAX_LINES` at a time.

    The last line feed may be missing. Whoever stops at a bad line has split no more than the lines with it.
    """
    first, size = 0, len(payload)
    while first < size:
        lines: list[bytes] = []
        while first < size and len(lines) < MAX_LINES:
            end = payload.find(b"\n", first)
            end = size if end < 0 else end
            lines.append(payload[first:end])
            first = end + 1
        yield lines
