"""Damage far back in the journal is found by the daily inspection, said as an alarm, and stops nothing."""

import asyncio
import hashlib
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from linewitness.base import inspection as daily_inspection
from linewitness.journal import inspection
from linewitness.journal.inspection import inspect, inspect_daily
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from linewitness.status.health import Health
from support.clocks import ManualClock
from support.journals import create, forger, reopen, result_event, running
from support.waiting import until

pytestmark = pytest.mark.heavy

#: The first byte of such a page in SQLite's file format.
LEAF_OF_AN_INDEX = 0x0A
RAW = [b"telegram %d" % number for number in range(300)]


@pytest.fixture
def directory(tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(inspection, "PAUSE_S", 0.0)
    create(tmp_path / "journal", clock)
    file = reopen(tmp_path / "journal", clock)
    for first in range(0, 600, 100):
        file.append([Submission(events=tuple(result_event(n, clock) for n in range(first, first + 100)))])
    raw = {hashlib.sha256(data).hexdigest(): data for data in RAW}
    file.append([Submission(events=(result_event(999, clock),), raw=raw)])
    file.close()
    return tmp_path / "journal"


async def inspected(directory: Path) -> list[str]:
    with JournalReader(directory) as reader:

        async def read(look: Callable[..., Any]) -> str:
            found: str = reader.ask(look)
            return found

        return await inspect(read)


def change(directory: Path, *statements: str) -> None:
    connection = forger(directory)
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        assert connection.execute(statement).rowcount > 0
    connection.commit()
    connection.close()


def overwrite_root_page(directory: Path, table: str) -> None:
    file = directory / "journal.sqlite"
    connection = sqlite3.connect(file)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    connection.close()
    data = bytearray(file.read_bytes())
    data[4096 * (page - 1) : 4096 * page] = b"\xa5" * 4096
    file.write_bytes(data)


async def test_a_sound_journal_is_found_sound(directory: Path) -> None:
    assert await inspected(directory) == []


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (
            "UPDATE record SET bytes = CAST(replace(plain(bytes), '12.30', '12.31') AS BLOB) WHERE seq = 17",
            "record 17 is not",
        ),
        ("UPDATE tile SET leaves = zeroblob(length(leaves)) WHERE idx = 1", "record 256 is not"),
        (
            "UPDATE node SET hash = zeroblob(32) WHERE level = 8 AND idx = 1",
            "the tree over records 256 to 511",
        ),
        ("UPDATE record SET unit = NULL WHERE seq = 17", "record 17 is not found by its unit"),
        ("UPDATE record SET unit = 'SN-other' WHERE seq = 17", "record 17 is not found by its unit"),
        ("UPDATE raw SET bytes = x'00' WHERE bytes = CAST('telegram 7' AS BLOB)", "raw telegram"),
    ],
)
async def test_bytes_that_changed_are_found_though_a_start_does_not_see_them(
    directory: Path, clock: ManualClock, statement: str, found: str
) -> None:
    change(directory, statement)
    (damage,) = await inspected(directory)
    assert found in damage


async def test_a_record_that_the_index_of_units_has_lost_is_found(directory: Path) -> None:
    file = directory / "journal.sqlite"
    data = bytearray(file.read_bytes())
    for page in range(0, len(data), 4096):
        if data[page] == LEAF_OF_AN_INDEX:
            data[page : page + 4096] = data[page : page + 4096].replace(b"SN0001", b"SN000~", 1)
    file.write_bytes(data)
    damage = await inspected(directory)
    assert damage
    assert all("is not found by its unit" in each for each in damage)


@pytest.mark.parametrize("table", ["attestation", "checkpoint", "record_by_unit", "raw_by_record", "raw"])
async def test_damaged_pages_that_a_start_does_not_read_are_found(
    directory: Path, clock: ManualClock, table: str
) -> None:
    overwrite_root_page(directory, table)
    reopen(directory, clock).close()
    (damage,) = await inspected(directory)
    assert "damaged" in damage


async def test_damage_is_an_alarm_while_capture_goes_on(
    directory: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daily_inspection, "FIRST_S", 0.0)
    monkeypatch.setattr(daily_inspection, "EVERY_S", 0.01)
    change(directory, "UPDATE record SET bytes = x'00' WHERE seq = 3")
    health = Health()
    with structlog.testing.capture_logs() as said:
        async with running(directory, clock) as journal, asyncio.TaskGroup() as group:
            task = group.create_task(inspect_daily(directory, tell=health.damaged))
            await until(lambda: len(said) >= 2)
            assert "record 3 is not the one that was written" in health.sentence
            before = journal.head.size
            await journal.submit([result_event(1000, clock)])
            assert journal.head.size == before + 1
            task.cancel()
    assert {entry["event"] for entry in said} == {"damage found in the journal"}
    assert said[0]["log_level"] == "error"


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT COUNT(*) FROM n"


async def stopped_during(
    directory: Path, monkeypatch: pytest.MonkeyPatch, query: Callable[..., Any]
) -> threading.Event:
    """Stop an inspection whose query has begun in its thread; return the event of the closed journal."""
    monkeypatch.setattr(daily_inspection, "FIRST_S", 0.0)
    begun, closed, close = threading.Event(), threading.Event(), JournalReader.close

    def run(reader: JournalReader) -> None:
        begun.set()
        query(reader._connection)

    def close_and_say(reader: JournalReader) -> None:
        close(reader)
        closed.set()

    monkeypatch.setattr(JournalReader, "read_through", run)
    monkeypatch.setattr(JournalReader, "close", close_and_say)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        task = group.create_task(inspect_daily(directory, tell=str))
        await until(begun.is_set)
        task.cancel()
    return closed


async def test_a_gateway_that_stops_interrupts_an_inspection(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = await stopped_during(directory, monkeypatch, lambda sqlite: sqlite.execute(ENDLESS).fetchone())
    await until(closed.is_set)


async def test_a_query_that_starts_after_the_interruption_is_interrupted_too(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = threading.Event()

    def late(sqlite: sqlite3.Connection) -> None:
        assert stopped.wait(10)
        sqlite.execute(ENDLESS).fetchone()

    closed = await stopped_during(directory, monkeypatch, late)
    # The loop was not held up by the thread, which waits still.
    assert not closed.is_set()
    stopped.set()
    await until(closed.is_set)


@pytest.mark.parametrize("what", ["header", "disk"])
async def test_what_cannot_be_read_at_all_is_an_alarm_too(
    directory: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(daily_inspection, "FIRST_S", 0.0)
    if what == "header":
        (directory / "journal.sqlite").write_bytes(b"\xa5" * 8192)
    else:

        def refuse(*_: int | JournalReader | str) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(JournalReader, "raws", refuse)
    found: list[Any] = []
    async with asyncio.TaskGroup() as group:
        task = group.create_task(inspect_daily(directory, tell=found.append))
        await until(lambda: found)
        task.cancel()
    assert "journal.sqlite" in found[0]
