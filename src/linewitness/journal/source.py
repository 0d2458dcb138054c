"""A journal as evidence to verify: all of it from record 0 on, or what pruning has left."""

from collections.abc import Iterator
from typing import Unpack

from linewitness.base.errors import ConfigurationError
from linewitness.evidence.policy.policy import Policy
from linewitness.evidence.verify.pruned import PrunedStream, verify_pruned
from linewitness.evidence.verify.source import EvidenceSource, VerifierOptions, stream_source
from linewitness.evidence.verify.statements import Statement, Token
from linewitness.evidence.verify.verdict import Verdict
from linewitness.journal.attestations import is_time_stamp
from linewitness.journal.reader import JournalReader


def journal_source(reader: JournalReader) -> EvidenceSource:
    """Return what a journal holds at this moment; a gateway may go on writing to it.

    A pruned journal is verified with a policy only: a stream whose beginning is gone cannot say itself whose
    word counts (ConfigurationError).
    """
    # What was signed by now is about records that are there a moment later.
    statements = _statements(reader)
    size, boundary = reader.size(), reader.pruned

    def records() -> Iterator[bytes]:
        return (data for _, data in reader.records(0, size))

    def judge(*, policy: Policy | None, **options: Unpack[VerifierOptions]) -> Verdict:
        if policy is None:
            raise ConfigurationError(
                f"records before {boundary} were pruned: the others are verified by what was attested, "
                "which needs the customer's policy",
                hint="give --policy; the whole stream is at the audit store",
            )
        left = PrunedStream(
            boundary=boundary,
            records=lambda: (data for _, data in reader.records(boundary, size)),
            key_records=(data for number, data in reader.key_records() if number < boundary),
            subtree=reader.tree().subtree,
        )
        return verify_pruned(left, policy=policy, statements=statements, **options)

    if not boundary:
        return stream_source(records, statements, total=size)
    return EvidenceSource(records=records, statements=statements, verify=judge, total=size)


def _statements(reader: JournalReader) -> list[Statement]:
    """Return receipts, attestations and the newest checkpoint."""
    statements = [Statement(f"receipt over {size} records", note) for size, note in reader.receipts()]
    for one in reader.attestations():
        source = f"{one.source} over {one.size} records"
        token = Token(source, one.proof) if one.proof and is_time_stamp(one.source) else None
        statements.append(Statement(source, one.note, token))
    newest = reader.newest_checkpoint()
    if newest is not None:
        statements.append(Statement(f"checkpoint over {newest[0]} records", newest[1]))
    return statements
