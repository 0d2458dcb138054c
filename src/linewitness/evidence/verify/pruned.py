"""Verify what is left of a stream whose older records were pruned, by the tree that was left of them.

The records from the boundary on are a chain like any other. Only what came before them is taken from what
was kept: the event key from record 0 and the rotations, the tree from its nodes. That these are the real
ones shows in the roots that others attested, which follow from both.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from linewitness.base.errors import JournalDamaged
from linewitness.evidence.format import merkle
from linewitness.evidence.format.merkle import BadProof, Frontier, Subtree, leaf_hash
from linewitness.evidence.format.record import ZERO_HASH
from linewitness.evidence.policy.policy import Policy
from linewitness.evidence.progress import Progress
from linewitness.evidence.timestamps.algorithms import Verifies
from linewitness.evidence.verify.chain import Broken, ChainHead
from linewitness.evidence.verify.chunk import ChainState
from linewitness.evidence.verify.selection.batch import KeyHistory
from linewitness.evidence.verify.selection.selection import learn_keys
from linewitness.evidence.verify.statements import RANGE, Statement, sizes_of, trusted_statements
from linewitness.evidence.verify.stream import StreamStart, verify
from linewitness.evidence.verify.verdict import Remark, Status, Verdict

_PREV: Final = re.compile(rb'"prev_hash":"(sha256:[0-9a-f]{64})"')
_OWN: Final = re.compile(rb'"record_hash":"(sha256:[0-9a-f]{64})"')


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedStream:
    """What is left: all records from `boundary` on, which is above 0, and the key records before it.

    `subtree` reads the tree that was stored while the stream grew; of pruned records it knows the leaves.
    """

    boundary: int
    records: Callable[[], Iterator[bytes]]
    key_records: Iterable[bytes]
    subtree: Subtree


def verify_pruned(
    pruned: PrunedStream,
    *,
    policy: Policy,
    statements: Sequence[Statement],
    verifies: Verifies | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Verdict:
    """Return the verdict on what is left: INCLUDED at best, for what was pruned could not be looked at."""
    keys: list[tuple[int, bytes]] = []
    known: KeyHistory | None = None
    try:
        for at, data, latest in learn_keys(pruned.key_records, policy):
            keys.append((at, data))
            known = latest
    except Broken as error:
        return _broken(error, policy)
    covering = _covering(statements, pruned.boundary)
    first = next(pruned.records(), b"")
    verdict = verify(
        pruned.records(),
        policy=policy,
        statements=covering,
        verifies=verifies,
        workers=workers,
        progress=progress,
        beginning=_beginning(pruned, known, keys[-1], first, sizes_of(covering)) if known else None,
    )
    if verdict.status == "BROKEN":
        broken = _altered(pruned, covering, policy, verdict)
        return _broken(broken, policy, verdict) if broken else replace(verdict, selected=0)
    broken = _misplaced(pruned, keys, verdict)
    return _broken(broken, policy, verdict) if broken else _included(verdict, pruned.boundary)


def _covering(statements: Sequence[Statement], boundary: int) -> list[Statement]:
    """Return those that cover what is left, and the newest of the others: it says what was attested before.

    A statement of no known size comes along, to be remarked upon.
    """
    older: dict[int, Statement] = {}
    found: list[Statement] = []
    for one in statements:
        size = max(sizes_of([one]), default=boundary)
        if size >= boundary:
            found.append(one)
        else:
            older[size] = one
    return [*([older[max(older)]] if older else []), *found]


def _beginning(
    pruned: PrunedStream, known: KeyHistory, key: tuple[int, bytes], first: bytes, sizes: Iterable[int]
) -> StreamStart:
    """Return the state in which the stream was at the boundary, which the roots will confirm."""
    at, data = key
    # A rotation that was the last pruned record is at hand; else the first one that is left says it.
    link = _OWN.search(data) if at + 1 == pruned.boundary else _PREV.search(first)
    head = ChainHead(
        stream=known.stream,
        tenant=known.tenant,
        size=pruned.boundary,
        last_hash=link[1].decode() if link else ZERO_HASH,
        event_key=str(known.key_at(pruned.boundary)),
        log_key=known.log_key,
    )
    return StreamStart(
        state=ChainState(head),
        record_0=known.record_0,
        keys=tuple(zip(known.firsts, known.vkeys, strict=True)),
        tree=Frontier(pruned.boundary, pruned.subtree),
        roots={size: merkle.root_at(size, pruned.subtree) for size in sizes if size <= pruned.boundary},
    )


def _altered(
    pruned: PrunedStream, statements: Sequence[Statement], policy: Policy, verdict: Verdict
) -> Broken | None:
    """Return the first record that is not the one of which the stored tree, as attested, knows the leaf.

    So a record is named that was signed again, where the chain or the roots only show that something is wrong
    later on or somewhere.
    """
    vague = (verdict.reason or "").startswith(RANGE)
    try:
        broken = _first_other(pruned, statements, policy)
    except JournalDamaged:
        return None  # what is missing was named already
    return broken if broken and (vague or broken.index < (verdict.broken_at or 0)) else None


def _first_other(pruned: PrunedStream, statements: Sequence[Statement], policy: Policy) -> Broken | None:
    believed, _ = trusted_statements(statements, log_key=policy.log_key, policy=policy)
    size = max(
        (
            one.checkpoint.size
            for one in believed
            if one.attestations and merkle.root_at(one.checkpoint.size, pruned.subtree) == one.checkpoint.root
        ),
        default=0,
    )
    for at, data in zip(range(pruned.boundary, size), pruned.records(), strict=False):
        if leaf_hash(data) != pruned.subtree(0, at):
            return Broken(
                at, f"it is not the record of which the tree holds the hash, as attested up to {size}"
            )
    return None


def _misplaced(pruned: PrunedStream, keys: Sequence[tuple[int, bytes]], verdict: Verdict) -> Broken | None:
    """Return the first key record that is not where it says in the tree that was found."""
    root = bytes.fromhex(verdict.root or "")
    for at, data in keys:
        try:
            path = merkle.inclusion_proof(at, verdict.size, pruned.subtree)
            merkle.verify_inclusion(leaf_hash(data), at, verdict.size, root, path)
        except BadProof as error:
            return Broken(at, error.what)
    return None


def _broken(broken: Broken, policy: Policy, verdict: Verdict | None = None) -> Verdict:
    return Verdict(
        status="BROKEN",
        origin=policy.origin,
        size=verdict.size if verdict else 0,
        selected=0,
        root=None,
        head_hash=None,
        record_0=policy.record_0,
        policy=policy.sha256,
        broken_at=broken.index,
        reason=broken.reason,
        remarks=verdict.remarks if verdict else (),
    )


def _included(verdict: Verdict, boundary: int) -> Verdict:
    size = verdict.attested or verdict.size
    waiting = verdict.size - size
    remarks = verdict.remarks
    if waiting:
        text = f"the last {waiting} records follow unaltered, and nobody outside has attested them yet"
        remarks = (Remark(size, text), *remarks)
    root = next((one.root for one in verdict.attestations if one.size == size), verdict.root)
    status: Status = "INCLUDED" if verdict.attested else "INTACT"
    return replace(verdict, status=status, size=size, selected=size - boundary, root=root, remarks=remarks)
