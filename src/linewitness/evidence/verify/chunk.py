"""Check a chunk of consecutive records from a state: all together where nothing is to be said of any."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from linewitness.evidence.format.columns import RecordColumns, columns_of, read_columns
from linewitness.evidence.format.merkle import Grove, leaf_hash
from linewitness.evidence.format.reading import ReadRecord
from linewitness.evidence.verify.chain import (
    CREATED,
    ROTATED,
    Broken,
    ChainHead,
    ChainVerifier,
    broken_behind,
)
from linewitness.evidence.verify.clock_rules import ClockHead, ClockRules
from linewitness.evidence.verify.contents import RecordSummary
from linewitness.evidence.verify.plausible_times import ClaimedTimes
from linewitness.evidence.verify.signs import CaptureSign, SignFilter
from linewitness.evidence.verify.verdict import Remark

#: So many records are checked together, and in memory with all that was read of them.
_TOGETHER: Final = 256
#: Where one of more than so many records needs a look of its own, their halves are checked together.
_FEW: Final = 8


@dataclass(frozen=True, slots=True)
class ChainState:
    """Everything that the next record is checked against."""

    head: ChainHead | None = None
    clock: ClockHead | None = None


@dataclass(frozen=True, slots=True)
class CheckedChunk:
    """What checking one chunk gave: the tree's nodes, the ids (26 bytes each) of good records, and `signed`.

    `signed` has a byte for each: 1 where it bears a signature, otherwise 0.

    `trees` holds the frontiers at the sizes that were asked for; `keys` lists each event key that took over
    in the chunk, with the first record that it signs. `summary` and `signs` are of the good records.
    """

    start: ChainState
    end: ChainState
    count: int
    record_0: str | None
    tree: tuple[bytes | None, ...]
    trees: tuple[tuple[int, tuple[bytes | None, ...]], ...]
    ids: bytes
    signed: bytes
    keys: tuple[tuple[int, str], ...]
    remarks: tuple[Remark, ...]
    claims: ClaimedTimes
    summary: RecordSummary
    signs: tuple[CaptureSign, ...]
    broken: Broken | None


def check_chunk(
    stream: str, start: ChainState, records: list[bytes], wanted: frozenset[int] = frozenset()
) -> CheckedChunk:
    """Check consecutive records from a state; stop at the first that is broken.

    `wanted` are sizes of the whole stream at which its root will be needed.
    """
    check = _Check(stream, start, len(records))
    first = check.verifier.size
    for at in range(0, len(records), _TOGETHER):
        check.check(records[at : at + _TOGETHER])
        if check.broken:
            break
    count = len(check.ids)
    grove = Grove([leaf_hash(data) for data in records[:count]])
    return CheckedChunk(
        start=start,
        end=ChainState(check.verifier.head if check.verifier.size else None, check.clock.head),
        count=count,
        record_0=check.record_0,
        tree=grove.edge(count),
        trees=tuple((size, grove.edge(size - first)) for size in sorted(wanted) if size <= first + count),
        ids="".join(check.ids).encode(),
        signed=bytes(check.signed),
        keys=tuple(check.taken_over),
        remarks=tuple(check.clock.remarks),
        claims=check.claims,
        summary=check.summary,
        signs=check.signs.signs(),
        broken=check.broken,
    )


class _Check:
    """Check consecutive records, and take off the good ones what is asked of them later."""

    def __init__(self, stream: str, start: ChainState, most_units: int) -> None:
        self.verifier = ChainVerifier(stream=stream, head=start.head)
        self.clock = ClockRules(start.clock)
        self.taken_over: list[tuple[int, str]] = []
        self.record_0: str | None = None
        self.broken: Broken | None = None
        self.ids: list[str] = []
        self.signed = bytearray()
        self.claims = ClaimedTimes()
        self.summary = RecordSummary(most_units=most_units)
        self.signs = SignFilter()

    def check(self, records: list[bytes]) -> None:
        """Check records together; those of which that says no one after the other, which says why."""
        for part in read_columns(records):
            if isinstance(part, bytes):
                self._take(columns_of(self._one_by_one([part])))
            else:
                self._check(part)
            if self.broken:
                return

    def _check(self, records: RecordColumns) -> None:
        if self._together(records):
            self._take(records)
        elif len(records.data) <= _FEW:
            self._take(columns_of(self._one_by_one(records.data)))
        else:
            middle = len(records.data) // 2
            self._check(records.part(0, middle))
            if not self.broken:
                self._check(records.part(middle, len(records.data)))

    def _take(self, records: RecordColumns) -> None:
        self.ids += records.event_ids
        self.signed += bytes(signature is not None for signature in records.signatures)
        self.claims.add(records)
        self.summary.take(records)
        self.signs.take(records)

    def _together(self, records: RecordColumns) -> bool:
        before = self.clock.head
        if not self.clock.follow_together(records):
            return False
        if not self.verifier.follow_together(records):
            self.clock.head = before
            return False
        return True

    def _one_by_one(self, records: Sequence[bytes]) -> list[ReadRecord]:
        """Return the good records up to the first that is broken."""
        good: list[ReadRecord] = []
        for data in records:
            waiting = 0
            try:
                record = self.verifier.accept(data)
                waiting = max(0, self.verifier.unsigned - 1)
                self.clock.follow(record)
            except Broken as error:
                self.broken = broken_behind(waiting, error.index, error.reason)
                break
            good.append(record)
            if record.fields.kind == CREATED:
                self.record_0 = record.fields.record_hash
                self.taken_over.append((0, self.verifier.head.event_key))
            elif record.fields.kind == ROTATED:
                self.taken_over.append((self.verifier.size, self.verifier.head.event_key))
        return good
