"""Time stamps of authorities, and what a forger may do with one, judged by each machine verifier."""

import json
import shutil
import subprocess
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from linewitness.evidence.format.merkle import consistency_proof, leaf_hash, root_of
from linewitness.evidence.format.proof import TlogProof, format_consistency
from linewitness.evidence.package.write import PackageContents, write_package
from support.browser_verifier import PAGE, judge_with_page
from support.chromium import Page, page
from support.packages import Judge, judge_with_python

VECTORS = Path(__file__).parents[2] / "vectors"
STAMPS = VECTORS / "stamp"
POLICY = (STAMPS / "policy.json").read_bytes()
RECORDS = (VECTORS / "chain/records.ndjson").read_bytes().splitlines()
LEAVES = [leaf_hash(data) for data in RECORDS]
RECEIPT = (VECTORS / "checkpoint/7.receipt").read_text()
COMPLETE = "COMPLETE to 7, attested by audit house (store store.audit.example)"
INCLUDED = (
    "INCLUDED: 1 selected records are unaltered and among the 7 attested by"
    " audit house (store store.audit.example); other records were not verified"
)
AT = "time-stamped by tsa.vectors.example at 2026-03-01T07:00:00Z"


def subtree(level: int, index: int) -> bytes:
    return root_of(LEAVES[index << level : (index + 1) << level])


def stamped(name: str) -> str:
    own = STAMPS / f"{name}.checkpoint"
    return (own if own.exists() else VECTORS / f"checkpoint/{name}.checkpoint").read_text()


def token(name: str) -> bytes:
    return (STAMPS / f"{name}.tsr").read_bytes()


def beside(name: str, about: str) -> dict[str, Any]:
    return {
        "statements": [("anchors/1.checkpoint", stamped(about)), ("receipts/7.receipt", RECEIPT)],
        "tokens": [("anchors/1.tsr", token(name))],
    }


def some() -> dict[str, Any]:
    """Return a selection: record 3, with the proofs of it and of the key records."""
    places = [at for at in range(3) if at == 0 or b'"kind":"key.rotated"' in RECORDS[at]]
    return {
        "records": [RECORDS[3]],
        "key_records": [RECORDS[at] for at in places],
        "proofs": [(at, str(TlogProof.make(at, RECEIPT, subtree))) for at in (*places, 3)],
    }


@pytest.fixture(params=["python", "page"])
def weigh(request: pytest.FixtureRequest, tmp_path: Path) -> Judge:
    """Return a function from what lies in a package to one machine verifier's verdict."""
    judge = {"python": judge_with_python, "page": judge_with_page}[request.param]

    def of(policy: bytes = POLICY, **contents: Any) -> dict[str, Any]:
        path = tmp_path / "evidence.zip"
        given = {
            "origin": "acme.example/ber-01/line-02/1",
            "created_at": "2026-03-02T00:00:00.000Z",
            "records": RECORDS,
        } | contents
        with path.open("wb") as file:
            write_package(file, PackageContents(**given))
        return judge(path, policy)

    return of


def run_in_page(statements: str, driver: Path) -> Any:
    """Return what statements print as JSON, behind the script of the page, in Node where it is there."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    script = PAGE.read_text().partition('<script id="verifier">')[2].partition("</script>")[0]
    driver.write_text(script + statements)
    done = subprocess.run([node, str(driver)], capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


def remarks(verdict: dict[str, Any]) -> list[str]:
    return [one["text"] for one in verdict["remarks"]]


def test_a_good_stamp_says_when_and_counts_for_no_quorum(weigh: Judge) -> None:
    verdict = weigh(**beside("rsa", "7"))
    assert verdict["text"] == f"{COMPLETE}; 7 records {AT}"
    assert [(one["role"], one["party"]) for one in verdict["attestations"]] == [
        ("store", "audit house"),
        ("time stamp", "Vectors Root RSA"),
    ]
    alone = weigh(**beside("rsa", "7") | {"statements": [("anchors/1.checkpoint", stamped("7"))]})
    assert alone["text"] == f"INTACT, last 7 records not yet attested; 7 records {AT}"
    assert alone["attested"] == 0


def test_a_stamp_over_another_history_breaks(weigh: Judge) -> None:
    verdict = weigh(**beside("other-7", "other-7"))
    assert verdict["status"] == "BROKEN"
    assert "there are other records than those that anchors/1.checkpoint is about" in verdict["text"]
    assert verdict["text"].endswith(", time-stamped by tsa.vectors.example")


def test_a_stamp_over_more_records_breaks(weigh: Judge) -> None:
    verdict = weigh(**beside("other-9", "other-9"))
    assert (verdict["status"], verdict["broken_at"]) == ("BROKEN", 7)
    assert "is about 9 records, here are 7" in verdict["text"]


def test_a_stamp_without_its_checkpoint_does_not_count(weigh: Judge) -> None:
    verdict = weigh(statements=[("receipts/7.receipt", RECEIPT)], tokens=[("anchors/1.tsr", token("rsa"))])
    assert verdict["text"] == COMPLETE
    assert remarks(verdict)[0].startswith("anchors/1.tsr does not count: ")


def test_a_stamp_does_not_count_where_the_policy_names_no_authority(weigh: Judge) -> None:
    policy = json.loads(POLICY)
    del policy["tsa_roots"]
    verdict = weigh(json.dumps(policy).encode(), **beside("rsa", "7"))
    assert verdict["text"] == COMPLETE
    assert remarks(verdict) == ["time stamps do not count: no policy names tsa_roots"]


@pytest.mark.parametrize(
    "roots", [["not base64"], [5], ["AAA"], ["AA==AA=="], ["AB=="], ["", "AAAA"], "text"]
)
def test_roots_that_are_not_base64_are_refused(weigh: Judge, roots: Any) -> None:
    policy = json.loads(POLICY) | {"tsa_roots": roots}
    assert weigh(json.dumps(policy).encode())["status"] == "REFUSED"


def test_a_policy_with_an_empty_list_of_roots_is_the_one_without(weigh: Judge) -> None:
    plain = json.loads(POLICY)
    del plain["tsa_roots"]
    named = [weigh(json.dumps(one).encode())["policy"] for one in (plain, plain | {"tsa_roots": []})]
    assert named[0] == named[1] is not None


def test_a_selection_takes_a_stamp_over_its_own_checkpoint(weigh: Judge) -> None:
    assert weigh(**some(), **beside("pss", "7"))["text"] == f"{INCLUDED}; 7 records {AT}"


def test_a_selection_takes_a_stamp_over_an_older_checkpoint_by_its_consistency_proof(weigh: Judge) -> None:
    given = beside("four", "4")
    proof = format_consistency(consistency_proof(4, 7, subtree))
    with_proof = given | {"statements": [*given["statements"], ("anchors/1.consistency", proof)]}
    assert weigh(**some(), **with_proof)["text"] == f"{INCLUDED}; 4 records {AT}"
    bare = weigh(**some(), **given)
    assert bare["text"] == INCLUDED
    unshown = "anchors/1.tsr does not count: that its checkpoint is of this history is not shown"
    assert remarks(bare) == [f"{unshown} (there is no consistency proof)"]
    for false in ("", "AAAA\n", proof[:-1], proof + proof, proof.replace(proof[0], "/", 1)):
        spoiled = given | {"statements": [*given["statements"], ("anchors/1.consistency", false)]}
        verdict = weigh(**some(), **spoiled)
        assert verdict["text"] == INCLUDED
        assert "(the consistency proof is not one)" in remarks(verdict)[0]


def test_a_selection_breaks_on_another_history_of_the_same_size(weigh: Judge) -> None:
    verdict = weigh(**some(), **beside("other-7", "other-7"))
    assert (verdict["status"], verdict["broken_at"]) == ("BROKEN", 0)
    assert verdict["text"].endswith(", time-stamped by tsa.vectors.example")


def opened_in_chromium(browser: Page, name: str, about: str) -> str:
    """Return what the page says about one token: who and when, or what is wrong with it."""
    given = {
        "token": token(name).hex(),
        "about": stamped(about),
        "roots": [b64decode(one).hex() for one in json.loads(POLICY)["tsa_roots"]],
    }
    said = browser.run(
        "(({ token, about, roots }) => openStamp(unhex(token), utf8(about), roots.map(unhex)))"
        f"({json.dumps(given)})"
        ".then((stamp) => `${moment(stamp.time_s)} ${stamp.name}`, (error) => error.message)"
    )
    return str(said)


def test_chromium_judges_each_published_token_as_the_table_says() -> None:
    with page() as browser:
        browser.open(PAGE)
        for line in (STAMPS / "stamps.txt").read_text().splitlines():
            name, about, outcome, what = line.split(" ", 3)
            said = opened_in_chromium(browser, name, about)
            if outcome == "good":
                assert said.replace(".000Z", "Z") == what, name
            else:
                assert what in said, name


@pytest.mark.parametrize(
    ("signature", "pair"),
    [
        ("3006020101020102", "0" * 63 + "1" + "0" * 63 + "2"),
        ("302602010102210" + "0" + "ff" * 32, "0" * 63 + "1" + "f" * 64),
        ("30260221" + "00" + "ff" * 32 + "020101", "f" * 64 + "0" * 63 + "1"),
        ("302602010102210" + "1" + "ff" * 32, None),
        ("30070201010202" + "0001", None),
        ("3006020101020181", None),
        ("3003020101", None),
        ("3009020101020101020101", None),
        ("300602010102010200", None),
    ],
)
def test_a_signature_by_an_elliptic_curve_becomes_two_numbers_of_one_width(
    tmp_path: Path, signature: Any, pair: Any
) -> None:
    """One in 128 has a shorter number, of which there is no published one."""
    made = run_in_page(
        f'const pair = plainPair(unhex("{signature}"), 32); console.log(JSON.stringify(pair && hex(pair)));',
        tmp_path / "pair.cjs",
    )
    assert made == pair
