"""Verify some records of a stream without the others: each by its own proof (docs/format.md, 12.3).

A selection shows that its records are unaltered and batch of an attested stream. It says nothing about
the records that are not in it, so it is never called complete. A record that is wrong in itself is named
before one whose proof is wrong, for an altered record spoils the proofs of others.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import islice
from multiprocessing import get_context
from typing import Final

from linewitness.base.errors import EvidenceError
from linewitness.evidence.format import keys, record
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.note import Vkey
from linewitness.evidence.format.proof import TlogProof
from linewitness.evidence.policy.policy import Policy
from linewitness.evidence.progress import Progress
from linewitness.evidence.tenant.custody import TenantRecords
from linewitness.evidence.timestamps.algorithms import Verifies
from linewitness.evidence.tpm.starts import StartCounts
from linewitness.evidence.verify.capture_stretches import StretchFinder
from linewitness.evidence.verify.chain import ROTATED, Broken, ChainVerifier
from linewitness.evidence.verify.contents import RecordSummary
from linewitness.evidence.verify.plausible_times import ClaimedTimes
from linewitness.evidence.verify.selection.batch import (
    CheckedBatch,
    KeyHistory,
    PreviousRecord,
    SelectedRecords,
    SharedCheckpoint,
    WrongRoot,
    check_batch,
    place_of,
    previous_of,
    prove,
)
from linewitness.evidence.verify.selection.stamps import weigh_stamps
from linewitness.evidence.verify.statements import Statement, TrustedStatement, quorum, trusted_statements
from linewitness.evidence.verify.unit_history import UnitHistory
from linewitness.evidence.verify.verdict import MAX_REMARKS, Remark, Verdict

ProofOf = Callable[[int], str | None]

#: Records that one process checks at a time.
BATCH: Final = 256
#: Starting processes takes longer than checking this many batches.
INLINE_BATCHES: Final = 8


def verify_selection(
    records: Iterable[bytes],
    key_records: Iterable[bytes],
    proof_of: ProofOf,
    *,
    policy: Policy,
    statements: Iterable[Statement] = (),
    verifies: Verifies | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Verdict:
    """Return the verdict on a selection.

    `records` rise by `sequence_no`; `key_records` are record 0 and every `key.rotated` before the last
    selected record; `proof_of` gives the text of each one's tlog-proof, all of one checkpoint. `statements`
    are time stamps that lie beside them, and `verifies` verifies their signatures. At most two batches a
    worker are in memory.
    """
    selection = _Selection(policy, proof_of, StretchFinder(counts=StartCounts(verifies, whole=False)))
    try:
        known = selection.learn(key_records)
        selection.check(records, known, workers=workers, progress=progress)
    except Broken as error:
        return selection.verdict(error)
    if selection.unproven or selection.checkpoint is None:
        return selection.verdict(selection.unproven)
    weighed = weigh_stamps(statements, selection.checkpoint, policy=policy, verifies=verifies)
    verdict = selection.verdict(weighed.fork)
    if weighed.fork is None and selection.believed:
        verdict = weighed.compared(verdict, selection.believed, selection.claims, policy.quorum)
    remarks = (*verdict.remarks, *weighed.remarks)
    return replace(verdict, attestations=(*verdict.attestations, *weighed.stamps), remarks=remarks)


def learn_keys(key_records: Iterable[bytes], policy: Policy) -> Iterator[tuple[int, bytes, KeyHistory]]:
    """Yield each key record's place and bytes, checked in itself, and what is known with it; or `Broken`.

    The first must be the record 0 that the policy names.
    """
    source = iter(key_records)
    first = next(source, None)
    if first is None:
        raise Broken(0, "the selection does not hold record 0, which announces the keys")
    verifier = ChainVerifier(stream=policy.origin)
    created = verifier.accept(first)
    if created.fields.record_hash != policy.record_0:
        raise Broken(0, f"it is not the record 0 that the policy names, {policy.record_0}")
    head = verifier.head
    if head.log_key != str(policy.log_key):
        raise Broken(0, "its log key is not the one that the policy names")
    vkeys = (Vkey.parse(head.event_key),)
    known = KeyHistory(head.stream, head.tenant, head.log_key, created.fields.record_hash, (0,), vkeys)
    last = PreviousRecord(0, created.fields.record_hash)
    yield 0, first, known
    for data in source:
        selected = SelectedRecords(known, last)
        at = selected.accept(data).fields.sequence_no
        known = known.with_key(at + 1, _new_key(at, data, known))
        last = selected.last
        yield at, data, known


def _new_key(at: int, data: bytes, known: KeyHistory) -> Vkey:
    members = record.parse(data)
    if members["kind"] != ROTATED:
        raise Broken(at, "it is among the key records and rotates no key")
    new = keys.read_rotation(members).new
    if any(new.public == each.public for each in known.vkeys):
        raise Broken(at, f"it brings back the event key {new.key_id}, which was retired before")
    return new


class _Selection:
    """One run over one selection."""

    def __init__(self, policy: Policy, proof_of: ProofOf, stretches: StretchFinder) -> None:
        self._policy = policy
        self._proof_of = proof_of
        self._attested: SharedCheckpoint | None = None
        self.believed: TrustedStatement | None = None
        self._record_0 = record.ZERO_HASH
        self._count = self._proofs = self._wrong_roots = self._unsigned = 0
        self._doubtful: list[tuple[int, int]] = []
        self._unproven: Broken | None = None
        self.claims: list[ClaimedTimes] = []
        self._contents, self._stretches, self._history = RecordSummary(), stretches, UnitHistory()
        self._tenant = TenantRecords(whole=False)

    def learn(self, key_records: Iterable[bytes]) -> KeyHistory:
        """Return what the key records say; that each is where it says, is remembered."""
        known: KeyHistory | None = None
        for at, data, known in learn_keys(key_records, self._policy):
            self._record_0 = known.record_0
            try:
                self._prove(at, data)
            except Broken as error:
                self._note(error, int(isinstance(error, WrongRoot)), 1)
        assert known is not None, "learn_keys yields record 0 or raises"  # noqa: S101 (for the type checker)
        return replace(known, revocations=self._policy.revocations)

    def check(
        self, records: Iterable[bytes], known: KeyHistory, *, workers: int, progress: Progress | None
    ) -> None:
        """Check the selected records; `Broken` is the first that is wrong in itself."""
        for batch in self._checked(iter(records), known, workers):
            self._count += batch.count
            self._unsigned += batch.unsigned
            self._doubtful += batch.doubtful
            self.claims.append(batch.claims)
            self._contents.add(batch.summary)
            self._stretches.follow(batch.signs)
            self._history.follow(batch.signs)
            self._tenant.follow(sign.tenant for sign in batch.signs)
            self._note(batch.unproven, batch.wrong_roots, batch.count)
            if progress:
                progress(self._count)
            if batch.broken:
                raise batch.broken
        if not self._count:
            raise Broken(0, "there are no records in the selection")

    @property
    def unproven(self) -> Broken | None:
        """The first record without a good proof; if no proof is good, that says that any may be altered."""
        first = self._unproven
        if first is None or self.believed is None or self._wrong_roots < self._proofs or self._proofs == 1:
            return first
        last = self.believed.checkpoint.size - 1
        return Broken(
            first.index,
            f"{first.reason}, and neither does any other proof: somewhere from record 0 to record {last}"
            " there is another record than the one that was attested",
        )

    def _note(self, unproven: Broken | None, wrong_roots: int, proofs: int) -> None:
        self._unproven = self._unproven or unproven
        self._wrong_roots += wrong_roots
        self._proofs += proofs

    def _prove(self, at: int, data: bytes) -> None:
        """Require the proof of a key record; that of record 0 says which checkpoint all proofs are about."""
        text = self._proof_of(at)
        if at == 0 and text is not None:
            self._attested = self._attest(text)
        prove(at, data, text, self._attested)

    def _attest(self, text: str) -> SharedCheckpoint:
        try:
            note = TlogProof.parse(text).checkpoint
        except EvidenceError as error:
            raise Broken(0, error.what) from None
        statement = Statement("the proofs' checkpoint", note)
        believed, remarks = trusted_statements([statement], log_key=self._policy.log_key, policy=self._policy)
        if not believed:
            raise Broken(0, remarks[0].text)
        self.believed = believed[0]
        return SharedCheckpoint(note, believed[0].checkpoint)

    def _checked(self, records: Iterator[bytes], known: KeyHistory, workers: int) -> Iterator[CheckedBatch]:
        """Yield the checked batches in their order, from several processes if there are many."""
        works = self._works(records, known)
        for work in islice(works, INLINE_BATCHES if workers > 1 else None):
            yield work()
        if workers <= 1:
            return
        pending: deque[Callable[[], CheckedBatch]] = deque()
        with ExitStack() as stack:
            pool: ProcessPoolExecutor | None = None
            while True:
                for work in islice(works, 2 * workers - len(pending)):
                    if pool is None:
                        pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
                        stack.callback(pool.shutdown, cancel_futures=True)
                    pending.append(pool.submit(work).result)
                if not pending:
                    return
                yield pending.popleft()()

    def _works(self, records: Iterator[bytes], known: KeyHistory) -> Iterator[Callable[[], CheckedBatch]]:
        """Yield what is to be done for each batch. The record before it is read off unchecked bytes.

        That is what checking it will find, or the batch before is broken and this one does not count.
        """
        last = PreviousRecord()
        while chunk := list(islice(records, BATCH)):
            proofs = [self._proof_of(place_of(data)) for data in chunk]
            yield partial(check_batch, known, self._attested, last, chunk, proofs)
            last = previous_of(chunk[-1])

    @property
    def checkpoint(self) -> Checkpoint | None:
        """What all proofs are about, if that is believed."""
        return self.believed.checkpoint if self.believed else None

    def verdict(self, broken: Broken | None) -> Verdict:
        """Return what was found."""
        held = [self.believed] if self.believed and not broken else []
        attested, attestations = quorum(held, self._policy)
        return Verdict(
            status="BROKEN" if broken else "INCLUDED" if attested else "INTACT",
            origin=self._policy.origin,
            size=self.believed.checkpoint.size if self.believed else 0,
            selected=self._count,
            root=held[0].checkpoint.root.hex() if held else None,
            head_hash=None,
            record_0=self._record_0,
            policy=self._policy.sha256,
            attested=attested,
            attestations=attestations,
            broken_at=broken.index if broken else None,
            reason=broken.reason if broken else None,
            remarks=() if broken else self._remarks(),
            contents=None if broken else self._contents,
            without_capture=() if broken else self._stretches.end(),
            without_capture_left_out=0 if broken else self._stretches.left_out,
        )

    def _remarks(self) -> tuple[Remark, ...]:
        """Say which records no event key has signed itself."""
        remarks = [
            Remark(
                at,
                f"it bears no signature of its own, and its event key is revoked from record {first} on:"
                " whether the signature that vouches for it came before is not shown",
            )
            for at, first in self._doubtful[:MAX_REMARKS]
        ]
        if self._unsigned:
            text = (
                f"{self._unsigned} of the {self._count} selected records bear no signature of their own:"
                " the signed checkpoint vouches for them, through their proofs"
            )
            remarks.insert(0, Remark(None, text))
        own = self._tenant.end(self._contents.kinds)
        return (*remarks, *self._history.remarks(), *self._stretches.remarks, *own)
