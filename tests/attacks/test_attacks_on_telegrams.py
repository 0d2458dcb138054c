"""Attacks on what the devices sent, as a package brings it beside its records: both verifiers find each."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from linewitness.evidence.format.raw import RawTelegram
from linewitness.evidence.package.query import RecordQuery
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from support.browser_verifier import judge_with_page
from support.clocks import ManualClock
from support.journals import create, reopen, result_event
from support.packages import judge_with_python
from support.unit_packages import attest, pack, pack_unit, policy_of
from support.zips import unzipped, zipped

Lines = list[RawTelegram]
UNITS = ("SN0001", "SN0002")
NOT_NAMED = "the device's own bytes in the package are not those that it names"
NO_RECORD = "the package has bytes of a device for it, and no record in it that names them"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Return a journal with results of two units, record 1 to 6, attested by a store."""
    directory, clock = tmp_path / "journal", ManualClock()
    create(directory, clock)
    file = reopen(directory, clock)
    for number in range(6):
        sent = f"0025006100100000000{number}\n".encode()
        event = replace(result_event(number, clock, unit=UNITS[number // 3]), raw=sent)
        file.append([Submission(events=(event,))])
    file.close()
    attest(directory)
    return directory


def altered(package: Path, change: Callable[[Lines], Lines]) -> Path:
    """Write a package with other telegrams beside the same records."""
    files = unzipped(package)
    lines = change([RawTelegram.parse(line) for line in files["raw.ndjson"].splitlines()])
    files["raw.ndjson"] = b"".join(line.line() + b"\n" for line in lines)
    return zipped(package.with_name("altered.zip"), files)


def judged(package: Path, journal: Path) -> tuple[str, str, list[str]]:
    """Return the verdict of both verifiers, which must be the same: status, sentence, remarks."""
    policy = policy_of(journal).canonical
    python, page = judge_with_python(package, policy), judge_with_page(package, policy)
    for member in ("status", "broken_at", "size", "attested", "selected"):
        assert python.get(member) == page.get(member), (member, python, page)
    assert list(python["remarks"]) == page["remarks"]
    if python["status"] != "REFUSED":
        assert python["text"] == page["text"]
    return python["status"], python["text"], [one["text"] for one in python["remarks"]]


def unit_package(journal: Path) -> Path:
    return pack_unit(journal, "SN0001", journal.parent / "unit.zip", raw=True)


def whole(journal: Path) -> Path:
    return pack(journal, RecordQuery(), journal.parent / "stream.zip", raw=True)


def test_unaltered_telegrams_are_those_of_the_records(journal: Path) -> None:
    status, _, remarks = judged(unit_package(journal), journal)
    assert status == "INCLUDED"
    assert "the package has the devices' own bytes of 3 records, which are those that they name" in remarks
    status, _, remarks = judged(whole(journal), journal)
    assert status == "COMPLETE"
    assert "the package has the devices' own bytes of 6 records, which are those that they name" in remarks


@pytest.mark.parametrize("made", [unit_package, whole])
def test_a_telegram_with_another_byte_breaks_its_record(journal: Path, made: Callable[[Path], Path]) -> None:
    def change(lines: Lines) -> Lines:
        return [lines[0], lines[1]._replace(data=lines[1].data.replace(b"1\n", b"7\n")), *lines[2:]]

    status, text, _ = judged(altered(made(journal), change), journal)
    assert (status, text) == ("BROKEN", f"BROKEN at record 2: {NOT_NAMED}")


def test_a_telegram_with_another_salt_breaks_its_record(journal: Path) -> None:
    """Who finds another salt for other bytes would have broken the hash; any other one does not fit."""

    def change(lines: Lines) -> Lines:
        return [lines[0]._replace(salt=bytes(16)), *lines[1:]]

    assert judged(altered(unit_package(journal), change), journal)[1] == f"BROKEN at record 1: {NOT_NAMED}"


def test_a_telegram_without_a_salt_breaks_its_record(journal: Path) -> None:
    def change(lines: Lines) -> Lines:
        return [lines[0]._replace(salt=None), *lines[1:]]

    assert judged(altered(unit_package(journal), change), journal)[1] == f"BROKEN at record 1: {NOT_NAMED}"


def test_two_telegrams_that_change_places_break_the_first_of_their_records(journal: Path) -> None:
    def change(lines: Lines) -> Lines:
        first, second, third = lines
        return [second._replace(sequence_no=first.sequence_no), first._replace(sequence_no=2), third]

    assert judged(altered(unit_package(journal), change), journal)[1] == f"BROKEN at record 1: {NOT_NAMED}"


def test_a_telegram_that_was_taken_away_is_counted_in_a_remark(journal: Path) -> None:
    status, _, remarks = judged(altered(unit_package(journal), lambda lines: lines[1:]), journal)
    assert status == "INCLUDED"
    assert any(remark.endswith("and not those of 1 others") for remark in remarks)


def test_a_telegram_of_another_units_record_has_no_place_in_the_package(journal: Path) -> None:
    """Record 4 is of the other unit; its telegram and salt are the true ones."""
    with JournalReader(journal) as reader:
        salt, data = reader.raw_of(4) or (b"", b"")

    def change(lines: Lines) -> Lines:
        return [*lines, RawTelegram(4, data, salt)]

    status, text, _ = judged(altered(unit_package(journal), change), journal)
    assert (status, text) == ("BROKEN", f"BROKEN at record 4: {NO_RECORD}")


def test_a_telegram_for_a_record_that_names_none_breaks_it(journal: Path) -> None:
    def change(lines: Lines) -> Lines:
        return [RawTelegram(0, b"stream", bytes(16)), *lines]

    assert judged(altered(whole(journal), change), journal)[1] == f"BROKEN at record 0: {NO_RECORD}"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda lines: lines[::-1], id="out of order"),
        pytest.param(lambda lines: [lines[0], *lines], id="twice"),
        pytest.param(lambda lines: [lines[0]._replace(salt=bytes(15)), *lines[1:]], id="a short salt"),
        pytest.param(lambda lines: [lines[0]._replace(data=bytes(800_000)), *lines[1:]], id="too long"),
    ],
)
def test_lines_that_break_the_form_are_refused(journal: Path, change: Callable[[Lines], Lines]) -> None:
    assert judged(altered(unit_package(journal), change), journal)[0] == "REFUSED"


def test_an_altered_record_is_named_before_its_telegram(journal: Path) -> None:
    """The telegram cannot be judged by a record that is not what it was."""
    package = unit_package(journal)
    files = unzipped(package)
    files["records.ndjson"] = files["records.ndjson"].replace(b'"12.30"', b'"12.31"', 1)
    status, text, _ = judged(zipped(package, files), journal)
    assert status == "BROKEN"
    assert text.startswith("BROKEN at record 1: ")
    assert NOT_NAMED not in text
