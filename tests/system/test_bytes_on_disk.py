"""A journal takes at most a third of the room that it takes where each record is stored as it is."""

import sqlite3
from functools import partial
from pathlib import Path

from linewitness.base.clock import SharedClockState, SystemClock
from linewitness.devices.scanner.options import ScannerOptions
from linewitness.journal.file import JournalFile
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from linewitness.stations.options import StationOptions, UnitOptions
from linewitness_simulators.scanner.server import ScannerSimulation
from linewitness_simulators.scanner.server import serve as serve_scanner
from linewitness_simulators.torque import TorqueSimulator, serve
from support.journals import create
from support.live_line import result
from support.torque_line import Line, line, wrench
from support.waiting import until

PAGE = 4096


def is_confirmed(torque: TorqueSimulator, number: int) -> bool:
    return number in torque.acked


def is_larger(running: Line, size: int) -> bool:
    return running.journal.head.size > size


def bytes_of(path: Path) -> int:
    """Return the size of a database beyond what it has without any rows: a page for each table and index."""
    with sqlite3.connect(path) as connection:
        connection.execute("VACUUM")
        [trees] = connection.execute("SELECT COUNT(*) FROM sqlite_master WHERE rootpage > 0").fetchone()
    connection.close()
    size: int = path.stat().st_size - (1 + trees) * PAGE
    return size


def as_it_was(folder: Path, copy: Path) -> Path:
    """Copy a journal into one with a row for each record, stored as it is."""
    with JournalReader(folder) as reader:
        records = list(reader.records())
    with sqlite3.connect(folder / "journal.sqlite") as source, sqlite3.connect(copy) as target:
        source.backup(target)
        for (trigger,) in target.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            target.execute(f"DROP TRIGGER {trigger}")
        units = dict(target.execute("SELECT seq, unit FROM record WHERE unit IS NOT NULL"))
        target.execute("DELETE FROM record")
        target.executemany(
            "INSERT INTO record (seq, unit, bytes, count) VALUES (?, ?, ?, 1)",
            [(number, units.get(number), data) for number, data in records],
        )
    source.close()
    target.close()
    return copy


def assert_a_third(folder: Path) -> None:
    before = bytes_of(as_it_was(folder, folder.parent / "before.sqlite"))
    now = bytes_of(folder / "journal.sqlite")
    assert 3 * now <= before, f"{now} of {before} bytes"


async def test_units_and_tightenings_one_a_commit(tmp_path: Path) -> None:
    """With the unit of each result, and with the devices' own bytes."""
    station = StationOptions(
        id="st-10",
        devices=("reader-10", "wrench-10"),
        unit=UnitOptions(scanner="reader-10", pattern=r"SN\d+"),
    )
    async with serve_scanner(ScannerSimulation()) as scanner, serve() as torque:
        place = {"host": "127.0.0.1", "port": scanner.port}
        reader = ScannerOptions.model_validate(
            {"id": "reader-10", "driver": "scanner", **place, "settle_ms": 0}
        )
        async with line(tmp_path, [wrench(torque), reader], [station]) as running:
            await until(torque.subscribed)
            for number in range(150):
                size = running.journal.head.size
                await scanner.scan(f"SN{number:06}")
                await until(partial(is_larger, running, size), "the unit")
                await until(partial(is_confirmed, torque, torque.tighten()), "the result")
    assert_a_third(tmp_path / "journal")


def test_results_without_unit_and_telegram_one_a_commit(tmp_path: Path) -> None:
    folder, clock = tmp_path / "journal", SystemClock()
    create(folder, clock)
    file = JournalFile.open(folder, clock=clock, clock_state=SharedClockState())
    for number in range(2000):
        file.append([Submission(events=(result(number),))])
    file.close()
    assert_a_third(folder)
