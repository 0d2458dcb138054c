"""Verify the end of a stream that was handed over: the records after the store's last receipt, to the last.

docs/format.md, section 12.3. What comes before them is proven by that receipt. Nobody outside attests the
records themselves, so the verdict is INTACT at best, and the remarks say what they are.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, Unpack

from linewitness.base.errors import ConfigurationError, EvidenceError
from linewitness.evidence.format.ended import StreamEnd, open_end
from linewitness.evidence.format.keys import read_creation
from linewitness.evidence.format.merkle import BadProof, Frontier, leaf_hash
from linewitness.evidence.format.note import BadNote
from linewitness.evidence.format.proof import TlogProof, parse_consistency
from linewitness.evidence.format.record import ZERO_HASH, parse
from linewitness.evidence.policy.policy import Policy
from linewitness.evidence.verify.chain import Broken, ChainHead
from linewitness.evidence.verify.chunk import ChainState
from linewitness.evidence.verify.selection.batch import KeyHistory, SharedCheckpoint, prove
from linewitness.evidence.verify.selection.selection import ProofOf, learn_keys
from linewitness.evidence.verify.source import VerifierOptions
from linewitness.evidence.verify.statements import RANGE, Statement, TrustedStatement, trusted_statements
from linewitness.evidence.verify.stream import StreamStart, verify
from linewitness.evidence.verify.verdict import Remark, Verdict

_PREV: Final = re.compile(rb'"prev_hash":"(sha256:[0-9a-f]{64})"')


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver:
    """What a handover holds: records from some number on, and what shows where they stand.

    Where that is not record 0, `edge` lists the complete subtrees before them, `key_records` are record 0 and
    the rotations before them, and `proof_of` gives the proofs of these, all of one receipt, which is as large
    as the edge. `end` is the note that the log key signed, or its text alone; `statements` are other notes.
    """

    records: Callable[[], Iterator[bytes]]
    key_records: Callable[[], Iterable[bytes]]
    proof_of: ProofOf
    edge: str | None
    end: str
    statements: Sequence[Statement]


def verify_handover(
    handed: HandedOver, *, policy: Policy | None, **options: Unpack[VerifierOptions]
) -> Verdict:
    """Return the verdict: INTACT where all records follow one another to the stated end, or BROKEN."""
    if handed.edge is not None and policy is None:
        raise ConfigurationError(
            "a handover that begins after record 0 proves nothing without a policy, which names the keys",
            hint="give --policy, from your own files and not from whoever gave you the package",
        )
    before = _Before(Frontier())
    if handed.edge is not None and policy is not None:
        try:
            before = _proven(handed, handed.edge, policy)
        except Broken as error:
            return _broken(error, policy)
    verdict = verify(handed.records(), policy=policy, beginning=before.start, **options)
    if verdict.status == "BROKEN":
        return replace(verdict, selected=max(0, verdict.size - before.size))
    end, remark = _end(handed, verdict, policy)
    if (broken := _elsewhere(end, verdict)) is not None:
        return verdict.broken(broken.index, broken.reason)
    remarks = (*before.remarks, remark, *_others(handed, before, policy), *verdict.remarks)
    return replace(verdict, selected=verdict.size - before.size, remarks=remarks)


@dataclass(frozen=True, slots=True)
class _Before:
    """What is known of the records before the first."""

    tree: Frontier
    start: StreamStart | None = None
    remarks: tuple[Remark, ...] = ()

    @property
    def size(self) -> int:
        """The number of these records."""
        return self.tree.size


def _proven(handed: HandedOver, edge: str, policy: Policy) -> _Before:
    """Return the state before the first record, as the receipt proves it; or `Broken`."""
    receipt = _receipt(handed, policy)
    shared = SharedCheckpoint(_note_of(handed), receipt.checkpoint)
    known: KeyHistory | None = None
    for at, data, latest in learn_keys(handed.key_records(), policy):
        prove(at, data, handed.proof_of(at), shared)
        known = latest
    assert known is not None, "learn_keys yields record 0 or raises"  # noqa: S101 (for the type checker)
    size = receipt.checkpoint.size
    tree = _edge(edge, size)
    if tree.root() != receipt.checkpoint.root:
        raise Broken(0, f"the edge of the tree is not that of the {size} records of the receipt")
    link = _PREV.search(next(handed.records(), b""))
    head = ChainHead(
        stream=known.stream,
        tenant=known.tenant,
        size=size,
        last_hash=link[1].decode() if link else ZERO_HASH,
        event_key=str(known.key_at(size)),
        log_key=known.log_key,
    )
    start = StreamStart(
        state=ChainState(head),
        record_0=known.record_0,
        keys=tuple(zip(known.firsts, known.vkeys, strict=True)),
        tree=tree.copy(),
        roots={},
    )
    said = f"the {size} records before it are not in this package; signed by {receipt.signers}"
    return _Before(tree, start, (Remark(size, said),))


def _note_of(handed: HandedOver) -> str:
    try:
        return TlogProof.parse(handed.proof_of(0) or "").checkpoint
    except EvidenceError as error:
        raise Broken(0, error.what) from None


def _receipt(handed: HandedOver, policy: Policy) -> TrustedStatement:
    statement = Statement("the proofs' checkpoint", _note_of(handed))
    believed, remarks = trusted_statements([statement], log_key=policy.log_key, policy=policy)
    if not believed:
        raise Broken(0, remarks[0].text)
    return believed[0]


def _edge(text: str, size: int) -> Frontier:
    """Return the edge of a tree of `size` leaves from its complete subtrees, largest first; or `Broken`."""
    try:
        hashes = parse_consistency(text)
    except BadProof as error:
        raise Broken(0, error.what) from None
    levels = [level for level in reversed(range(size.bit_length())) if size >> level & 1]
    if len(hashes) != len(levels):
        raise Broken(0, f"the edge of a tree of {size} records has {len(levels)} hashes, not {len(hashes)}")
    found = dict(zip(levels, hashes, strict=True))
    return Frontier(size, lambda level, _: found[level])


def _end(handed: HandedOver, verdict: Verdict, policy: Policy | None) -> tuple[StreamEnd | None, Remark]:
    """Return where the log key says that the stream ended, and who says so in words."""
    log_key = policy.log_key if policy else read_creation(parse(next(handed.records()))).log
    try:
        end = open_end(handed.end, log_key)
    except BadNote as error:
        return None, Remark(None, f"nothing shows that the stream ended here: {error.what}")
    return end, Remark(None, f"the log key states that the stream ended with {verdict.size} records")


def _elsewhere(end: StreamEnd | None, verdict: Verdict) -> Broken | None:
    """Return what contradicts the signed end: records that are missing, added, or others."""
    if end is None or (end.size, end.root.hex()) == (verdict.size, verdict.root):
        return None
    if end.size > verdict.size:
        reason = f"it and what follows is missing: the log key states that the stream ended with {end.size}"
        return Broken(verdict.size, f"{reason} records, here are {verdict.size}")
    if end.size < verdict.size:
        reason = f"the log key states that the stream ended before it, with {end.size} records"
        return Broken(end.size, reason)
    return Broken(0, f"{RANGE}{end.size - 1} there are other records than those of which the log key signed")


def _others(handed: HandedOver, before: _Before, policy: Policy | None) -> Iterator[Remark]:
    """Say which receipts in the package are of another history than these records."""
    if policy is None:
        return
    believed, remarks = trusted_statements(handed.statements, log_key=policy.log_key, policy=policy)
    yield from remarks
    tree, records = before.tree.copy(), handed.records()
    for one in sorted(believed, key=lambda each: each.checkpoint.size):
        size = one.checkpoint.size
        for data in islice(records, max(0, size - tree.size)):
            tree.append(leaf_hash(data))
        if size > tree.size:
            yield Remark(None, f"{one.signers} signed {size} records of this stream, more than are here")
        elif size == tree.size and tree.root() != one.checkpoint.root:
            text = f"this is a fork: {one.signers} signed other records among the first {size} of this stream"
            yield Remark(None, text)


def _broken(broken: Broken, policy: Policy) -> Verdict:
    return Verdict(
        status="BROKEN",
        origin=policy.origin,
        size=0,
        selected=0,
        root=None,
        head_hash=None,
        record_0=policy.record_0,
        policy=policy.sha256,
        broken_at=broken.index,
        reason=broken.reason,
    )
