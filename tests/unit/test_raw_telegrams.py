"""What the devices sent, with the evidence: exported on request by gateway or store, and readable."""

import json
import sqlite3
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from linewitness.base.errors import ConfigurationError
from linewitness.cli import app
from linewitness.evidence.format.raw import RawTelegram
from linewitness.evidence.format.record import Change
from linewitness.evidence.package.build import CannotPack
from linewitness.evidence.package.telegram_text import telegram_text
from linewitness.journal.submission import Submission
from support.clocks import ManualClock
from support.journals import create, reopen, result_event
from support.packages import verify_package
from support.unit_packages import attest, policy_of

RESULT = "MID 0061 (last tightening result): "


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Return a journal with a result, what let its unit leave, and a result of the next one."""
    directory, clock = tmp_path / "journal", ManualClock()
    create(directory, clock)
    file = reopen(directory, clock)
    left = replace(result_event(1, clock, unit="SN0001"), kind="unit.left")
    for event, sent in (
        (result_event(0, clock, unit="SN0001"), b"\x02first\r"),
        (left, b"\x02SN0002\r"),
        (result_event(2, clock, unit="SN0002"), b"\x00\x01\x02"),
    ):
        file.append([Submission(events=(replace(event, raw=sent),))])
    file.close()
    attest(directory)
    return directory


def command(*arguments: object) -> BaseException | None:
    """Run a command, and return the error with which it ends."""
    return CliRunner().invoke(app, [str(one) for one in arguments]).exception


def raws_of(package: Path) -> dict[int, bytes]:
    with zipfile.ZipFile(package) as archive:
        lines = archive.read("raw.ndjson").splitlines()
    return {one.sequence_no: one.data for one in map(RawTelegram.parse, lines)}


def test_a_package_has_no_telegrams_unless_they_are_asked_for(journal: Path, tmp_path: Path) -> None:
    assert command("export", journal, "-o", tmp_path / "a.zip") is None
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert "raw.ndjson" not in archive.namelist()


def test_a_package_of_the_stream_has_all_telegrams(journal: Path, tmp_path: Path) -> None:
    assert command("export", journal, "--raw", "-o", tmp_path / "a.zip") is None
    assert raws_of(tmp_path / "a.zip") == {1: b"\x02first\r", 2: b"\x02SN0002\r", 3: b"\x00\x01\x02"}


def test_the_package_of_a_unit_has_its_own_and_not_what_let_it_leave(journal: Path, tmp_path: Path) -> None:
    assert command("export", journal, "--raw", "--unit", "SN0001", "-o", tmp_path / "a.zip") is None
    assert raws_of(tmp_path / "a.zip") == {1: b"\x02first\r"}
    verdict = verify_package(tmp_path / "a.zip", policy=policy_of(journal))
    assert verdict.status == "INCLUDED"
    assert "and not those of 1 others" in verdict.remarks[-1].text


def test_the_package_of_a_unit_has_none_that_could_not_be_decoded(journal: Path, tmp_path: Path) -> None:
    """It came while the unit was at the station, and may be a late one of another unit."""
    clock = ManualClock()
    unread = replace(
        result_event(3, clock, unit="SN0001"),
        changes=(Change("decoded", None, after=False),),
        raw=b"0544006100\xff SN0002",
    )
    file = reopen(journal, clock)
    file.append([Submission(events=(unread,))])
    file.close()
    attest(journal)
    assert command("export", journal, "--raw", "--unit", "SN0001", "-o", tmp_path / "a.zip") is None
    assert raws_of(tmp_path / "a.zip") == {1: b"\x02first\r"}
    assert command("export", journal, "--raw", "-o", tmp_path / "all.zip") is None
    assert raws_of(tmp_path / "all.zip")[4] == unread.raw


@pytest.mark.heavy
def test_the_report_shows_them_beside_their_records(journal: Path, tmp_path: Path) -> None:
    command("export", journal, "--raw", "--unit", "SN0001", "-o", tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        report = archive.read("report.html").decode()
    assert "the device sent: \u2402first\u240d" in report
    assert "SN0002" not in report


def test_the_command_says_for_how_many_records_it_brings_them(journal: Path, tmp_path: Path) -> None:
    options = ["export", str(journal), "--raw", "--unit", "SN0001", "-o"]
    done = CliRunner().invoke(app, [*options, str(tmp_path / "a.zip")])
    assert "2 records in " in done.output
    assert "with what the devices sent for 1 of them" in done.output
    done = CliRunner().invoke(app, [*options, str(tmp_path / "a.ndjson")])
    assert "what the devices sent for 1 of them in " in done.output


def test_beside_records_alone_they_are_a_file_of_their_own(journal: Path, tmp_path: Path) -> None:
    assert command("export", journal, "--raw", "-o", tmp_path / "a.ndjson") is None
    lines = (tmp_path / "a.raws").read_bytes().splitlines()
    assert [RawTelegram.parse(line).sequence_no for line in lines] == [1, 2, 3]


def test_without_a_file_to_write_to_they_are_refused(journal: Path) -> None:
    error = command("export", journal, "--raw")
    assert isinstance(error, ConfigurationError)
    assert "--raw needs a file" in str(error)


def test_damaged_bytes_in_the_journal_are_not_packed(journal: Path, tmp_path: Path) -> None:
    with sqlite3.connect(journal / "journal.sqlite") as connection:
        connection.execute("UPDATE raw SET bytes = ? WHERE last_seq = 1", (b"other",))
    error = command("export", journal, "--raw", "-o", tmp_path / "a.zip")
    assert isinstance(error, CannotPack)
    assert "the device's own bytes of record 1 are not those that it names" in str(error)
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"SN0815\r\n", "SN0815\u240d\u240a"),
        (b"\x02]C1SN0815\x03", "\u2402]C1SN0815\u2403"),
        (b"002800610010        SN0815\x7f ", f"{RESULT}002800610010        SN0815\u2421 "),
        (b"002077770010        \x00", "MID 7777: 002077770010        \u2400"),
        (b"002100610010        ", "002100610010        "),
        (b"\x00\x64", "0064"),
        (b"\x41\x00\x00\x42\x43\x44", "410000424344"),
        (b"\xff\xfeA", "fffe41"),
        ("12,5 \u20ac".encode(), "12,5 \u20ac"),
        (json.dumps({"a": 1}).encode(), '{"a": 1}'),
        (b"", ""),
    ],
)
def test_bytes_are_shown_as_text_where_they_are_text(data: bytes, text: str) -> None:
    assert telegram_text(data) == text
