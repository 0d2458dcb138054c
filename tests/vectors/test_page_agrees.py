"""The two machine verifiers agree on the published vectors."""

import json
from pathlib import Path
from typing import Any

import pytest

from linewitness.evidence.format.kinds import TENANT as TENANT_KINDS
from linewitness.evidence.policy.policy import Policy
from support.browser_verifier import judge_all_with_page, judge_several_with_page, judge_with_page
from support.packages import judge_several_with_python, judge_with_python, verify_package
from support.zips import zipped

VECTORS = Path(__file__).parents[2] / "vectors"
RECORDS = (VECTORS / "chain/records.ndjson").read_bytes().splitlines()
POLICY = (VECTORS / "policy.json").read_bytes()
#: Those that can be a line of a file.
REFUSED = [
    case
    for case in json.loads((VECTORS / "canonical.json").read_text())["refused"]
    if "hex" in case or (case["text"] and "\n" not in case["text"])
]


def both(path: Path) -> tuple[str, str]:
    return verify_package(path, policy=Policy.parse(POLICY)).text, judge_with_page(path, POLICY)["text"]


@pytest.mark.parametrize("note", ["4.checkpoint", "4.receipt", "7.receipt", "7.witnessed"])
def test_on_the_chain(tmp_path: Path, note: str) -> None:
    files = {
        "records.ndjson": b"\n".join(RECORDS) + b"\n",
        f"receipts/{note}": (VECTORS / "checkpoint" / note).read_bytes(),
    }
    python, page = both(zipped(tmp_path / "a.zip", files))
    assert python == page
    assert python.startswith("COMPLETE to 7" if note[0] == "7" else "INTACT, last")


def test_on_the_proof(tmp_path: Path) -> None:
    files = {
        "records.ndjson": RECORDS[2] + b"\n",
        "keys.ndjson": RECORDS[0] + b"\n",
        "proofs/2.tlog-proof": (VECTORS / "proof/2.tlog-proof").read_bytes(),
    }
    python, page = both(zipped(tmp_path / "a.zip", files))
    assert python == page
    assert "proof of it" in python  # record 0 needs its own


COMMIT = VECTORS / "commit"
#: Those whose records are not the ones of `records.ndjson`.
OF_OTHER_STREAMS = ("bad-long", "bad-clock", "bad-id")
BAD = [tuple(line.split()) for line in (COMMIT / "bad.txt").read_text().splitlines()]


def on_commits(path: Path, files: dict[str, bytes]) -> tuple[str, str]:
    policy = (COMMIT / "policy.json").read_bytes()
    package = zipped(path, files)
    python, page = judge_with_python(package, policy), judge_with_page(package, policy)
    assert list(python["remarks"]) == page["remarks"]
    assert python["text"] == page["text"]
    return python["text"], "".join(remark["text"] for remark in python["remarks"])


def test_on_records_without_a_signature(tmp_path: Path) -> None:
    files = {name: (COMMIT / name).read_bytes() for name in ("records.ndjson",)}
    receipts = {"receipts/7.receipt": (COMMIT / "7.receipt").read_bytes()}
    text, remarks = on_commits(tmp_path / "a.zip", files | receipts)
    assert (text[:13], remarks) == ("COMPLETE to 7", "")
    lines = files["records.ndjson"].splitlines(keepends=True)
    selected = {
        "records.ndjson": lines[2],
        "keys.ndjson": lines[0],
        **{f"proofs/{at}.tlog-proof": (COMMIT / f"{at}.tlog-proof").read_bytes() for at in (0, 2)},
    }
    text, remarks = on_commits(tmp_path / "b.zip", selected)
    assert text.startswith("INCLUDED: 1 selected records")
    assert remarks.startswith("1 of the 1 selected records bear no signature of their own")


@pytest.mark.parametrize("folder", ["capture", "start"])
@pytest.mark.parametrize("judge", [judge_with_python, judge_with_page])
def test_on_a_line_that_is_not_always_on_watch(tmp_path: Path, judge: Any, folder: str) -> None:
    lines = (VECTORS / folder / "stretches.txt").read_text().splitlines()
    records = (VECTORS / folder / "records.ndjson").read_bytes()
    package = zipped(tmp_path / "a.zip", {"records.ndjson": records})
    verdict = judge(package, (COMMIT / "policy.json").read_bytes())
    names = ("since", "until", "first", "last", "subject", "why")
    assert [
        " ".join("-" if one[name] is None else str(one[name]) for name in names)
        for one in verdict["without_capture"]
    ] == lines
    if folder == "start":
        remarks = (VECTORS / "start/remarks.txt").read_text().splitlines()
        assert [f"{one['index']} {one['text']}" for one in verdict["remarks"]] == remarks


CHECKLIST = VECTORS / "checklist"
REMARKS = [line.split(" ", 2) for line in (CHECKLIST / "remarks.txt").read_text().splitlines()]


def unit_of_the_checklist(path: Path, *, without: str = "-") -> Path:
    """Write the selection of records 2 to 18 without one of them, as the vectors describe it."""
    lines = (CHECKLIST / "records.ndjson").read_bytes().splitlines(keepends=True)
    picked = [at for at in range(2, 19) if str(at) != without]
    proofs = {f"proofs/{at}.tlog-proof": (CHECKLIST / f"{at}.tlog-proof").read_bytes() for at in (0, *picked)}
    return zipped(
        path,
        {"records.ndjson": b"".join(lines[at] for at in picked), "keys.ndjson": lines[0]} | proofs,
    )


@pytest.mark.parametrize("judge", [judge_with_python, judge_with_page])
def test_on_a_unit_with_a_checklist(tmp_path: Path, judge: Any) -> None:
    policy = (CHECKLIST / "policy.json").read_bytes()
    files = {
        "records.ndjson": (CHECKLIST / "records.ndjson").read_bytes(),
        "receipts/20.receipt": (CHECKLIST / "20.receipt").read_bytes(),
    }
    whole = judge(zipped(tmp_path / "all.zip", files), policy)
    assert (whole["status"], whole["attested"], list(whole["remarks"])) == ("COMPLETE", 20, [])
    for without in dict.fromkeys(row[0] for row in REMARKS):
        verdict = judge(unit_of_the_checklist(tmp_path / f"{without}.zip", without=without), policy)
        assert verdict["status"] == "INCLUDED", verdict["text"]
        assert [[without, str(one["index"]), one["text"]] for one in verdict["remarks"]] == [
            row for row in REMARKS if row[0] == without and row[1] != "-"
        ]


DISTURBED = VECTORS / "disturbed"


@pytest.mark.parametrize("judge", [judge_with_python, judge_with_page])
@pytest.mark.parametrize("without", ["-", "3", "5"])
def test_on_a_unit_whose_device_was_away(tmp_path: Path, judge: Any, without: str) -> None:
    lines = (DISTURBED / "records.ndjson").read_bytes().splitlines(keepends=True)
    picked = [at for at in range(3, 9) if str(at) != without]
    files = {"records.ndjson": b"".join(lines[at] for at in picked), "keys.ndjson": lines[0]} | {
        f"proofs/{at}.tlog-proof": (DISTURBED / f"{at}.tlog-proof").read_bytes() for at in (0, *picked)
    }
    verdict = judge(zipped(tmp_path / "a.zip", files), (DISTURBED / "policy.json").read_bytes())
    assert verdict["status"] == "INCLUDED", verdict["text"]
    rows = [line.split(" ", 1) for line in (DISTURBED / "stretches.txt").read_text().splitlines()]
    names = ("since", "until", "first", "last", "subject", "why")
    assert [
        " ".join("-" if one[name] is None else str(one[name]) for name in names)
        for one in verdict["without_capture"]
    ] == [row for left_out, row in rows if left_out == without]
    said = [line.split(" ", 2) for line in (DISTURBED / "remarks.txt").read_text().splitlines()]
    assert [[without, str(one["index"]), one["text"]] for one in verdict["remarks"]] == [
        row for row in said if row[0] == without and row[1] != "-"
    ]


@pytest.mark.parametrize("case", (VECTORS / "several/cases.txt").read_text().splitlines())
def test_on_a_package_of_two_streams(tmp_path: Path, case: str) -> None:
    policies, name, instead, whole, *each = case.split(" ")
    named = dict(line.split(" ") for line in (VECTORS / "several/files.txt").read_text().splitlines())
    if name != "-":
        named[name] = instead
    files = {at: (VECTORS / file).read_bytes() for at, file in named.items() if file != "-"}
    package = zipped(tmp_path / "a.zip", files)
    trusted = [(VECTORS / policy).read_bytes() for policy in policies.split(",")]
    python, page = judge_several_with_python(package, trusted)[0], judge_several_with_page(package, trusted)
    for found in (python, page):
        assert found["status"] == whole, found["text"]
        assert [one["status"] for one in found.get("streams", ())] == [one for one in each if one != "-"]
    if "streams" in python:
        assert python["text"] == page["text"]


@pytest.mark.parametrize("judge", [judge_with_python, judge_with_page])
def test_on_a_kind_that_is_not_in_the_list(tmp_path: Path, judge: Any) -> None:
    package = zipped(tmp_path / "a.zip", {"records.ndjson": (CHECKLIST / "bad-kind.ndjson").read_bytes()})
    verdict = judge(package, (CHECKLIST / "policy.json").read_bytes())
    assert verdict["text"].startswith("BROKEN at record 1: ")
    assert "kind" in verdict["text"]


TENANT = VECTORS / "tenant"


@pytest.mark.parametrize("judge", [judge_with_python, judge_with_page])
def test_on_a_tenant_stream(tmp_path: Path, judge: Any) -> None:
    policy = (TENANT / "policy.json").read_bytes()
    records = (TENANT / "records.ndjson").read_bytes()
    witnessed = (TENANT / "24.witnessed").read_bytes()
    files = {"records.ndjson": records, "receipts/24.receipt": witnessed}
    whole = judge(zipped(tmp_path / "a.zip", files), policy)
    assert (whole["text"][:14], list(whole["remarks"])) == ("COMPLETE to 24", [])
    assert list(whole["without_capture"]) == []
    assert {one["kind"] for one in whole["contents"]["kinds"]} > set(TENANT_KINDS)


@pytest.mark.parametrize("judge", [judge_with_python, judge_with_page])
def test_on_a_tenant_stream_that_breaks_its_rules(tmp_path: Path, judge: Any) -> None:
    package = zipped(tmp_path / "a.zip", {"records.ndjson": (TENANT / "bad.ndjson").read_bytes()})
    remarks = judge(package, (TENANT / "policy.json").read_bytes())["remarks"]
    said = [f"{'-' if one['index'] is None else one['index']} {one['text']}" for one in remarks]
    assert said == (TENANT / "bad.txt").read_text().splitlines()


@pytest.mark.parametrize(("name", "at", "first"), BAD)
def test_on_records_that_break_a_rule_of_the_signatures(
    tmp_path: Path, name: str, at: str, first: str
) -> None:
    files = {"records.ndjson": (COMMIT / f"{name}.ndjson").read_bytes()}
    if name not in OF_OTHER_STREAMS:
        receipts = {"receipts/7.receipt": (COMMIT / "7.receipt").read_bytes()}
        assert on_commits(tmp_path / "a.zip", files | receipts)[0].startswith(f"BROKEN at record {at}: ")
    alone = on_commits(tmp_path / "b.zip", files)[0]
    assert alone.startswith("INTACT" if name == "bad-removed" else f"BROKEN at record {at}: ")
    which = f"record {first} bears" if first == str(int(at) - 1) else f"records {first} to {int(at) - 1} bear"
    named = f"; {which} no signature, so that the altered one can be among them"
    assert alone.endswith(named) if first != "-" else "so that the altered one" not in alone


def test_on_a_key_that_is_revoked_within_a_commit(tmp_path: Path) -> None:
    package = zipped(tmp_path / "a.zip", {"records.ndjson": (COMMIT / "records.ndjson").read_bytes()})
    policy = (COMMIT / "revoked.json").read_bytes()
    python, page = judge_with_python(package, policy), judge_with_page(package, policy)
    assert python["text"] == page["text"]
    assert python["text"].startswith("BROKEN at record 1: vouched for by the event key ")


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["name"])
def test_on_bytes_that_are_no_canonical_form(tmp_path: Path, case: dict[str, str]) -> None:
    data = bytes.fromhex(case["hex"]) if "hex" in case else case["text"].encode()
    python, page = both(zipped(tmp_path / "a.zip", {"records.ndjson": RECORDS[0] + b"\n" + data + b"\n"}))
    assert python.startswith("BROKEN at record 1: ")
    assert page.startswith("BROKEN at record 1: ")


@pytest.mark.parametrize("trusted", ["policy.json", "policy.note"])
@pytest.mark.parametrize(
    ("names", "says"),
    [
        ([], "COMPLETE to 7, attested by audit house (store store.audit.example)"),
        (["event1-5"], "COMPLETE to 7, attested by audit house (store store.audit.example)"),
        (
            ["event2-6"],
            "BROKEN at record 6: signed by the event key 3b39446e, which is revoked from record 6 on",
        ),
        (["store-4"], "INTACT, last 3 records not yet attested; COMPLETE to 4, attested by audit house"),
        (["store-4", "event1-5", "event2-6"], "BROKEN at record 6: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_on_revocations(tmp_path: Path, trusted: str, names: list[str], says: str) -> None:
    receipts = {f"receipts/{size}": (VECTORS / f"checkpoint/{size}.receipt").read_bytes() for size in (4, 7)}
    path = zipped(tmp_path / "a.zip", {"records.ndjson": b"\n".join(RECORDS) + b"\n"} | receipts)
    policy = (VECTORS / "revocation" / trusted).read_bytes()
    revocations = [(VECTORS / f"revocation/{name}.note").read_text() for name in names]
    python = judge_with_python(path, policy, revocations)
    page = judge_with_page(path, policy, revocations)
    assert python["text"].startswith(says)
    assert page["text"] == python["text"]
    assert page["policy"] == python["policy"]
    assert [one["text"] for one in page["remarks"]] == [one["text"] for one in python["remarks"]]


def stamped_cases(folder: Path) -> list[list[Path]]:
    """Return a package for each published token, and for each token with one byte of it changed."""
    cases = []
    for line in (VECTORS / "stamp/stamps.txt").read_text().splitlines():
        name, about, *_ = line.split(" ")
        own = VECTORS / f"stamp/{about}.checkpoint"
        checkpoint = own if own.exists() else VECTORS / f"checkpoint/{about}.checkpoint"
        token = (VECTORS / f"stamp/{name}.tsr").read_bytes()
        step = 11 if name in ("rsa", "ecdsa", "pss") else len(token) + 1
        for at in (None, *range(0, len(token) + 1, step)):
            files = {
                "records.ndjson": b"\n".join(RECORDS) + b"\n",
                "anchors/1.checkpoint": checkpoint.read_bytes(),
                "anchors/1.tsr": token
                if at is None
                else token[:at] + bytes([(*token, 0)[at] ^ 1]) + token[at + 1 :],
            }
            path = zipped(folder / f"{name}-{at}.zip", files)
            cases.append([path, VECTORS / "stamp/policy.json"])
    return cases


def test_on_the_time_stamps(tmp_path: Path) -> None:
    """What the token says or why it does not count, in the same words; so, too, where a byte is changed."""
    cases = stamped_cases(tmp_path)
    for (path, policy), page in zip(cases, judge_all_with_page(cases), strict=True):
        python = judge_with_python(path, policy.read_bytes())
        assert page["text"] == python["text"], path
        assert [one["text"] for one in page["remarks"]] == [one["text"] for one in python["remarks"]], path
        assert page["attestations"] == list(python["attestations"]), path
