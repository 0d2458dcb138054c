"""Decide which records of a stream follow what is held: pure, without a database or a broker."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple, Self

import orjson

from linewitness.base.errors import EvidenceError
from linewitness.evidence.format import record
from linewitness.evidence.format.canonical import MAX_BYTES
from linewitness.evidence.format.columns import RecordColumns
from linewitness.evidence.format.merkle import Frontier, leaf_hashes
from linewitness.evidence.format.note import Vkey
from linewitness.evidence.format.reading import ReadRecord, read
from linewitness.evidence.format.tiles import kept_nodes
from linewitness.evidence.verify.chain import ROTATED, Broken, ChainVerifier

#: Lines of a message that are judged at a time. Each is compared with the record held, of 64 KiB at most.
MAX_LINES: Final = 256


@dataclass(frozen=True, slots=True)
class Pinned:
    """What the enrolment says of a stream."""

    origin: str
    tenant: str
    log_vkey: Vkey
    record0_hash: str


class ReadLine(NamedTuple):
    """A line of a message: its bytes, the event_id that it claims, and the record if it is one in itself."""

    data: bytes
    event_id: str
    record: ReadRecord | None

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Read a line."""
        try:
            found = read(data)
        except EvidenceError:
            claim = peek(data)
            return cls(data, claim.event_id if claim else "", None)
        return cls(data, found.fields.event_id, found)


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
    """The records that follow, and what changes with them: `nodes` of the tree that are stored, new keys.

    `waiting` more lines follow, up to the end or to the line at which it `stopped`: no signature vouches for
    them yet.
    """

    records: list[AcceptedRecord] = field(default_factory=list)
    nodes: list[tuple[int, int, bytes]] = field(default_factory=list)
    event_keys: list[tuple[int, str]] = field(default_factory=list)
    waiting: int = 0
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

    def accept(self, lines: Iterable[ReadLine]) -> Accepted:
        """Take records as long as they follow one another; the first that does not ends it.

        A record counts when a signature vouches for it, its own or that of one after it.
        """
        accepted = Accepted()
        run: list[AcceptedRecord] = []
        for line in lines:
            try:
                taken, signed = self._follow(line) if self._verifier.size else self._first(line.data)
            except Broken as broken:
                accepted.stopped = broken
                break
            run.append(taken)
            if signed:
                self._keep(run, accepted)
                run = []
        accepted.waiting = len(run)
        self._verifier.drop_unsigned()
        return accepted

    def accept_together(self, records: RecordColumns) -> Accepted | None:
        """Take the next records as `accept` does; None, and none is taken, where one needs a look of its own.

        That is so where one breaks a rule, is the first of all, or changes a key.
        """
        if not self.size or not self._verifier.follow_together(records):
            return None
        accepted = Accepted(waiting=self._verifier.unsigned)
        self._verifier.drop_unsigned()
        count = len(records.data) - accepted.waiting
        rows = zip(
            *(records.numbers, records.event_ids, records.kinds, records.units, records.occurred_at),
            records.data,
            strict=True,
        )
        accepted.records = [AcceptedRecord._make(row) for row in islice(rows, count)]
        accepted.nodes = kept_nodes(self._frontier.extend(leaf_hashes(records.data[:count])))
        return accepted

    def _keep(self, run: list[AcceptedRecord], accepted: Accepted) -> None:
        """Take the records for which the signature of the last one vouches."""
        accepted.records += run
        accepted.nodes += kept_nodes(self._frontier.extend(leaf_hashes([taken.data for taken in run])))
        last = run[-1]
        if last.sequence_no == 0 or last.kind == ROTATED:
            first = self.size if last.sequence_no else 0
            accepted.event_keys.append((first, self._verifier.head.event_key))

    def _follow(self, line: ReadLine) -> tuple[AcceptedRecord, bool]:
        if line.record is None:
            self._verifier.accept(line.data)  # which says what is wrong with it
            raise AssertionError("a line that is no record was accepted")
        self._verifier.follow(line.record)
        return _accepted(line.record), line.record.fields.signature is not None

    def _first(self, line: bytes) -> tuple[AcceptedRecord, bool]:
        """Accept record 0 only if it is the pinned one; any gateway can make one that is good in itself."""
        verifier = ChainVerifier(stream=self.pinned.origin, tenant=self.pinned.tenant)
        first = verifier.accept(line)
        if first.fields.record_hash != self.pinned.record0_hash:
            raise Broken(
                0, f"its hash is {first.fields.record_hash}, the enrolled one {self.pinned.record0_hash}"
            )
        if verifier.head.log_key != str(self.pinned.log_vkey):
            raise Broken(0, "it announces another log key than the enrolled one")
        self._verifier = verifier
        return _accepted(first), True


def _accepted(found: ReadRecord) -> AcceptedRecord:
    fields = found.fields
    return AcceptedRecord(
        fields.sequence_no, fields.event_id, fields.kind, found.unit, found.occurred_at, found.data
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
    """Yield the records of a message, one a line, at most `MAX_LINES` at a time, by whole commits.

    The last line feed may be missing. Whoever stops at a bad line has split no more than the lines with it.
    """
    first, size = 0, len(payload)
    lines: list[bytes] = []
    while first < size:
        while first < size and len(lines) < MAX_LINES:
            end = payload.find(b"\n", first)
            end = size if end < 0 else end
            lines.append(payload[first:end])
            first = end + 1
        whole = _signed_end(lines) if first < size else len(lines)
        yield lines[:whole]
        lines = lines[whole:]
    if lines:
        yield lines


def _signed_end(lines: list[bytes]) -> int:
    """Return how many lines there are up to the last one with a signature, or all if none has."""
    for number in range(len(lines), 0, -1):
        if record.is_signed(lines[number - 1]):
            return number
    return len(lines)
