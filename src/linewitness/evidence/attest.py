"""Weigh checkpoints, receipts and anchors against the records and the policy.

docs/format.md, section 12, steps 9 and 10.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from linewitness.evidence.chain import Broken
from linewitness.evidence.checkpoint import Checkpoint, open_checkpoint
from linewitness.evidence.note import BadNote, Note, Vkey
from linewitness.evidence.policy import Policy
from linewitness.evidence.verdict import Attestation, Remark


@dataclass(frozen=True, slots=True)
class Statement:
    """A signed statement about the stream that lies beside the records: where it is from, and its text."""

    source: str
    text: str


@dataclass(frozen=True, slots=True)
class Believed:
    """A checkpoint whose signature by the log key is good, with the attesters who cosigned it."""

    source: str
    checkpoint: Checkpoint
    attestations: tuple[Attestation, ...]


def sizes_of(statements: Iterable[Statement]) -> set[int]:
    """Return the sizes at which roots will be needed; what cannot be parsed is remarked upon later."""
    sizes: set[int] = set()
    for statement in statements:
        try:
            sizes.add(Checkpoint.parse(Note.parse(statement.text).text).size)
        except BadNote:
            continue
    return sizes


def believe(
    statements: Iterable[Statement], *, log_key: Vkey, policy: Policy | None
) -> tuple[list[Believed], list[Remark]]:
    """Return the statements that the right keys signed, and a remark about each of the others."""
    believed: list[Believed] = []
    remarks: list[Remark] = []
    for statement in statements:
        try:
            checkpoint, signed = open_checkpoint(statement.text, log_key)
            attestations = _attestations(checkpoint, signed, policy) if policy else ()
        except BadNote as error:
            remarks.append(Remark(None, f"{statement.source} does not count: {error.what}"))
            continue
        if policy and (first := _revoked_from(policy, log_key)) is not None and checkpoint.size > first:
            remarks.append(
                Remark(
                    None, f"{statement.source} does not count: the log key is revoked from record {first} on"
                )
            )
            continue
        believed.append(Believed(statement.source, checkpoint, attestations))
    return believed, remarks


def check_roots(believed: Iterable[Believed], *, size: int, roots: Mapping[int, bytes]) -> None:
    """Raise `Broken` if a believed checkpoint is about other records, or about more, than there are."""
    held = [0]
    for one in sorted(believed, key=lambda each: each.checkpoint.size):
        signers = " and ".join([one.checkpoint.origin, *(each.name for each in one.attestations)])
        if one.checkpoint.size > size:
            raise Broken(
                size,
                f"it and what follows is missing: {one.source}, signed by {signers}, is about"
                f" {one.checkpoint.size} records, here are {size}",
            )
        if roots[one.checkpoint.size] != one.checkpoint.root:
            raise Broken(
                max(each for each in held if each < one.checkpoint.size),
                f"from here up to record {one.checkpoint.size - 1} there are other records than those that"
                f" {one.source} is about, signed by {signers}",
            )
        held.append(one.checkpoint.size)


def quorum(believed: Iterable[Believed], policy: Policy) -> tuple[int, tuple[Attestation, ...]]:
    """Return how many records the policy's quorum covers, and the attestations that make it so.

    Who attests N records attests every smaller number too, for the roots were found consistent.
    """
    newest: dict[str, Attestation] = {}
    for one in believed:
        for attestation in one.attestations:
            known = newest.get(attestation.party)
            if known is None or (attestation.size, -attestation.time_s) > (known.size, -known.time_s):
                newest[attestation.party] = attestation
    ranked = sorted(newest.values(), key=lambda each: -each.size)
    if len(ranked) < policy.quorum:
        return 0, ()
    covered = ranked[policy.quorum - 1].size
    return covered, tuple(each for each in ranked if each.size >= covered) if covered else ()


def _attestations(checkpoint: Checkpoint, signed: Note, policy: Policy) -> tuple[Attestation, ...]:
    found: list[Attestation] = []
    for attester in policy.attesters:
        time_s = signed.signed_by(attester.key)
        if time_s is None:
            continue
        first = _revoked_from(policy, attester.key)
        if first is not None and checkpoint.size > first:
            raise BadNote(f"the key of {attester.key.name} is revoked from record {first} on")
        found.append(
            Attestation(
                party=attester.party,
                role=attester.role,
                name=attester.key.name,
                size=checkpoint.size,
                root=checkpoint.root.hex(),
                time_s=time_s,
            )
        )
    return tuple(found)


def _revoked_from(policy: Policy, key: Vkey) -> int | None:
    firsts = [one.first for one in policy.revocations if one.key.public == key.public]
    return min(firsts) if firsts else None
