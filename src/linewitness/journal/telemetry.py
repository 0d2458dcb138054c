"""Signals on their way to the historian: a bounded buffer on disk, apart from the evidence."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import structlog

from linewitness.clock import Clock
from linewitness.errors import JournalDamaged, JournalError
from linewitness.evidence.record import Actor, Change, Event, Resource
from linewitness.journal import database

FILE_NAME: Final = "telemetry.sqlite"
FLUSH_S: Final = 0.2
#: Blocks in memory before `put` has to wait for the disk.
MAX_WAITING: Final = 256
#: Losses are put on record this often, and the first one soon.
REPORT_S: Final = 60.0
FIRST_REPORT_S: Final = 5.0

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS block (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    device TEXT NOT NULL,
    samples INTEGER NOT NULL,
    payload BLOB NOT NULL
) STRICT;
"""

Submit = Callable[[Sequence[Event]], "asyncio.Future[Any]"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Block:
    """One message for the historian: JSON of a device's signals."""

    id: int
    device: str
    samples: int
    payload: bytes


class TelemetryBuffer:
    """Keep blocks of signals until the broker has them; beyond the limit the oldest are dropped.

    Not evidence: a power cut may lose the last moments (`synchronous=NORMAL`). What is dropped for want
    of room is counted by device in `dropped`, for whoever puts the loss on record.
    """

    def __init__(self, directory: Path, *, max_bytes: int) -> None:
        """Open or create the buffer in the journal's directory."""
        self._path = directory / FILE_NAME
        self._max_bytes = max_bytes
        self._limit = max_bytes
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="telemetry")
        self._waiting: list[tuple[str, int, bytes]] = []
        self._put = asyncio.Event()
        self._flushed = asyncio.Condition()
        self.dropped: dict[str, int] = {}
        self.stored = 0
        try:
            self._connection, self._bytes = _open(self._path)
        except JournalDamaged as error:
            # A signal never stops evidence: the damaged buffer is kept aside, and a new one takes over.
            aside = _set_aside(self._path)
            log.warning("telemetry buffer damaged: begun anew", why=error.what, kept=str(aside))
            self._connection, self._bytes = _open(self._path)

    async def put(self, device: str, samples: int, payload: bytes) -> None:
        """Take one block; waits only while the disk is behind by more than a bounded number of blocks."""
        while len(self._waiting) >= MAX_WAITING:
            async with self._flushed:
                await self._flushed.wait()
        self._waiting.append((device, samples, payload))
        self._put.set()

    async def run(self) -> None:
        """Write what was put, a few times a second, until cancelled; then write the rest."""
        try:
            while True:
                await self._put.wait()
                self._put.clear()
                await self._flush()
                await asyncio.sleep(FLUSH_S)
        finally:
            self._write(self._waiting)
            self._waiting = []

    def make_do(self, short: bool) -> None:
        """Take no more of the disk than the buffer has now, where evidence runs short of room."""
        self._limit = min(self._max_bytes, self._bytes) if short else self._max_bytes

    @property
    def waiting(self) -> int:
        """Blocks that are in memory only."""
        return len(self._waiting)

    async def wait_for(self, after: int) -> None:
        """Wait until more has been stored than `after` blocks since the start."""
        async with self._flushed:
            await self._flushed.wait_for(lambda: self.stored > after)

    async def oldest(self, max_bytes: int) -> list[Block]:
        """Return the oldest blocks, at least one if there is one, within `max_bytes`."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._oldest, max_bytes)

    async def remove(self, blocks: list[Block]) -> None:
        """Forget blocks that the broker has."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._remove, blocks)

    def close(self) -> None:
        """Close the file, after `run` has ended."""
        self._thread.shutdown(wait=True)
        self._connection.close()

    async def _flush(self) -> None:
        blocks, self._waiting = self._waiting, []
        await asyncio.get_running_loop().run_in_executor(self._thread, self._write, blocks)
        async with self._flushed:
            self.stored += len(blocks)
            self._flushed.notify_all()

    def _write(self, blocks: list[tuple[str, int, bytes]]) -> None:
        if not blocks:
            return
        try:
            with database.translated(self._path):
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.executemany(
                    "INSERT INTO block (device, samples, payload) VALUES (?, ?, ?)", blocks
                )
                self._bytes += sum(len(payload) for _, _, payload in blocks)
                self._make_room()
                self._connection.execute("COMMIT")
        except JournalError:
            # A signal never stops evidence: what cannot be kept is counted, and the loss is put on record.
            if self._connection.in_transaction:
                self._connection.rollback()
            self._bytes -= sum(len(payload) for _, _, payload in blocks)
            for device, samples, _ in blocks:
                self._drop(device, samples)

    def _make_room(self) -> None:
        while self._bytes > self._limit:
            row = self._connection.execute(
                "SELECT id, device, samples, LENGTH(payload) FROM block ORDER BY id LIMIT 1"
            ).fetchone()
            if row is None:
                return
            self._connection.execute("DELETE FROM block WHERE id = ?", (row[0],))
            self._bytes -= row[3]
            self._drop(row[1], row[2])

    def _drop(self, device: str, samples: int) -> None:
        self.dropped[device] = self.dropped.get(device, 0) + samples

    def _oldest(self, max_bytes: int) -> list[Block]:
        blocks: list[Block] = []
        with database.translated(self._path):
            for row in self._connection.execute("SELECT id, device, samples, payload FROM block ORDER BY id"):
                block = Block(*row)
                max_bytes -= len(block.payload)
                if blocks and max_bytes < 0:
                    break
                blocks.append(block)
        return blocks

    def _remove(self, blocks: list[Block]) -> None:
        with database.translated(self._path):
            self._connection.executemany("DELETE FROM block WHERE id = ?", [(block.id,) for block in blocks])
        self._bytes -= sum(len(block.payload) for block in blocks)


async def report_losses(buffer: TelemetryBuffer, submit: Submit, *, clock: Clock) -> NoReturn:
    """Put on record, at most once a minute for each device, how many signals were dropped."""
    reported: dict[str, int] = {}
    while True:
        await asyncio.sleep(REPORT_S if reported else FIRST_REPORT_S)
        lost = {
            device: count - reported.get(device, 0)
            for device, count in buffer.dropped.items()
            if count > reported.get(device, 0)
        }
        if not lost:
            continue
        reported |= buffer.dropped
        log.warning("signals dropped for want of room", samples=lost)
        # Crash here: the count of the last minute is lost with the signals; evidence is not touched.
        await submit([_loss(device, count, clock) for device, count in sorted(lost.items())])


def _loss(device: str, count: int, clock: Clock) -> Event:
    return Event(
        kind="source.gap",
        occurred_ns=clock.stamp().realtime_ns,
        occurred_from="gateway",
        actor=Actor("system", "linewitness"),
        resource=Resource("telemetry", device),
        reason="signals were dropped for want of room before the historian had them; evidence is complete",
        changes=(Change("count", None, count),),
        context={"device_id": device},
    )


def _open(path: Path) -> tuple[sqlite3.Connection, int]:
    """Open or create the buffer; return it with the bytes that it holds."""
    with database.translated(path):
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_SCHEMA)
            total = connection.execute("SELECT COALESCE(SUM(LENGTH(payload)), 0) FROM block").fetchone()
        except BaseException:
            connection.close()
            raise
    return connection, total[0]


def _set_aside(path: Path) -> Path:
    """Rename the buffer's files; an older damaged one gives way."""
    aside = path.with_name(path.name + ".damaged")
    with database.translated(path):
        for suffix in ("", "-wal", "-shm"):
            file = path.with_name(path.name + suffix)
            if file.exists():
                file.rename(aside.with_name(aside.name + suffix))
    return aside
