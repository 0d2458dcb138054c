"""What an auditor installs, `linewitness-verify`, is the verifier of `linewitness` with PyNaCl only."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.errors import ExitCode
from linewitness.evidence.format import merkle
from linewitness.evidence.format.merkle import leaf_hash
from linewitness.evidence.format.proof import TlogProof
from linewitness.evidence.package.write import PackageContents, write_package
from support.zips import unzipped

ROOT = Path(__file__).parents[2]
PLANT = ROOT / "tests/fixtures/plants/v1"
VECTORS = ROOT / "vectors"
POLICY = ("--policy", str(PLANT / "policy.json"))
NO_PATH = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def run(*command: object, **more: Any) -> subprocess.CompletedProcess[str]:
    found: subprocess.CompletedProcess[str] = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **more
    )
    return found


@pytest.fixture(scope="module")
def auditor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of a fresh environment, into which the wheel was installed."""
    folder = tmp_path_factory.mktemp("auditor")
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check")
    for command in (
        (sys.executable, *pip, "wheel", "--no-deps", "--wheel-dir", folder, ROOT / "packages/verify"),
        (sys.executable, "-m", "venv", folder / "venv"),
    ):
        done = run(*command)
        assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    constraint = ("--constraint", ROOT / "constraints.txt")
    done = run(folder / "venv/bin/python", *pip, "install", *constraint, wheel, env=NO_PATH)
    assert done.returncode == 0, done.stderr
    found: Path = folder / "venv/bin"
    return found


#: What depends on the second at which a verdict was asked for.
CHECKED_AT = re.compile(r'"(as_of_s|before_s)": [0-9]+,?|the attestation came [0-9]+ [a-z]+ before the check')


def both(auditor: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run both commands on the same; require the same of them, and return what they did."""
    theirs = run(auditor / "linewitness-verify", *arguments, env=NO_PATH)
    ours = run(sys.executable, "-m", "linewitness", "verify", *arguments)
    found = [(CHECKED_AT.sub("", done.stdout), done.returncode) for done in (theirs, ours)]
    assert found[0] == found[1], (theirs.stderr, ours.stderr)
    assert theirs.stderr.removeprefix("linewitness-verify: ") == ours.stderr.removeprefix("linewitness: ")
    return theirs


def test_it_brings_pynacl_and_nothing_else(auditor: Path) -> None:
    listed = run(auditor / "python", "-m", "pip", "list", "--format", "json", env=NO_PATH)
    names = {each["name"].lower() for each in json.loads(listed.stdout)}
    assert names - {"pip", "setuptools"} == {"linewitness-verify", "pynacl", "cffi", "pycparser"}


def test_it_is_of_the_same_version() -> None:
    projects = [ROOT / "pyproject.toml", ROOT / "packages/verify/pyproject.toml"]
    versions = {tomllib.loads(path.read_text())["project"]["version"] for path in projects}
    assert len(versions) == 1


@pytest.mark.parametrize("more", [("--times",), ("--times", "--unit", "x", "--json")])
@pytest.mark.parametrize(
    ("package", "says"),
    [
        ("stream.zip", "COMPLETE to 147"),
        ("unit.zip", "INCLUDED: 6 selected records"),
        ("store-unit.zip", "INCLUDED: 6 selected records"),
    ],
)
def test_packages_are_judged_alike(auditor: Path, package: Path, says: str, more: Any) -> None:
    done = both(auditor, PLANT / package, *POLICY, *more)
    assert done.returncode == 0
    assert says in done.stdout


@pytest.mark.parametrize("asked", [("--at-least", "148"), ("--as-of", "2099-01-01")])
def test_less_than_was_asked_for_is_outdated_alike(auditor: Path, asked: tuple[str, str]) -> None:
    done = both(auditor, PLANT / "stream.zip", *POLICY, *asked)
    assert done.returncode == ExitCode.OUTDATED
    assert "OUTDATED: " in done.stdout
    assert "; COMPLETE to 147" in done.stdout
    assert "  age: the newest attestation is of " in done.stdout


def test_exported_records_are_judged_alike(auditor: Path, tmp_path: Path) -> None:
    records = tmp_path / "records.ndjson"
    journal = shutil.copytree(PLANT / "journal", tmp_path / "journal")
    exported = run(sys.executable, "-m", "linewitness", "export", journal, "--ndjson", "-o", records)
    assert exported.returncode == 0, exported.stderr
    assert "COMPLETE to 147" in both(auditor, records, *POLICY).stdout
    assert "no policy was given" in both(auditor, records).stdout
    records.write_bytes(records.read_bytes().replace(b'"kind":"unit.left"', b'"kind":"unit.entered"', 1))
    broken = both(auditor, records, *POLICY, "--json")
    assert broken.returncode == 1
    assert json.loads(broken.stdout)["status"] == "BROKEN"


@pytest.mark.parametrize(
    "arguments",
    [
        ("nowhere.zip",),
        (PLANT / "unit.zip",),
        (PLANT / "unit.zip", "--customer", "x"),
        (PLANT / "unit.zip", "--policy", "nowhere.json"),
        (PLANT / "unit.zip", "--policy", PLANT / "line.yaml"),
        (PLANT / "unit.zip", *POLICY, "--revocation", PLANT / "line.yaml"),
    ],
)
def test_what_cannot_be_verified_ends_alike(auditor: Path, arguments: Any) -> None:
    assert both(auditor, *arguments).returncode in (ExitCode.CONFIGURATION, ExitCode.UNJUDGED)


def test_a_file_that_is_no_zip_ends_with_a_sentence(auditor: Path, tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"no zip")
    found = both(auditor, tmp_path / "x.zip", *POLICY)
    assert found.returncode == ExitCode.UNJUDGED
    assert found.stdout.startswith("REFUSED, nothing was judged: ")
    found = both(auditor, tmp_path / "x.zip", *POLICY, "--json")
    assert found.returncode == ExitCode.UNJUDGED
    assert json.loads(found.stdout)["status"] == "REFUSED"


def test_time_stamps_are_not_checked_without_their_extra_and_that_is_said(
    auditor: Path, tmp_path: Path
) -> None:
    lines = (VECTORS / "chain/records.ndjson").read_bytes().splitlines()
    note = (VECTORS / "checkpoint/7.checkpoint").read_text()

    def subtree(level: int, index: int) -> bytes:
        return merkle.root_of([leaf_hash(data) for data in lines][index << level : (index + 1) << level])

    with (tmp_path / "stamped.zip").open("wb") as file:
        contents = PackageContents(
            origin="acme.example/ber-01/line-02/1",
            created_at="2026-03-02T00:00:00.000Z",
            records=[lines[2]],
            key_records=[lines[0]],
            proofs=[(at, str(TlogProof.make(at, note, subtree))) for at in (0, 2)],
            statements=[("anchors/tsa.checkpoint", note)],
            tokens=[("anchors/tsa.tsr", (VECTORS / "stamp/rsa.tsr").read_bytes())],
        )
        write_package(file, contents)
    given = (tmp_path / "stamped.zip", "--policy", VECTORS / "stamp/policy.json")
    theirs = run(auditor / "linewitness-verify", *given, env=NO_PATH)
    assert theirs.returncode == 0, theirs.stderr
    assert "time stamps were not checked" in theirs.stdout
    assert "time-stamped by" not in theirs.stdout
    ours = run(sys.executable, "-m", "linewitness", "verify", *given)
    assert "time-stamped by tsa.vectors.example" in ours.stdout


def test_no_file_of_it_names_the_package_that_it_was_taken_from(auditor: Path) -> None:
    (wheel,) = auditor.parents[1].glob("*.whl")
    sources = {name: data.decode() for name, data in unzipped(wheel).items() if name.endswith(".py")}
    assert "linewitness_verify/evidence/verify/chain.py" in sources
    for name, text in sources.items():
        assert name.startswith("linewitness_verify/")
        assert "from linewitness." not in text, name
        assert "import linewitness." not in text, name
        assert '"linewitness.' not in text, name
