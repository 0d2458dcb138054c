"""Texts that two readers could read differently have one reading, in both verifiers."""

from pathlib import Path

import pytest

from support.browser_verifier import judge_with_page
from support.packages import judge_with_python
from support.zips import zipped

VECTORS = Path(__file__).parents[2] / "vectors"
TEXTS = [tuple(line.split(" ")) for line in (VECTORS / "text/texts.txt").read_text().splitlines()]


@pytest.mark.parametrize(("name", "status"), TEXTS)
def test_it_has_the_verdict_that_the_vectors_state(tmp_path: Path, name: str, status: str) -> None:
    data = (VECTORS / "text" / name).read_bytes()
    policy = data if name.endswith(".policy") else (VECTORS / "policy.json").read_bytes()
    receipt = data if name.endswith(".receipt") else (VECTORS / "checkpoint/7.receipt").read_bytes()
    records = (VECTORS / "chain/records.ndjson").read_bytes()
    path = zipped(tmp_path / "a.zip", {"records.ndjson": records, "receipts/7.receipt": receipt})
    python, page = judge_with_python(path, policy), judge_with_page(path, policy)
    assert (python["status"], page["status"]) == (status, status), (python, page)
    assert bool(python["remarks"]) == bool(page["remarks"]) == (status == "INTACT")
