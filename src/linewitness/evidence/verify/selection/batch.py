"""Check a batch of a selection: records that need not follow each other, each with its own proof.

A batch is checked from what the selection's key records say and from the record before it, so that batches
can be checked in any process, one beside the other.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from linewitness.base.errors import EvidenceError
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.columns import columns_of
from linewitness.evidence.format.merkle import BadProof
from linewitness.evidence.format.note import Vkey
from linewitness.evidence.format.proof import TlogProof
from linewitness.evidence.format.reading import ReadRecord, read
from linewitness.evidence.format.signed_run import LONGEST_RUN
from linewitness.evidence.policy.revocation import Revocation
from linewitness.evidence.verify.chain import Broken, ChainHead, ChainVerifier
from linewitness.evidence.verify.contents import RecordSummary
from linewitness.evidence.verify.plausible_times import ClaimedTimes
from linewitness.evidence.verify.signs import CaptureSign, sign_of

#: The quotes of a name are never escaped, so in canonical bytes these stand once.
_PLACE: Final = re.compile(rb'"sequence_no":(0|[1-9][0-9]{0,15}),"')
_HASHED: Final = re.compile(rb'"record_hash":"(sha256:[0-9a-f]{64})"')


@dataclass(frozen=True, slots=True)
class KeyHistory:
    """What the key records say: which event key signs from which record on; and what is revoked."""

    stream: str
    tenant: str
    log_key: str
    record_0: str
    firsts: tuple[int, ...]
    vkeys: tuple[Vkey, ...]
    revocations: tuple[Revocation, ...] = ()

    def key_at(self, sequence_no: int) -> Vkey:
        """Return the event key that must have signed a record."""
        return self.vkeys[bisect_right(self.firsts, sequence_no) - 1]

    def with_key(self, first: int, vkey: Vkey) -> "KeyHistory":
        """Return the same with a key that takes over at record `first`."""
        firsts, vkeys = (*self.firsts, first), (*self.vkeys, vkey)
        return KeyHistory(
            self.stream, self.tenant, self.log_key, self.record_0, firsts, vkeys, self.revocations
        )


@dataclass(frozen=True, slots=True)
class SharedCheckpoint:
    """The one checkpoint that all proofs must be about, and its note, byte for byte."""

    note: str
    checkpoint: Checkpoint


class PreviousRecord(NamedTuple):
    """The selected record before: none at first."""

    sequence_no: int = -1
    record_hash: str = ""


@dataclass(frozen=True, slots=True)
class CheckedBatch:
    """What checking gave. `broken` is a record that is wrong in itself, after which nothing was checked.

    `unproven` is the first record that is good in itself and whose proof is not; of the proofs that were
    looked at, `wrong_roots` led to another root. The altered record need not be the one whose proof fails.
    `unsigned` records bear no signature; of these, `doubtful` names those whose signature may have come after
    the revocation of its key. `summary` and `signs` are of the records that are good in themselves.
    """

    count: int
    last: PreviousRecord
    summary: RecordSummary
    signs: tuple[CaptureSign, ...]
    broken: Broken | None = None
    unproven: Broken | None = None
    wrong_roots: int = 0
    unsigned: int = 0
    doubtful: tuple[tuple[int, int], ...] = ()
    claims: ClaimedTimes = field(default_factory=ClaimedTimes)


class SelectedRecords:
    """Accept selected records by the keys that are known, in rising order."""

    def __init__(self, known: KeyHistory, last: PreviousRecord = PreviousRecord()) -> None:  # noqa: B008 (an immutable value)
        """Begin after `last`."""
        self._known = known
        self._verifier = ChainVerifier(stream=known.stream, head=_head(known))
        self.last = last
        self.unsigned = 0
        self.doubtful: list[tuple[int, int]] = []
        self.claims = ClaimedTimes()

    def accept(self, data: bytes) -> ReadRecord:
        """Check a record by itself and against the one before it, if that is its neighbour; or `Broken`."""
        least = self.last.sequence_no + 1
        try:
            found = read(data)
        except EvidenceError as error:
            raise Broken(least, error.what) from None
        fields, at = found.fields, found.fields.sequence_no
        if at < least:
            raise Broken(at, "the selection is not in the order of the stream")
        if at == least and at and self.last.record_hash and fields.prev_hash != self.last.record_hash:
            raise Broken(at, "its prev_hash is not the hash of the record before")
        if at == 0:
            verifier = ChainVerifier(stream=self._known.stream, tenant=self._known.tenant)
        else:
            verifier = self._verifier
            verifier.stand(before=at, last_hash=fields.prev_hash, event_key=self._known.key_at(at))
        verifier.follow(found)
        self._check_revoked(at)
        if fields.signature is None:
            self.unsigned += 1
            self._doubt(at)
        try:
            columns = columns_of([found])
        except ValueError:
            raise Broken(at, f"{fields.ingested_at} is no date of the calendar") from None
        self.claims.add(columns)
        self.last = PreviousRecord(at, fields.record_hash)
        return found

    def _check_revoked(self, at: int) -> None:
        active = self._known.key_at(at)
        for revocation in self._known.revocations:
            if revocation.key.public == active.public and at >= revocation.first:
                raise Broken(
                    at,
                    f"signed by the event key {revocation.key.key_id}, which is revoked from record"
                    f" {revocation.first} on ({revocation.reason})",
                )

    def _doubt(self, at: int) -> None:
        """Remember a record whose signature can be one that came after the revocation of its key."""
        active = self._known.key_at(at)
        for revocation in self._known.revocations:
            if revocation.key.public == active.public and revocation.first - at < LONGEST_RUN:
                self.doubtful.append((at, revocation.first))


class WrongRoot(Broken):
    """The record is good in itself, and its proof leads to another root than the attested one."""


def check_batch(
    known: KeyHistory,
    attested: SharedCheckpoint | None,
    last: PreviousRecord,
    records: Sequence[bytes],
    proofs: Sequence[str | None],
) -> CheckedBatch:
    """Check records and the texts of their proofs; without a checkpoint they lead nowhere."""
    selected = SelectedRecords(known, last)
    unproven: Broken | None = None
    broken: Broken | None = None
    wrong_roots = 0
    accepted: list[ReadRecord] = []
    summary, signs = RecordSummary(most_units=len(records)), []
    for data, proof in zip(records, proofs, strict=True):
        try:
            record = selected.accept(data)
        except Broken as error:
            broken = error
            break
        accepted.append(record)
        signs.append(sign_of(record.members, counting=True))
        try:
            prove(record.fields.sequence_no, data, proof, attested)
        except Broken as error:
            unproven = unproven or error
            wrong_roots += isinstance(error, WrongRoot)
    summary.take(columns_of(accepted))
    return CheckedBatch(
        count=len(accepted),
        last=selected.last,
        summary=summary,
        signs=tuple(signs),
        broken=broken,
        unproven=unproven,
        wrong_roots=wrong_roots,
        unsigned=selected.unsigned,
        doubtful=tuple(selected.doubtful),
        claims=selected.claims,
    )


def prove(at: int, data: bytes, text: str | None, attested: SharedCheckpoint | None) -> None:
    """Raise `Broken` unless a proof shows that the record is where it says, under the one checkpoint."""
    if text is None:
        raise Broken(at, "the selection holds no proof of it")
    if attested is None:
        return
    try:
        proof = TlogProof.parse(text)
    except EvidenceError as error:
        raise Broken(at, error.what) from None
    if proof.index != at:
        raise Broken(at, f"its proof is of record {proof.index}")
    if proof.checkpoint != attested.note:
        raise Broken(at, "its proof is of another checkpoint than the proofs before")
    try:
        proof.check(data, attested.checkpoint)
    except BadProof as error:
        raise WrongRoot(at, error.what) from None


def _head(known: KeyHistory) -> ChainHead:
    """Return some state of the chain: which one, each record says itself."""
    return ChainHead(
        stream=known.stream,
        tenant=known.tenant,
        size=1,
        last_hash=known.record_0,
        event_key=str(known.vkeys[0]),
        log_key=known.log_key,
    )


def place_of(data: bytes) -> int:
    """Return the `sequence_no` of a good record; any number for another."""
    found = _PLACE.search(data)
    return int(found[1]) if found else 0


def previous_of(data: bytes) -> PreviousRecord:
    """Return what the next record is checked against, as an unchecked record claims it."""
    hashed = _HASHED.search(data)
    return PreviousRecord(place_of(data), hashed[1].decode() if hashed else "")
