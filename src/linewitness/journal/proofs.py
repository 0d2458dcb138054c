"""Verify what a pruned journal still holds: each record by its own proof, as the chain is gone."""

from linewitness.errors import ConfigurationError
from linewitness.evidence.policy import Policy
from linewitness.evidence.proof import TlogProof
from linewitness.evidence.selection import verify_selection
from linewitness.evidence.verdict import Verdict
from linewitness.journal.reader import JournalReader


def verify_kept(reader: JournalReader, policy: Policy | None) -> Verdict:
    """Return the verdict on the records that were not pruned and that the newest receipt covers.

    Their proofs lead to the receipt through the leaf hashes of what was pruned. ConfigurationError without
    a policy: a stream whose beginning is gone cannot say itself whose word counts.
    """
    receipt = reader.newest_receipt()
    if policy is None or receipt is None:
        raise ConfigurationError(
            f"records before {reader.pruned} were pruned: the others are verified by proofs, which need the "
            "customer's policy",
            hint="give --policy; the whole stream is at the audit store",
        )
    size, note = receipt
    subtree = reader.tree().subtree
    return verify_selection(
        (data for _, data in reader.records(max(reader.pruned, 1), size)),
        (data for number, data in reader.key_records() if number < size),
        lambda number: str(TlogProof.make(number, note, subtree)),
        policy=policy,
    )
