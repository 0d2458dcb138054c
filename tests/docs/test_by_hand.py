"""The page that verifies a unit's package with shell tools does so, on a package of this version."""

import asyncio
import shutil
import zipfile
from pathlib import Path

import pytest

from support.pages_by_hand import ROOT, work_through
from support.unit_line import OURS, make_units
from support.unit_packages import attest, pack_unit, policy_of

RECORDS = "evidence/records.ndjson"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the package of a unit that a line has made, with the policy beside it."""
    folder = tmp_path_factory.mktemp("unit")
    asyncio.run(make_units(folder))
    attest(folder / "journal")
    (folder / "policy.json").write_bytes(policy_of(folder / "journal").canonical)
    return pack_unit(folder / "journal", OURS, folder / "unit.zip", raw=True)


def test_the_page_checks_the_package_of_a_unit(tmp_path: Path, package: Path) -> None:
    done = work_through(tmp_path, package)
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(package) as archive:
        records = archive.read("records.ndjson").splitlines()
        named = archive.read("raw.ndjson").count(b"\n")
    signed = sum(b'"signature":"' in record for record in records)
    # Besides those of the records: record 0, log key, store, and one of the vectors.
    assert done.stdout.count("Signature Verified Successfully") == signed + 4
    assert done.stdout.count("bears no signature of its own") == len(records) - signed > 0
    assert f"the hashes of {len(records) + 1} records are right" in done.stdout
    assert "all of them are among the " in done.stdout
    assert "held by store.example at 2096-" in done.stdout
    assert "it is the stream of the policy" in done.stdout
    assert done.stdout.count("is about: ") == named > 0
    assert f"is about: {OURS}" in done.stdout
    assert done.stdout.rstrip().endswith("record 3 vouches for it")


@pytest.mark.parametrize(
    "spoil",
    [
        f"sed -i '0,/{OURS}/s//SN9999/' {RECORDS}",
        # Whatever the first character is, it becomes another one.
        f'sed -i \'2{{s/"ed25519:A/"ed25519:B/;t;s/"ed25519:./"ed25519:A/}}\' {RECORDS}',
        f"sed -i '3d' {RECORDS}; echo '{{}}' >>{RECORDS}",
        "sed -i 's/^index /index 1/' evidence/proofs/*",
        "set -- evidence/proofs/*; cp $2 $3",
        "sed -i 's/^[0-9][0-9]*$/163/' evidence/proofs/*",
        "sed -i 's/^— store.example ..../&A/' evidence/proofs/*",
        "sed -i 's/sha256:./sha256:x/' policy.json",
        'sed -i \'s/"salt":"./"salt":"f/; s/"salt":"f\\(.\\)/"salt":"0\\1/\' evidence/raw.ndjson',
    ],
)
def test_the_page_finds_what_was_altered(tmp_path: Path, package: Path, spoil: str) -> None:
    done = work_through(tmp_path, package, spoil)
    assert done.returncode != 0, done.stdout
    assert "vouches for it" not in done.stdout


@pytest.mark.parametrize(("line", "old", "new"), [(3, "12.31", "12.91"), (4, '"scanned"', '"guessed"')])
def test_the_page_finds_an_altered_record_without_a_signature(
    tmp_path: Path, package: Path, line: int, old: str, new: str
) -> None:
    """The records of the vectors: one without a signature, and the one that vouches for it."""
    shutil.copytree(ROOT / "vectors/commit", tmp_path / "vectors/commit")
    records = tmp_path / "vectors/commit/records.ndjson"
    lines = records.read_text().splitlines(keepends=True)
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new)
    records.write_text("".join(lines))
    done = work_through(tmp_path, package, vectors=tmp_path / "vectors")
    assert done.returncode != 0, done.stdout
    assert "it is the stream of the policy" in done.stdout, "all before holds"
    assert "vouches for it" not in done.stdout
