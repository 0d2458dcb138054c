"""A journal that an older release left on a plant's disk opens in this one, and goes on."""

import json
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.compression.frames import MAGIC
from linewitness.evidence.format.raw import keyed_hash
from linewitness.journal.database import SCHEMA_VERSION
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from support.clocks import ManualClock
from support.journal_formats import FOLDER
from support.journals import forger, members_of, reopen, result_event, verdict_of
from support.present import present

FORMATS = sorted(FOLDER.iterdir())


@pytest.fixture(params=FORMATS, ids=lambda folder: folder.name)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    directory = tmp_path / "journal"
    shutil.copytree(request.param, directory)
    for key in directory.rglob("*.key"):
        key.chmod(0o600)  # as it was made
    return directory, json.loads((directory / "expected.json").read_text())


def test_the_format_of_this_release_is_kept() -> None:
    assert FORMATS[-1].name == f"v{SCHEMA_VERSION}"


def test_it_reads_as_it_was_written(kept: tuple[Path, dict[str, Any]]) -> None:
    directory, expected = kept
    with JournalReader(directory) as reader:
        head = reader.head()
        assert (head.size, head.record_hash, head.root.hex()) == (
            expected["size"],
            expected["record_hash"],
            expected["root"],
        )
        assert reader.record_0_hash == expected["record_0"]
        assert str(reader.log_vkey) == expected["log_vkey"]
        assert reader.raw("00" * 32) == b"raw bytes of a device"
        assert "capture/wrench-10" in reader.state("capture/")
        assert len(list(reader.of_unit("SN0002"))) == 5
    assert verdict_of(directory).status == "INTACT"


def test_it_goes_on_where_it_stood(kept: tuple[Path, dict[str, Any]]) -> None:
    directory, expected = kept
    clock = ManualClock(boot_id="00000000-0000-4000-8000-000000000002")
    clock.advance_ns(365 * 24 * 3600 * 10**9)
    stored = rows_of(directory)
    file = reopen(directory, clock)
    try:
        assert file.head.size == expected["size"]
        file.append([Submission(events=(result_event(99, clock),), rotate=True)])
        file.append([Submission(events=(result_event(100, clock),))])
    finally:
        file.close()
    assert verdict_of(directory).status == "INTACT"
    now = rows_of(directory)
    assert now[: len(stored)] == stored, "what is there is not written again"
    assert all(data.startswith(MAGIC) for _, data in now[len(stored) :])
    assert members_of(directory)[expected["size"]]["integrity"]["prev_hash"] == expected["record_hash"]


def rows_of(directory: Path) -> list[tuple[int, bytes]]:
    """Return the rows of records as they lie in the file."""
    with closing(forger(directory)) as connection:
        return connection.execute("SELECT seq, bytes FROM record ORDER BY seq").fetchall()


def test_it_keeps_the_salts_of_telegrams_from_now_on(kept: tuple[Path, dict[str, Any]]) -> None:
    directory, expected = kept
    size = expected["size"]
    clock = ManualClock()
    with JournalReader(directory) as reader:
        assert reader.raw_of(size - 1) is None
    file = reopen(directory, clock)
    try:
        file.append([Submission(events=(replace(result_event(99, clock), raw=b"0231 0061"),))])
    finally:
        file.close()
    with JournalReader(directory) as reader:
        salt, data = present(reader.raw_of(size))
    assert data == b"0231 0061"
    assert keyed_hash(salt, data) == members_of(directory)[size]["context"]["raw_hmac_sha256"]
