"""Verify what a pruned journal still holds: the records that are left, by the tree that was left of all."""

from collections.abc import Sequence

from linewitness.base.errors import ConfigurationError
from linewitness.evidence.policy.policy import Policy
from linewitness.evidence.timestamps.algorithms import Verifies
from linewitness.evidence.verify import pruned
from linewitness.evidence.verify.pruned import Kept
from linewitness.evidence.verify.statements import Statement
from linewitness.evidence.verify.stream import Progress
from linewitness.evidence.verify.verdict import Verdict
from linewitness.journal.reader import JournalReader


def verify_kept(
    reader: JournalReader,
    policy: Policy | None,
    *,
    statements: Sequence[Statement] | None = None,
    verifies: Verifies | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Verdict:
    """Return the verdict on the records that were not pruned, and on record 0 and the rotations.

    `statements` are those to be weighed, all receipts unless given. ConfigurationError without a policy: a
    stream whose beginning is gone cannot say itself whose word counts.
    """
    if policy is None:
        raise ConfigurationError(
            f"records before {reader.pruned} were pruned: the others are verified by what was attested, "
            "which needs the customer's policy",
            hint="give --policy; the whole stream is at the audit store",
        )
    if statements is None:
        statements = [Statement(f"receipt over {size} records", note) for size, note in reader.receipts()]
    size, boundary = reader.size(), reader.pruned
    return pruned.verify_kept(
        Kept(
            boundary=boundary,
            records=lambda: (data for _, data in reader.records(boundary, size)),
            key_records=(data for number, data in reader.key_records() if number < boundary),
            subtree=reader.tree().subtree,
        ),
        policy=policy,
        statements=statements,
        verifies=verifies,
        workers=workers,
        progress=progress,
    )
