"""Weigh what lies beside a selection: notes about checkpoints that need not be the one of its proofs.

docs/format.md, section 12.3.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from linewitness.evidence.format import merkle
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.merkle import BadProof
from linewitness.evidence.format.note import BadNote, Note
from linewitness.evidence.format.proof import parse_consistency
from linewitness.evidence.policy.policy import Policy
from linewitness.evidence.timestamps.algorithms import Verifies
from linewitness.evidence.verify.attestation_age import age_of
from linewitness.evidence.verify.chain import Broken
from linewitness.evidence.verify.plausible_times import ClaimedTimes, PlausibleTimes, unlikely_times
from linewitness.evidence.verify.statements import (
    Statement,
    TrustedStatement,
    newest_stamps,
    trusted_statements,
)
from linewitness.evidence.verify.verdict import Attestation, Remark, Verdict


@dataclass(frozen=True, slots=True)
class SelectionStamps:
    """What the statements add to a verdict; `fork` if the log key signed another history, too.

    `believed` are all that the right keys signed, `held` those shown to be of the history of the proofs.
    """

    stamps: tuple[Attestation, ...] = ()
    remarks: tuple[Remark, ...] = ()
    fork: Broken | None = None
    believed: tuple[TrustedStatement, ...] = ()
    held: tuple[TrustedStatement, ...] = ()

    def compared(
        self, verdict: Verdict, own: TrustedStatement, selected: Iterable[ClaimedTimes], quorum: int
    ) -> Verdict:
        """Return the verdict with what contradicts the times of the records, and the age of its attestation.

        `own` is the checkpoint of the proofs. Statements that are not shown to be of this history count for
        the age alone.
        """
        times = PlausibleTimes([own, *self.held])
        for claims in selected:
            times.take(claims)
        everything = [own, *self.believed]
        age = age_of(everything, attested=verdict.attested, quorum=quorum, last_record_ms=times.last_ms)
        remarks = (*times.remarks(), *unlikely_times(everything), *verdict.remarks)
        return replace(
            verdict,
            remarks=remarks,
            age=age,
            seen_late=times.seen_late.end(),
            seen_late_left_out=times.seen_late.left_out,
        )


def weigh_stamps(
    statements: Iterable[Statement],
    shared: Checkpoint,
    *,
    policy: Policy,
    verifies: Verifies | None,
) -> SelectionStamps:
    """Return which statements count for the history of `shared`, the checkpoint of the proofs."""
    believed, remarks = trusted_statements(
        statements, log_key=policy.log_key, policy=policy, verifies=verifies
    )
    held: list[TrustedStatement] = []
    for one in believed:
        if one.checkpoint.size == shared.size and one.checkpoint.root != shared.root:
            reason = (
                f"among the {shared.size} records there are others than those that {one.source} is about,"
                f" signed by {one.signers}"
            )
            return SelectionStamps(remarks=tuple(remarks), fork=Broken(0, reason))
        if one.stamp is None and one.consistency is None and one.checkpoint.size != shared.size:
            continue
        try:
            _check_history(one.checkpoint, shared, one.consistency)
        except BadProof as error:
            source = one.token.source if one.stamp and one.token else one.source
            remarks.append(
                Remark(
                    None,
                    f"{source} does not count: that its checkpoint is of this history is not shown"
                    f" ({error.what})",
                )
            )
        else:
            held.append(one)
    return SelectionStamps(newest_stamps(held), tuple(remarks), None, tuple(believed), tuple(held))


def of_history(statements: Iterable[Statement], shared: Checkpoint) -> list[Statement]:
    """Return those whose checkpoints are shown to be of the history of `shared`.

    Who signed them is not looked at here.
    """
    found: list[Statement] = []
    for one in statements:
        if one.token is None and one.consistency is None:
            continue
        try:
            _check_history(Checkpoint.parse(Note.parse(one.text).text), shared, one.consistency)
        except (BadNote, BadProof):
            continue  # the verdict's remarks say why
        found.append(one)
    return found


def _check_history(one: Checkpoint, shared: Checkpoint, consistency: str | None) -> None:
    if one.size == shared.size:
        if one.root != shared.root:
            raise BadProof("it is about other records")
        return
    if consistency is None:
        raise BadProof("there is no consistency proof")
    old, new = sorted((one, shared), key=lambda each: each.size)
    try:
        merkle.verify_consistency(old.size, old.root, new.size, new.root, parse_consistency(consistency))
    except BadProof:
        raise BadProof("the consistency proof is not one") from None
