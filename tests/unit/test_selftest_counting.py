"""The selftest's own measure: what it counts, what it chooses, and what it says of a disk."""

import random
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from linewitness.base.clock import SystemClock
from linewitness.base.errors import ConfigurationError
from linewitness.journal.reader import JournalReader
from linewitness_selftest.audit import FaultTally, Findings
from linewitness_selftest.calls.syscalls import _chosen
from linewitness_selftest.calls.tracing import CallSite, places, was_hit
from linewitness_selftest.outcome import FaultOutcome
from linewitness_selftest.results import DEVICES, Count, ToldResults, submission
from linewitness_selftest.show import show
from linewitness_selftest.speed import DiskSpeed, file_system_of, measure
from linewitness_selftest.suite import SelftestReport, check_place
from support.clocks import ManualClock
from support.journals import create, reopen

pytestmark = pytest.mark.heavy

GOOD = FaultOutcome(fault="kills", injected=3, survived=3, lost=0, duplicated=0)
SPEED = DiskSpeed("ext4", 400.0, 2_400, 9_000)


@pytest.fixture
def records(tmp_path: Path, clock: ManualClock) -> Callable[..., Any]:
    """Return records of these numbers of one device, as a journal writes them."""

    def make(*numbers: int) -> list[bytes]:
        directory = tmp_path / "journal"
        create(directory, clock)
        file = reopen(directory, clock)
        file.append([submission(DEVICES[0], number, clock) for number in numbers])
        file.close()
        return records_after(tmp_path)

    return make


@pytest.mark.parametrize(
    ("numbers", "told", "expected"),
    [
        ((0, 1, 2), 3, (0, 0)),
        ((0, 1, 2), 2, (0, 0)),  # durable, and nobody was told yet
        ((0, 1, 2), 5, (2, 0)),
        ((0, 2), 3, (1, 0)),
        ((0, 1, 1, 2), 3, (0, 1)),
        ((0, 1, 0, 1, 2), 3, (0, 2)),
        ((), 1, (1, 0)),
    ],
)
def test_results_are_counted_against_what_was_told(
    tmp_path: Path,
    records: Callable[..., Any],
    numbers: tuple[int, ...],
    told: int,
    expected: tuple[int, int],
) -> None:
    count = Count()
    count.read(records(*numbers))
    with ToldResults(tmp_path / "told") as ledger:
        ledger[0] = told
        assert (count.lost(ledger), count.repeated) == expected
    assert count.size == len(numbers) + 1


def test_what_is_lost_is_not_lost_again_with_the_next_fault(
    tmp_path: Path, records: Callable[..., Any]
) -> None:
    first, second = Count(), Count()
    with ToldResults(tmp_path / "told") as told:
        told[0] = 3
        first.read(records(0, 3)[:2])
        assert first.lost(told) == 2
        first.forgive(told)
        assert first.lost(told) == 0
        told[0] = 4
        first.read(records_after(tmp_path)[2:])
        assert first.lost(told) == 0
        second.read(records_after(tmp_path))
        assert second.lost(told) == 2


def records_after(tmp_path: Path) -> list[bytes]:
    with JournalReader(tmp_path / "journal") as reader:
        return [data for _, data in reader.records()]


def test_what_was_told_outlives_who_told_it(tmp_path: Path) -> None:
    with ToldResults(tmp_path / "told") as told:
        told[1] = 7
    with ToldResults(tmp_path / "told") as told:
        assert [told[slot] for slot in range(3)] == [0, 7, 0]


def test_a_row_survives_only_with_nothing_found() -> None:
    tally = FaultTally("kills")
    tally.add(Findings(), "one")
    tally.add(Findings(lost=2), "two")
    tally.add(Findings(problems=["it does not open"]), "three")
    row = tally.outcome("3 records")
    assert (row.injected, row.survived, row.lost) == (3, 1, 2)
    assert row.note == "two: records are missing or there twice; 3 records"
    assert not row.held


def test_what_is_lost_is_counted_once_however_often_it_is_looked_for() -> None:
    found = Findings(lost=2)
    found.join(Findings(lost=2, duplicated=1))
    assert (found.lost, found.duplicated) == (2, 1)


TRACE = """\
openat(AT_FDCWD, "/usr/lib/x.so", O_RDONLY) = 3
openat(AT_FDCWD, "/d/journal/lock", O_RDWR) = 4</d/journal/lock>
12 pwrite64(5</d/journal/journal.sqlite-wal>, "x"..., 24, 0) = -1 EIO (Input/output error) (INJECTED)
pwrite64(6</d/told>, "x"..., 24, 0) = 24
pwrite64(5</d/journal/journal.sqlite-wal>, "x"..., 24, 0) = 24
"""


def test_calls_on_the_journal_are_found_with_their_numbers(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_text(TRACE)
    journal = Path("/d/journal")
    assert places(trace, journal) == [CallSite("openat", 2), CallSite("pwrite64", 1), CallSite("pwrite64", 3)]
    assert was_hit(trace, journal)
    trace.write_text(TRACE.replace("(INJECTED)", ""))
    assert not was_hit(trace, journal)


def test_a_sample_has_every_call_and_all_is_all() -> None:
    found = [CallSite("pwrite64", number) for number in range(100)] + [CallSite("rename", 1)]
    few = _chosen(found, 0.05, random.Random(1))
    assert {place.call for place, _ in few} == {"pwrite64", "rename"}
    assert len(few) == 15 + 1
    assert len({fault for _, fault in few}) == 3
    everything = _chosen(found, 1, random.Random(1))
    assert len(everything) == len(set(everything)) == 303


@pytest.mark.parametrize(
    ("speed", "suspicious", "words"),
    [
        (SPEED, False, "share a write"),
        (replace(SPEED, median_us=30), True, "a cache answers"),
        (replace(SPEED, file_system="tmpfs"), True, "memory, not a disk"),
        (replace(SPEED, file_system="nfs4"), False, "on another machine"),
        (replace(SPEED, median_us=90_000), False, "That is slow"),
    ],
)
def test_a_disk_is_described_in_a_sentence(speed: DiskSpeed, suspicious: bool, words: str) -> None:
    assert speed.suspicious == suspicious
    assert words in speed.sentence()
    assert "a second durable" in speed.sentence()


def test_a_disk_is_measured_and_nothing_is_left(tmp_path: Path) -> None:
    speed = measure(tmp_path, seconds=0.05, clock=SystemClock())
    assert 0 < speed.median_us <= speed.worst_of_100_us
    assert speed.syncs_per_s > 0
    assert speed.file_system == file_system_of(tmp_path)
    assert not list(tmp_path.iterdir())


def test_other_file_systems_are_recognised() -> None:
    assert file_system_of(Path("/proc")) == "proc"
    assert file_system_of(Path("/sys")) == "sysfs"


def text_of(*rows: FaultOutcome, speed: DiskSpeed = SPEED) -> str:
    console = Console(width=120, record=True, file=None, quiet=False, force_terminal=False)
    with console.capture() as capture:
        show(SelftestReport(Path("/data"), 7, speed, rows), console)
    return re.sub(r"\s+", " ", capture.get())


def test_the_table_says_what_held() -> None:
    text = text_of(GOOD)
    assert "3 faults, nothing lost, nothing twice" in text
    assert "Not run" not in text


def test_the_table_says_what_did_not_hold_and_how_to_repeat_it() -> None:
    text = text_of(GOOD, replace(GOOD, fault="calls", survived=2, lost=1, note="rename 1, error=EIO: gone"))
    assert "A promise was broken" in text
    assert "--seed 7" in text
    assert "rename 1, error=EIO: gone" in text


def test_a_row_that_was_not_run_is_not_passed_over() -> None:
    missing = replace(GOOD, fault="calls", injected=0, survived=0, note="not run: strace is missing")
    text = text_of(GOOD, missing)
    assert "Not run, so that nothing is known of it: calls." in text
    report = SelftestReport(Path("/data"), 7, SPEED, (GOOD, missing))
    assert report.held
    assert report.members()["not_run"] == ["calls"]
    assert report.members()["rows"][0]["held"]


def test_a_place_without_room_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_place(tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigurationError, match="not a folder"):
        check_place(tmp_path / "no")
    monkeypatch.setattr("linewitness_selftest.suite.ROOM_BYTES", 1 << 62)
    with pytest.raises(ConfigurationError, match="MiB left"):
        check_place(tmp_path)
