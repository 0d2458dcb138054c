"""A reader that holds the write-ahead log for long: it grows, is not counted as used, and is cut back."""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from linewitness.journal import database
from linewitness.journal import journal as module
from linewitness.journal.journal import Journal
from linewitness.journal.reader import JournalReader
from linewitness.journal.writer import move_log_beside
from linewitness.store.database.database import Database
from linewitness.store.database.sqlite import LOG_BYTES
from linewitness.store.database.tables import refusals
from support.clocks import ManualClock
from support.journals import create, running, verdict_of
from support.waiting import until

MIB = 1024**2


@pytest.fixture
def directory(tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(database, "WAL_PAGES", 400)
    monkeypatch.setattr(database, "LOG_BYTES", 2 * 400 * 4120)
    create(tmp_path / "journal", clock)
    return tmp_path / "journal"


@contextmanager
def long_reader(file: Path) -> Iterator[None]:
    """Hold a snapshot of a database, as an export does that is read slowly."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("BEGIN")
    connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    try:
        yield
    finally:
        connection.close()


async def commit(journal: Journal) -> None:
    """Replace a large value: the log grows, and what it holds does not."""
    await journal.submit([], state={"large": os.urandom(MIB // 2).hex()})


async def committed(journal: Journal, wal_bytes: int, directory: Path) -> None:
    """Commit until the log is so large."""
    while database.log_bytes(directory) < wal_bytes:
        await commit(journal)


@pytest.mark.heavy
async def test_the_log_of_a_long_reader_is_not_used_room_and_is_cut_back_after_it(
    directory: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOG_CHECK_S", 0.05)
    async with running(directory, clock) as journal, asyncio.TaskGroup() as group:
        keeping = group.create_task(journal.keep_log_small())
        with long_reader(directory / "journal.sqlite"):
            await committed(journal, 3 * database.LOG_BYTES, directory)
            figures = await journal.read(JournalReader.figures)
            main = (directory / "journal.sqlite").stat().st_size
            assert figures.bytes_on_disk > 3 * database.LOG_BYTES
            assert figures.bytes_used < figures.bytes_on_disk - database.LOG_BYTES
        await until(lambda: (directory / "journal.sqlite").stat().st_size > main, "the log to be moved")
        for _ in range(20):
            await commit(journal)
            await asyncio.sleep(0.05)
            if database.log_bytes(directory) <= database.LOG_BYTES:
                break
        assert database.log_bytes(directory) <= database.LOG_BYTES, "cut back within some commits"
        figures = await journal.read(JournalReader.figures)
        assert figures.bytes_used <= figures.bytes_on_disk + 4096
        keeping.cancel()
    assert verdict_of(directory).status == "INTACT"


async def test_commits_go_on_while_a_long_log_is_moved(
    directory: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that moves it stands still here; no commit may wait for it, nor move the log itself."""
    monkeypatch.setattr(module, "LOG_CHECK_S", 0.02)
    moving, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    move = move_log_beside

    def slow(folder: Path) -> bool:
        loop.call_soon_threadsafe(moving.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
        return move(folder)

    monkeypatch.setattr(module, "move_log_beside", slow)
    async with running(directory, clock) as journal, asyncio.TaskGroup() as group:
        keeping = group.create_task(journal.keep_log_small())
        with long_reader(directory / "journal.sqlite"):
            await committed(journal, database.LOG_BYTES + MIB, directory)
            await moving.wait()
        before = (directory / "journal.sqlite").stat().st_size
        for _ in range(5):
            await commit(journal)
        assert (directory / "journal.sqlite").stat().st_size == before, "no commit moved the long log"
        go_on.set()
        await until(lambda: (directory / "journal.sqlite").stat().st_size > before, "the log to be moved")
        keeping.cancel()


@pytest.mark.heavy
def test_the_log_of_the_stores_database_is_cut_back_after_a_long_reader(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    kept = Database(f"sqlite:///{file}")
    kept.create()
    log = tmp_path / "store.db-wal"

    def write(number: int) -> None:
        text = "x" * 200_000
        with kept.writing() as connection:
            connection.execute(
                refusals.insert().values(
                    tenant="t",
                    gateway=f"g{number}",
                    origin="",
                    reason="",
                    detail=text,
                    first_at="",
                    last_at="",
                )
            )

    number = 0
    with long_reader(file):
        while log.stat().st_size < LOG_BYTES + 8 * MIB:
            write(number := number + 1)
    for _ in range(3):
        write(number := number + 1)
    assert log.stat().st_size <= LOG_BYTES
    kept.close()
