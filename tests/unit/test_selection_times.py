"""Time stamps beside a selection bound the times of its records, if they are of the same history."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from linewitness.cli import app
from linewitness.evidence.format import merkle
from linewitness.evidence.format.merkle import leaf_hash
from linewitness.evidence.format.proof import TlogProof, format_consistency
from linewitness.evidence.package.write import PackageContents, write_package

VECTORS = Path(__file__).parents[2] / "vectors"
RECORDS = (VECTORS / "chain/records.ndjson").read_bytes().splitlines()
POLICY = VECTORS / "stamp/policy.json"
CONSISTENCY = format_consistency(
    [bytes.fromhex(line) for line in (VECTORS / "proof/4-7.consistency").read_text().split()]
)
AUTHORITY = "tsa.vectors.example (RFC 3161 token)"


def of(level: int, index: int) -> bytes:
    leaves = [leaf_hash(data) for data in RECORDS]
    return merkle.root_of(leaves[index << level : (index + 1) << level])


def judged(folder: Path, token: str, checkpoint: str, consistency: str | None) -> dict[str, Any]:
    """Return what `verify --times` says about records 2 and 5 with one time stamp beside them."""
    # Nobody has cosigned it, so that nobody but the authority says a time.
    note = (VECTORS / "checkpoint/7.checkpoint").read_text()
    statements = [("anchors/tsa.checkpoint", (VECTORS / checkpoint).read_text())]
    if consistency is not None:
        statements.append(("anchors/tsa.consistency", consistency))
    contents = PackageContents(
        origin="acme.example/ber-01/line-02/1",
        created_at="2026-03-02T00:00:00.000Z",
        records=[RECORDS[2], RECORDS[5]],
        key_records=[RECORDS[0], RECORDS[4]],
        proofs=[(at, str(TlogProof.make(at, note, of))) for at in (0, 2, 4, 5)],
        statements=statements,
        tokens=[("anchors/tsa.tsr", (VECTORS / "stamp" / token).read_bytes())],
    )
    path = folder / "evidence.zip"
    with path.open("wb") as file:
        write_package(file, contents)
    found = CliRunner().invoke(app, ["verify", str(path), "--policy", str(POLICY), "--times", "--json"])
    verdict: dict[str, Any] = json.loads(found.stdout)
    return verdict


def bounds(verdict: dict[str, Any]) -> dict[int, str | None]:
    """Return of each shown record by when it was there, and by whose clock."""
    return {
        one["sequence_no"]: one["not_after"] and f"{one['not_after']['time']} {one['not_after']['who']}"
        for one in verdict["times"]
    }


def test_a_stamp_over_an_older_checkpoint_bounds_the_records_that_it_covers(tmp_path: Path) -> None:
    verdict = judged(tmp_path, "four.tsr", "checkpoint/4.checkpoint", CONSISTENCY)
    assert verdict["status"] == "INTACT"
    assert [one["size"] for one in verdict["attestations"] if one["role"] == "time stamp"] == [4]
    assert bounds(verdict) == {2: f"2026-03-01T07:00:01.000Z {AUTHORITY}", 5: None}


@pytest.mark.parametrize("consistency", [None, "", CONSISTENCY[45:]])
def test_a_stamp_that_is_not_shown_to_be_of_this_history_bounds_nothing(
    tmp_path: Path, consistency: str | None
) -> None:
    verdict = judged(tmp_path, "four.tsr", "checkpoint/4.checkpoint", consistency)
    assert verdict["status"] == "INTACT"
    assert bounds(verdict) == {2: None, 5: None}
    assert any("is of this history is not shown" in one["text"] for one in verdict["remarks"])


def test_a_stamp_over_another_history_bounds_nothing(tmp_path: Path) -> None:
    verdict = judged(tmp_path, "other-9.tsr", "stamp/other-9.checkpoint", CONSISTENCY)
    assert verdict["status"] == "INTACT"
    assert bounds(verdict) == {2: None, 5: None}
