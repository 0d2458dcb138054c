"""`export -o NAME`: who gives a file another name than its contents is told what it will hold."""

import zipfile
from pathlib import Path

import pytest

from linewitness.evidence.package.open import open_evidence
from support.clocks import ManualClock
from support.journals import create, reopen
from support.lines import call

STORE = """\
database: sqlite:///store.db
name: store.example
key: {file: store.key}
mqtt: {url: mqtt://127.0.0.1}
"""


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    directory, clock = tmp_path / "journal", ManualClock()
    create(directory, clock)
    reopen(directory, clock).close()
    return directory


@pytest.mark.parametrize("name", ["foo.txt", "foo.json", "foo.csv", "foo"])
def test_a_package_that_is_not_called_so_is_warned_of(tmp_path: Path, journal: Path, name: str) -> None:
    output = tmp_path / name
    done = call("export", journal, "-o", output)
    assert done.exit_code == 0, done.output
    assert done.stderr.splitlines()[0] == (
        f"warning: {output} will be an evidence package, a zip file (name it foo.zip, or foo.ndjson for "
        "records alone)"
    )
    assert zipfile.is_zipfile(output)
    with open_evidence(output):
        pass


@pytest.mark.parametrize("name", ["foo.zip", "foo.ZIP", "foo.ndjson", "foo.jsonl"])
def test_a_name_that_fits_is_not_talked_about(tmp_path: Path, journal: Path, name: str) -> None:
    done = call("export", journal, "-o", tmp_path / name)
    assert (done.exit_code, "warning" in done.output) == (0, False)
    assert zipfile.is_zipfile(tmp_path / name) is (name.lower() == "foo.zip")


def test_records_that_are_called_a_package_are_warned_of(tmp_path: Path, journal: Path) -> None:
    done = call("export", journal, "--ndjson", "-o", tmp_path / "foo.zip")
    assert done.stderr.splitlines()[0] == (
        f"warning: {tmp_path / 'foo.zip'} will hold records alone and is no zip file (name it foo.ndjson, or "
        "leave --ndjson out for a package)"
    )
    done = call("export", journal, "--ndjson", "-o", tmp_path / "foo.txt")
    assert (done.exit_code, "warning" in done.output) == (0, False)


def test_the_store_warns_in_the_same_words(tmp_path: Path) -> None:
    file = tmp_path / "store.yaml"
    file.write_text(STORE)
    assert call("store", "init", file).exit_code == 0
    done = call("store", "export", file, "--ndjson", "-o", tmp_path / "foo.zip")
    assert "warning: " in done.stderr
    assert "will hold records alone and is no zip file" in done.stderr
    done = call("store", "export", file, "-o", tmp_path / "foo.txt")
    assert "foo.txt will be an evidence package, a zip file (name it foo.zip" in done.stderr
