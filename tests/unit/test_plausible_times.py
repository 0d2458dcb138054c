"""Times that contradict each other are remarks of every kind of verdict, and in the report."""

from collections.abc import Iterable
from pathlib import Path

from linewitness.evidence.format.merkle import leaf_hash, root_of
from linewitness.evidence.package.report import build_report
from linewitness.evidence.policy.policy import Policy
from linewitness.evidence.verify.attestation_age import span
from linewitness.evidence.verify.ended import HandedOver, verify_handover
from linewitness.evidence.verify.pruned import PrunedStream, verify_pruned
from linewitness.evidence.verify.statements import Statement
from linewitness.evidence.verify.stream import verify
from linewitness.evidence.verify.verdict import Remark

BACKDATED = Path(__file__).parents[2] / "vectors/backdated"
RECORDS = (BACKDATED / "records.ndjson").read_bytes().splitlines()
POLICY = Policy.parse((BACKDATED / "policy.json").read_bytes())
STATEMENTS = [Statement(name, (BACKDATED / name).read_text()) for name in ("3.receipt", "5.receipt")]
EARLIER = "claim to have been written up to 365 days earlier than possible by the clock of"


def subtree(level: int, index: int) -> bytes:
    return root_of(leaf_hash(data) for data in RECORDS[index << level : (index + 1) << level])


def early(remarks: Iterable[Remark]) -> list[tuple[int | None, str]]:
    found = [(one.index, one.text.partition(f" {EARLIER} ")) for one in remarks if EARLIER in one.text]
    return [(index, f"{records}: {rest.partition(',')[0]}") for index, (records, _, rest) in found]


def test_a_stream_in_several_processes_says_the_same() -> None:
    one, two = (verify(RECORDS, policy=POLICY, statements=STATEMENTS, workers=workers) for workers in (1, 2))
    assert one == two
    assert early(one.remarks) == [(0, "records 0 to 4: audit house (store store.audit.example)")]


def test_a_pruned_journal_says_it_of_what_is_left() -> None:
    pruned = PrunedStream(
        boundary=2, records=lambda: iter(RECORDS[2:]), key_records=RECORDS[:1], subtree=subtree
    )
    verdict = verify_pruned(pruned, policy=POLICY, statements=STATEMENTS)
    assert (verdict.status, verdict.selected) == ("INCLUDED", 3)
    assert early(verdict.remarks) == [(2, "records 2 to 4: audit house (store store.audit.example)")]
    assert verdict.age is not None
    assert verdict.age.text.startswith("the newest attestation is of 2026-03-01T06:00:05Z, 365 days after")


def test_a_handover_says_it_by_what_the_gateway_itself_noted() -> None:
    handed = HandedOver(
        records=lambda: iter(RECORDS),
        key_records=lambda: iter(()),
        proof_of=lambda _: None,
        edge=None,
        end="",
        statements=[],
    )
    verdict = verify_handover(handed, policy=POLICY)
    assert early(verdict.remarks) == [(0, "records 0 to 4: press-4")]
    assert verdict.age is not None
    assert verdict.age.text.startswith("nothing is attested")


def test_without_a_policy_the_gateways_own_note_is_left() -> None:
    verdict = verify(RECORDS, statements=STATEMENTS)
    ((index, _),) = early(verdict.remarks)
    assert index == 0


def test_the_report_says_age_and_contradiction() -> None:
    verdict = verify(RECORDS, policy=POLICY, statements=STATEMENTS)
    page = build_report([], title="a", created_at="now", verdict=verdict).decode()
    assert "Age: the newest attestation is of 2026-03-01T06:00:05Z, 365 days after the last record; " in page
    assert f"Record 0: records 0 to 4 {EARLIER} audit house" in page


def test_durations_are_read_at_a_glance() -> None:
    said = [span(each) for each in (0, 119, 120, 7199, 7200, 172_799, 172_800, 31_536_000)]
    assert said == ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 days", "365 days"]
