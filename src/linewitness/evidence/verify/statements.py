"""Weigh checkpoints, receipts and anchors against the records and the policy.

docs/format.md, section 12, steps 9 and 10.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from linewitness.evidence.format.checkpoint import Checkpoint, open_checkpoint
from linewitness.evidence.format.note import BadNote, Note, Vkey
from linewitness.evidence.policy.policy import Policy
from linewitness.evidence.timestamps.algorithms import Verifies
from linewitness.evidence.timestamps.der import BadDer
from linewitness.evidence.timestamps.timestamp import Authorities
from linewitness.evidence.verify.chain import Broken
from linewitness.evidence.verify.verdict import TIME_STAMP, Attestation, Remark

#: How the reason begins where it is not known which of several records is another one.
RANGE: Final = "from here up to record "


@dataclass(frozen=True, slots=True)
class Token:
    """A time-stamp token over a statement's exact bytes: where it is from, and its own bytes."""

    source: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Statement:
    """A signed statement about the stream that lies beside the records: where it is from, and its text.

    `consistency` is the text of the proof that its checkpoint and that of a selection's proofs are of one
    history.
    """

    source: str
    text: str
    token: Token | None = None
    consistency: str | None = None


@dataclass(frozen=True, slots=True)
class TrustedStatement:
    """A checkpoint whose signature by the log key is good, with who cosigned it and who stamped it."""

    source: str
    checkpoint: Checkpoint
    attestations: tuple[Attestation, ...]
    stamp: Attestation | None = None
    token: Token | None = None
    text: str = ""
    consistency: str | None = None

    @property
    def signers(self) -> str:
        """Everybody who signed it, in words."""
        names = [self.checkpoint.origin, *(each.name for each in self.attestations)]
        return " and ".join(names) + (f", time-stamped by {self.stamp.name}" if self.stamp else "")


def sizes_of(statements: Iterable[Statement]) -> set[int]:
    """Return the sizes at which roots will be needed; what cannot be parsed is remarked upon later."""
    sizes: set[int] = set()
    for statement in statements:
        try:
            sizes.add(Checkpoint.parse(Note.parse(statement.text).text).size)
        except BadNote:
            continue
    return sizes


def trusted_statements(
    statements: Iterable[Statement],
    *,
    log_key: Vkey,
    policy: Policy | None,
    verifies: Verifies | None = None,
) -> tuple[list[TrustedStatement], list[Remark]]:
    """Return the statements that the right keys signed, and a remark about each of the others.

    `verifies` is needed for time stamps, which are not checked without it.
    """
    believed: list[TrustedStatement] = []
    remarks: list[Remark] = []
    stamping = _Stamping(policy, verifies)
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
        stamp = stamping.weigh(statement, checkpoint)
        believed.append(
            TrustedStatement(
                statement.source,
                checkpoint,
                attestations,
                stamp,
                statement.token,
                statement.text,
                statement.consistency,
            )
        )
    return believed, [*remarks, *stamping.remarks]


def check_roots(believed: Iterable[TrustedStatement], *, size: int, roots: Mapping[int, bytes]) -> None:
    """Raise `Broken` if a believed checkpoint is about other records, or about more, than there are."""
    held = [0]
    for one in sorted(believed, key=lambda each: each.checkpoint.size):
        if one.checkpoint.size > size:
            raise Broken(
                size,
                f"it and what follows is missing: {one.source}, signed by {one.signers}, is about"
                f" {one.checkpoint.size} records, here are {size}",
            )
        if roots[one.checkpoint.size] != one.checkpoint.root:
            raise Broken(
                max(each for each in held if each < one.checkpoint.size),
                f"{RANGE}{one.checkpoint.size - 1} there are other records than those that"
                f" {one.source} is about, signed by {one.signers}",
            )
        held.append(one.checkpoint.size)


def quorum(believed: Iterable[TrustedStatement], policy: Policy) -> tuple[int, tuple[Attestation, ...]]:
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


def newest_stamps(believed: Iterable[TrustedStatement]) -> tuple[Attestation, ...]:
    """Return of each authority the stamp that covers most, the oldest of equals: none counts for a quorum."""
    newest: dict[str, Attestation] = {}
    for stamp in (one.stamp for one in believed if one.stamp):
        known = newest.get(stamp.name)
        if known is None or (stamp.size, -stamp.time_s) > (known.size, -known.time_s):
            newest[stamp.name] = stamp
    return tuple(sorted(newest.values(), key=lambda each: -each.size))


class _Stamping:
    """Weigh the time stamps of statements, and remark on those that do not count."""

    def __init__(self, policy: Policy | None, verifies: Verifies | None) -> None:
        self.remarks: list[Remark] = []
        self._authorities = Authorities(policy.tsa_roots if policy else (), verifies) if verifies else None

    def weigh(self, statement: Statement, checkpoint: Checkpoint) -> Attestation | None:
        token = statement.token
        if token is None:
            return None
        if self._authorities is None:
            self._say("time stamps were not checked: what verifies their signatures is not at hand")
        elif not self._authorities.roots:
            self._say("time stamps do not count: no policy names tsa_roots")
        else:
            try:
                stamp = self._authorities.open(token.data, statement.text.encode())
            except BadDer as error:
                self._say(f"{token.source} does not count: {error.what}")
            else:
                return Attestation(
                    party=stamp.root,
                    role=TIME_STAMP,
                    name=stamp.name,
                    size=checkpoint.size,
                    root=checkpoint.root.hex(),
                    time_s=stamp.time_s,
                )
        return None

    def _say(self, text: str) -> None:
        remark = Remark(None, text)
        if remark not in self.remarks[-1:]:
            self.remarks.append(remark)


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
