"""Verify some records of a stream without the others: each by its own proof (docs/format.md, 12.3).

A selection shows that its records are unaltered and part of an attested stream. It says nothing about
the records that are not in it, so it is never called complete.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from linewitness.errors import EvidenceError
from linewitness.evidence import attest, keys, record
from linewitness.evidence.attest import Believed, Statement
from linewitness.evidence.chain import ROTATED, Broken, ChainVerifier, Head, ParsedRecord
from linewitness.evidence.note import Vkey
from linewitness.evidence.policy import Policy
from linewitness.evidence.proof import TlogProof
from linewitness.evidence.verdict import Remark, Verdict

ProofOf = Callable[[int], str | None]


@dataclass(frozen=True, slots=True)
class _Keys:
    """Which event key signs from which record on, as the proven rotations say."""

    stream: str
    tenant: str
    log_key: str
    record_0: str
    firsts: list[int]
    vkeys: list[str]

    def head_before(self, sequence_no: int, prev_hash: str) -> Head:
        """Return the state in which the chain was before a record, taking the record's own prev_hash."""
        vkey = self.vkeys[bisect_right(self.firsts, sequence_no) - 1]
        return Head(
            stream=self.stream,
            tenant=self.tenant,
            size=sequence_no,
            last_hash=prev_hash,
            event_key=vkey,
            log_key=self.log_key,
        )


def verify_selection(
    records: Iterable[bytes], key_records: Iterable[bytes], proof_of: ProofOf, *, policy: Policy
) -> Verdict:
    """Return the verdict on a selection.

    `records` rise by `sequence_no`; `key_records` are record 0 and every `key.rotated` before the last
    selected record; `proof_of` gives the text of each one's tlog-proof, all of one checkpoint.
    """
    selection = _Selection(policy, proof_of)
    try:
        selection.learn_keys(key_records)
        selection.check(records)
    except Broken as error:
        return selection.verdict(error)
    return selection.verdict(None)


class _Selection:
    """One run over one selection."""

    def __init__(self, policy: Policy, proof_of: ProofOf) -> None:
        self._policy = policy
        self._proof_of = proof_of
        self._note: str | None = None
        self._believed: Believed | None = None
        self._keys: _Keys | None = None
        self._count = 0
        self._remarks: list[Remark] = []

    def learn_keys(self, key_records: Iterable[bytes]) -> None:
        source = iter(key_records)
        first = next(source, None)
        if first is None:
            raise Broken(0, "the selection does not hold record 0, which announces the keys")
        verifier = ChainVerifier(stream=self._policy.origin)
        created = verifier.accept(first)
        if created.record_hash != self._policy.record_0:
            raise Broken(0, f"it is not the record 0 that the policy names, {self._policy.record_0}")
        head = verifier.head
        if head.log_key != str(self._policy.log_key):
            raise Broken(0, "its log key is not the one that the policy names")
        self._prove(created)
        self._keys = _Keys(head.stream, head.tenant, head.log_key, created.record_hash, [0], [head.event_key])
        for data in source:
            self._learn_rotation(data, self._keys)

    def _learn_rotation(self, data: bytes, known: _Keys) -> None:
        accepted = self._accept(data, known, least=known.firsts[-1])
        if accepted.members["kind"] != ROTATED:
            raise Broken(accepted.sequence_no, "it is among the key records and rotates no key")
        self._prove(accepted)
        known.firsts.append(accepted.sequence_no + 1)
        known.vkeys.append(str(keys.read_rotation(accepted.members).new))

    def check(self, records: Iterable[bytes]) -> None:
        if self._keys is None:
            return
        last: ParsedRecord | None = None
        for data in records:
            least = last.sequence_no + 1 if last else 0
            accepted = self._accept(data, self._keys, least=least)
            integrity = accepted.members["integrity"]
            if last and accepted.sequence_no == least and integrity["prev_hash"] != last.record_hash:
                raise Broken(least, "its prev_hash is not the hash of the record before")
            self._check_revoked(accepted)
            self._prove(accepted)
            last = accepted
            self._count += 1
        if not self._count:
            raise Broken(0, "there are no records in the selection")

    def _accept(self, data: bytes, known: _Keys, *, least: int) -> ParsedRecord:
        try:
            members: dict[str, Any] = record.parse(data)
        except EvidenceError as error:
            raise Broken(least, error.what) from None
        sequence_no: int = members["sequence_no"]
        if sequence_no < least:
            raise Broken(sequence_no, "the selection is not in the order of the stream")
        if sequence_no == 0:
            return ChainVerifier(stream=known.stream, tenant=known.tenant).accept(data)
        head = known.head_before(sequence_no, members["integrity"]["prev_hash"])
        return ChainVerifier(stream=known.stream, head=head).accept(data)

    def _prove(self, accepted: ParsedRecord) -> None:
        """Require the proof that the record is where it says, under the one checkpoint of the selection."""
        at = accepted.sequence_no
        text = self._proof_of(at)
        if text is None:
            raise Broken(at, "the selection holds no proof of it")
        try:
            proof = TlogProof.parse(text)
            proof.check(accepted.data, self._checkpoint_of(at, proof).checkpoint)
        except Broken:
            raise
        except EvidenceError as error:
            raise Broken(at, error.what) from None

    def _checkpoint_of(self, at: int, proof: TlogProof) -> Believed:
        if proof.index != at:
            raise Broken(at, f"its proof is of record {proof.index}")
        if self._believed is not None:
            if proof.checkpoint != self._note:
                raise Broken(at, "its proof is of another checkpoint than the proofs before")
            return self._believed
        statement = Statement("the proofs' checkpoint", proof.checkpoint)
        believed, remarks = attest.believe([statement], log_key=self._policy.log_key, policy=self._policy)
        if not believed:
            raise Broken(at, remarks[0].text)
        self._believed, self._note = believed[0], proof.checkpoint
        return self._believed

    def _check_revoked(self, accepted: ParsedRecord) -> None:
        if self._keys is None:
            return
        active = self._keys.vkeys[bisect_right(self._keys.firsts, accepted.sequence_no) - 1]
        for revocation in self._policy.revocations:
            revoked = revocation.key.public == Vkey.parse(active).public
            if revoked and accepted.sequence_no >= revocation.first:
                raise Broken(
                    accepted.sequence_no,
                    f"signed by the event key {revocation.key.key_id}, which is revoked from record"
                    f" {revocation.first} on ({revocation.reason})",
                )

    def verdict(self, broken: Broken | None) -> Verdict:
        held = [self._believed] if self._believed and not broken else []
        attested, attestations = attest.quorum(held, self._policy)
        return Verdict(
            status="BROKEN" if broken else "INCLUDED" if attested else "INTACT",
            origin=self._policy.origin,
            size=self._believed.checkpoint.size if self._believed else 0,
            selected=self._count,
            root=held[0].checkpoint.root.hex() if held else None,
            head_hash=None,
            record_0=self._keys.record_0 if self._keys else record.ZERO_HASH,
            policy=self._policy.sha256,
            attested=attested,
            attestations=attestations,
            broken_at=broken.index if broken else None,
            reason=broken.reason if broken else None,
            remarks=tuple(self._remarks),
        )
