"""The file in which signals wait for the historian: damage in it is detected, never repaired."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from linewitness.base.durable import create_private
from linewitness.base.errors import JournalDamaged
from linewitness.journal import database

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS block (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    device TEXT NOT NULL,
    samples INTEGER NOT NULL,
    payload BLOB NOT NULL
) STRICT;
"""

#: A device, how many signals, and their JSON.
Put = tuple[str, int, bytes]


@dataclass(frozen=True, slots=True)
class SignalBlock:
    """One message for the historian: JSON of a device's signals; `id` is None while it is only in memory."""

    id: int | None
    device: str
    samples: int
    payload: bytes


class SignalFile:
    """The open file; all methods belong to one thread, and raise JournalError where it refuses."""

    def __init__(self, path: Path) -> None:
        """Open or create it."""
        self._path = path
        with database.translated(path):
            create_private(path)
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = NORMAL")
                self._connection.executescript(_SCHEMA)
                rows = self._connection.execute(
                    "SELECT device, SUM(samples), SUM(LENGTH(payload)) FROM block GROUP BY device"
                ).fetchall()
            except BaseException:
                self._connection.close()
                raise
        #: What is in it: bytes, and samples by device.
        self.bytes = sum(size for _, _, size in rows)
        self.held: dict[str, int] = {device: samples for device, samples, _ in rows}
        self._devices = set(self.held)

    def append(self, blocks: Sequence[Put], limit: int) -> tuple[list[int], list[SignalBlock]]:
        """Store blocks, all or none; return their ids, and the oldest blocks that had to give way."""
        self._devices.update(device for device, _, _ in blocks)
        with self._transaction():
            query = "INSERT INTO block (device, samples, payload) VALUES (?, ?, ?)"
            ids = [int(self._connection.execute(query, block).lastrowid or 0) for block in blocks]
            gone = self._make_room(sum(len(payload) for _, _, payload in blocks), limit)
        for device, samples, payload in blocks:
            self._count(device, samples, len(payload))
        self._forget(gone)
        return ids, gone

    def oldest(self, max_bytes: int) -> list[SignalBlock]:
        """Return the oldest blocks, at least one if there is one, within `max_bytes`."""
        blocks: list[SignalBlock] = []
        with database.translated(self._path), closing(self._connection.cursor()) as cursor:
            for row in cursor.execute("SELECT id, device, samples, payload FROM block ORDER BY id"):
                block = self._block(row)
                max_bytes -= len(block.payload)
                if blocks and max_bytes < 0:
                    break
                blocks.append(block)
        return blocks

    def remove(self, blocks: Sequence[SignalBlock]) -> None:
        """Forget blocks that the broker has; those that gave way meanwhile are gone already."""
        with self._transaction():
            here = [block for block in blocks if self._delete(block.id)]
        self._forget(here)

    def close(self) -> None:
        """Close it, whatever it is like; what a damaged file refuses now is of no use any more."""
        with suppress(sqlite3.DatabaseError):
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with database.translated(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.rollback()
                raise

    def _delete(self, number: int | None) -> bool:
        return self._connection.execute("DELETE FROM block WHERE id = ?", (number,)).rowcount > 0

    def _make_room(self, more: int, limit: int) -> list[SignalBlock]:
        gone: list[SignalBlock] = []
        total = self.bytes + more
        while total > limit:
            row = self._connection.execute(
                "SELECT id, device, samples, payload FROM block ORDER BY id LIMIT 1"
            ).fetchone()
            if row is None:
                break
            block = self._block(row)
            self._delete(block.id)
            total -= len(block.payload)
            gone.append(block)
        return gone

    def _block(self, row: tuple[object, ...]) -> SignalBlock:
        """Return a row as a block: a damaged page may show any type and any device."""
        number, device, samples, payload = row
        if not (
            isinstance(number, int)
            and isinstance(device, str)
            and device in self._devices
            and isinstance(samples, int)
            and isinstance(payload, bytes)
        ):
            raise JournalDamaged(f"{self._path} is damaged: a block is none", hint="keep it for an expert")
        return SignalBlock(number, device, samples, payload)

    def _forget(self, blocks: Sequence[SignalBlock]) -> None:
        for block in blocks:
            self._count(block.device, -block.samples, -len(block.payload))

    def _count(self, device: str, samples: int, size: int) -> None:
        self.held[device] = self.held.get(device, 0) + samples
        self.bytes += size


def set_aside(path: Path) -> Path:
    """Rename a file that cannot be opened, and return where it is now."""
    aside = path.with_name(path.name + ".damaged")
    with database.translated(path):
        for suffix in ("", "-wal", "-shm"):
            file = path.with_name(path.name + suffix)
            if file.exists():
                file.replace(aside.with_name(aside.name + suffix))
    return aside
