"""Each file of devices' bytes has the verdict that the vectors state, in both verifiers."""

from pathlib import Path

import pytest

from linewitness.evidence.format.raw import RawTelegram
from support.browser_verifier import judge_all_with_page
from support.packages import judge_with_python
from support.zips import zipped

VECTORS = Path(__file__).parents[2] / "vectors/raw"
RAWS = [line.split(" ", 1) for line in (VECTORS / "raws.txt").read_text().splitlines()]


def packages(folder: Path) -> dict[str, Path]:
    found = {}
    for name, _ in RAWS:
        files = {
            "records.ndjson": (VECTORS / "records.ndjson").read_bytes(),
            "raw.ndjson": (VECTORS / f"{name}.ndjson").read_bytes(),
            "receipts/5.receipt": (VECTORS / "5.receipt").read_bytes(),
        }
        found[name] = zipped(folder / f"{name}.zip", files)
    return found


def test_both_verifiers_give_the_verdict_that_the_vectors_state(tmp_path: Path) -> None:
    files, policy = packages(tmp_path), VECTORS / "policy.json"
    page = judge_all_with_page([[path, policy] for path in files.values()])
    assert len(page) == len(RAWS)
    for (name, expected), theirs in zip(RAWS, page, strict=True):
        ours = judge_with_python(files[name], policy.read_bytes())
        status, _, at = expected.partition(" ")
        for verdict in (ours, theirs):
            assert (verdict["status"], verdict["broken_at"]) == (status, int(at) if at else None), name
        assert list(ours["remarks"]) == theirs["remarks"], name
        if status != "REFUSED":
            assert (ours["text"], ours["size"], ours["attested"]) == (
                theirs["text"],
                theirs["size"],
                theirs["attested"],
            ), name


def test_a_remark_says_how_many_records_have_their_bytes_in_the_package(tmp_path: Path) -> None:
    files, policy = packages(tmp_path), (VECTORS / "policy.json").read_bytes()
    said = {
        name: [one["text"] for one in judge_with_python(files[name], policy)["remarks"]]
        for name in ("all", "one", "none")
    }
    brought = "the package has the devices' own bytes of 3 records, which are those that they name"
    assert said == {
        "all": [brought],
        "one": [f"{brought.replace('3', '1')}, and not those of 2 others"],
        "none": [],
    }


def test_the_page_shows_the_bytes_as_people_read_them(tmp_path: Path) -> None:
    path = packages(tmp_path)["all"]
    (verdict,) = judge_all_with_page([[path, VECTORS / "policy.json"]])
    scan, telegram, plain = verdict["raws"]
    assert scan == {"index": 1, "kind": "unit.entered", "text": "\u2402SN-0817\u240d"}
    assert telegram["text"].startswith("MID 0061 (last tightening result): 00850061001")
    assert telegram["text"].endswith("\u2400")
    assert plain["text"] == (VECTORS / "plain.bin").read_bytes().hex()


@pytest.mark.parametrize("name", ["all", "one"])
def test_our_own_lines_have_the_bytes_of_the_vectors(name: str) -> None:
    for line in (VECTORS / f"{name}.ndjson").read_bytes().splitlines():
        assert RawTelegram.parse(line).line() == line
