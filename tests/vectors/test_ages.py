"""How old an attestation may be, and a clock that is a year behind: both verifiers say what is stated."""

from pathlib import Path

import pytest

from linewitness.evidence.command.demands import Demands
from support.browser_verifier import judge_with_page
from support.packages import judge_with_python
from support.zips import zipped

VECTORS = Path(__file__).parents[2] / "vectors"
AGES = [tuple(line.split(" ")) for line in (VECTORS / "age/ages.txt").read_text().splitlines()]
CHECKED_S = 1_772_344_910


def packed(path: Path, records: str, *receipts: str) -> Path:
    beside = {f"receipts/{number}.receipt": name for number, name in enumerate(receipts)}
    files = {"records.ndjson": records, **beside}
    return zipped(path, {name: (VECTORS / source).read_bytes() for name, source in files.items()})


@pytest.mark.parametrize("case", AGES, ids="-".join)
def test_it_is_as_old_and_as_long_as_was_asked_for(tmp_path: Path, case: tuple[str, ...]) -> None:
    receipt, policy, as_of, at_least, status = case
    demands = Demands(
        now_s=CHECKED_S,
        at_least=None if at_least == "-" else int(at_least),
        as_of_s=None if as_of == "-" else int(as_of),
    )
    path = packed(tmp_path / "a.zip", "chain/records.ndjson", f"checkpoint/{receipt}")
    trust = (VECTORS / policy).read_bytes()
    python = judge_with_python(path, trust, (), demands)
    page = judge_with_page(path, trust, (), demands)
    assert python["status"] == page["status"] == status
    assert (python["text"], python["age"]) == (page["text"], page["age"])


def test_the_backdated_stream_has_the_remarks_that_the_vectors_state(tmp_path: Path) -> None:
    names = ("backdated/3.receipt", "backdated/5.receipt")
    path = packed(tmp_path / "a.zip", "backdated/records.ndjson", *names)
    trust = (VECTORS / "backdated/policy.json").read_bytes()
    python, page = judge_with_python(path, trust), judge_with_page(path, trust)
    assert python["text"].startswith("COMPLETE to 5, attested by audit house")
    assert (list(python["remarks"]), python["age"]) == (page["remarks"], page["age"])
    assert python["seen_late"] == page["seen_late"]
    [seen] = python["seen_late"]
    found = " ".join(str(seen[name]) for name in ("first", "last", "after_s"))
    assert found == (VECTORS / "backdated/late.txt").read_text().strip()
    early, waited = python["remarks"]
    side, first, last, _, late = (VECTORS / "backdated/remarks.txt").read_text().split()
    claim = f"records {first} to {last} claim to have been written up to 365 days {side} than possible"
    assert early["text"].startswith(claim)
    assert waited["index"] == int(late)
