"""Look into a journal without being its writer: records, tree, receipts, state, figures."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from linewitness.base.compression.records import unpack_record, unpack_rows
from linewitness.base.errors import JournalDamaged
from linewitness.base.inspection import InspectionThread
from linewitness.evidence.format.note import Vkey
from linewitness.evidence.format.record import parse
from linewitness.journal import database, recover
from linewitness.journal.attestations import PRUNED, JournalHead, StoredAttestation
from linewitness.journal.recent import up_to_commit
from linewitness.journal.records.reading import PAGE, read_records, read_runs
from linewitness.journal.tree import JournalTree
from linewitness.records.builder import StreamIdentity

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Figures:
    """What the journal holds: counts of records, the oldest that was not pruned, and bytes.

    `bytes_used` is what counts against `journal.max_size`: the main file with all that is still in the log,
    and the log itself up to its normal size. A reader that holds the log for long makes it larger.
    `log_used` is that part of the log: it fills once after each start, which is no growth of the journal.
    """

    size: int
    oldest: int
    receipted: int
    bytes_on_disk: int
    bytes_used: int
    log_used: int = 0

    @property
    def pending(self) -> int:
        """Records that no receipt covers."""
        return self.size - self.receipted


class JournalReader:
    """A read-only view of a journal; each query is its own snapshot."""

    def __init__(self, directory: Path) -> None:
        """Open the journal in `directory`; JournalError if there is none."""
        self._path = database.path_of(directory)
        self._connection = database.open_for_reading(directory)

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Close the reader; what SQLite raised inside the block becomes ours."""
        self.close()
        if isinstance(error, sqlite3.DatabaseError):
            with database.translated(self._path, reading=True):
                raise error

    def ask(self, query: Callable[["JournalReader"], T]) -> T:
        """Run a query; JournalDamaged where SQLite finds the file damaged."""
        with database.translated(self._path, reading=True):
            return query(self)

    def guard_with(self, thread: InspectionThread) -> None:
        """Let the thread of an inspection interrupt the queries."""
        thread.guard(self._connection)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @property
    def has_writer(self) -> bool:
        """Return whether a gateway is running on this journal."""
        return database.is_being_written(self._path.parent)

    @property
    def directory(self) -> Path:
        """The journal's folder."""
        return self._path.parent

    @property
    def identity(self) -> StreamIdentity:
        """Whose records these are."""
        return recover.read_identity(self._connection)

    @property
    def log_vkey(self) -> Vkey:
        """The public log key of the stream."""
        return Vkey.parse(self._one("SELECT log_vkey FROM stream")[0])

    @property
    def record_0_hash(self) -> str:
        """The hash of record 0, which an auditor pins."""
        data: bytes = self._one("SELECT bytes FROM record WHERE seq = 0")[0]
        return str(parse(unpack_record(data))["integrity"]["record_hash"])

    @property
    def frozen(self) -> bool:
        """Return whether the stream was frozen because another history of it is proven."""
        return bool(self._one("SELECT state FROM stream")[0] == "frozen")

    def head(self) -> JournalHead:
        """Return where the stream stands, as the last commit left it; JournalDamaged before record 0."""
        found = recover.read_head(self._connection)
        if found is None:
            raise JournalDamaged("the journal has no records, not even record 0")
        return found

    def size(self) -> int:
        """Return the number of records of the stream, pruned ones included."""
        found = recover.read_head(self._connection)
        return found.size if found else 0

    def figures(self) -> Figures:
        """Return the journal's figures in one snapshot."""
        with self._snapshot():
            oldest = self.pruned
            receipted = self._one("SELECT MAX(size) FROM receipt")[0]
            size = self.size()
            pages = self._one("PRAGMA page_count")[0] * self._one("PRAGMA page_size")[0]
        on_disk = database.bytes_on_disk(self._path.parent)
        log = min(database.log_bytes(self._path.parent), database.LOG_BYTES)
        return Figures(size, oldest, receipted or 0, on_disk, pages + log, log)

    @property
    def pruned(self) -> int:
        """The boundary below which records were pruned: only record 0 and the rotations are left there."""
        return int(self.state_value(PRUNED) or 0)

    def key_records(self) -> Iterator[tuple[int, bytes]]:
        """Yield (sequence number, exact bytes) of record 0 and every `key.rotated`: they are never pruned."""
        rows = self._connection.execute(
            "SELECT seq, bytes FROM record WHERE seq = 0 OR seq IN (SELECT first_seq - 1 FROM event_key) "
            "ORDER BY seq"
        )
        yield from unpack_rows(rows)

    def attestations(self) -> Iterator[StoredAttestation]:
        """Yield what places and witnesses hold of this stream, oldest first."""
        for row in self._connection.execute(
            "SELECT size, source, note, proof, at FROM attestation ORDER BY id"
        ):
            yield StoredAttestation(*row)

    def newest_attestation(self) -> tuple[int, str] | None:
        """Return (size, source) of the attestation that covers most, or None."""
        row = self._connection.execute(
            "SELECT size, source FROM attestation ORDER BY size DESC, id LIMIT 1"
        ).fetchone()
        return (row[0], row[1]) if row else None

    def records(self, first: int = 0, last: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield (sequence number, exact bytes) of the records [first, last) that are still here."""
        yield from read_records(self._connection, first, self.size() if last is None else last)

    def batch(self, first: int, max_bytes: int) -> list[bytes]:
        """Return consecutive records from `first`, at least one if there is one, within `max_bytes`.

        They end with a commit, if a whole one fits.
        """
        batch: list[bytes] = []
        room = max_bytes
        for sequence_no, data in self.records(first):
            room -= len(data) + 1
            if sequence_no != first + len(batch) or (batch and room < 0):
                break
            batch.append(data)
        return up_to_commit(batch)

    def of_unit(self, unit: str) -> Iterator[tuple[int, bytes]]:
        """Yield the records whose parent is one serialized unit, in order; a page is read at a time.

        So a slow consumer does not hold the log.
        """
        after = -1
        while rows := self._connection.execute(
            "SELECT seq, bytes FROM record WHERE unit = ? AND seq > ? ORDER BY seq LIMIT ?",
            (unit, after, PAGE),
        ).fetchall():
            yield from unpack_rows(rows)
            after = rows[-1][0]

    def units(self, first: int, last: int) -> dict[int, str]:
        """Return the units by which `of_unit` finds records of [first, last), by the records' numbers."""
        return dict(
            self._connection.execute(
                "SELECT r.seq, f.unit FROM record AS r JOIN record AS f INDEXED BY record_by_unit "
                "ON f.unit = r.unit AND f.seq = r.seq WHERE r.seq >= ? AND r.seq < ?",
                (first, last),
            )
        )

    def runs(self, first: int, last: int) -> Iterator[tuple[int, int, int]]:
        """Yield number, stated and held records of each row that begins in [first, last)."""
        yield from read_runs(self._connection, first, last)

    def raw_of(self, sequence_no: int) -> tuple[bytes, bytes] | None:
        """Return (salt, bytes) of what the device itself sent, of one record; None where it is not here."""
        if not database.has_salts(self._connection):
            return None
        row = self._connection.execute(
            "SELECT salt, bytes FROM raw_of_record JOIN raw USING (sha256) WHERE seq = ?", (sequence_no,)
        ).fetchone()
        return (row[0], row[1]) if row else None

    def raw(self, sha256: str) -> bytes | None:
        """Return a device's own bytes by their hex SHA-256."""
        row = self._connection.execute("SELECT bytes FROM raw WHERE sha256 = ?", (sha256,)).fetchone()
        return row[0] if row else None

    def raws(self, after: str, most: int) -> list[tuple[str, bytes]]:
        """Return the devices' own bytes with their hex SHA-256, in the order of that, from `after` on."""
        return self._connection.execute(
            "SELECT sha256, bytes FROM raw WHERE sha256 > ? ORDER BY sha256 LIMIT ?", (after, most)
        ).fetchall()

    def read_through(self) -> None:
        """Read every page of what is not records: JournalDamaged, through `ask`, where one is damaged."""
        tables = ["stream", "head", "event_key", "receipt", "checkpoint", "attestation", "state", "node"]
        for table in (*tables, *(["raw_of_record"] if database.has_salts(self._connection) else [])):
            for _ in self._connection.execute(f"SELECT * FROM {table}"):  # noqa: S608 (our own names)
                pass
        for index in ("record INDEXED BY record_by_unit WHERE unit > ''", "raw INDEXED BY raw_by_record"):
            self._connection.execute(f"SELECT COUNT(*) FROM {index}").fetchone()  # noqa: S608 (our own names)

    def tree(self) -> JournalTree:
        """Return the stored Merkle tree."""
        return JournalTree(self._connection)

    def event_keys(self) -> list[tuple[int, Vkey]]:
        """Return (first record, key) of every event key, oldest first; pruning does not touch them."""
        rows = self._connection.execute("SELECT first_seq, vkey FROM event_key ORDER BY first_seq")
        return [(first, Vkey.parse(text)) for first, text in rows]

    def newest_receipt(self) -> tuple[int, str] | None:
        """Return (size, note) of the newest receipt, or None."""
        row = self._connection.execute("SELECT size, note FROM receipt ORDER BY size DESC LIMIT 1").fetchone()
        return (row[0], row[1]) if row else None

    def receipts(self) -> Iterator[tuple[int, str]]:
        """Yield (size, note) of every receipt, oldest first."""
        yield from self._connection.execute("SELECT size, note FROM receipt ORDER BY size")

    def receipt_times(self, most: int) -> list[tuple[int, str]]:
        """Return (size, time of arrival) of the newest receipts, newest first."""
        query = "SELECT size, received_at FROM receipt ORDER BY size DESC LIMIT ?"
        return self._connection.execute(query, (most,)).fetchall()

    def newest_checkpoint(self) -> tuple[int, str] | None:
        """Return (size, note) of the newest checkpoint that was signed, or None."""
        row = self._connection.execute("SELECT size, note FROM checkpoint").fetchone()
        return (row[0], row[1]) if row else None

    def state(self, prefix: str = "") -> dict[str, str]:
        """Return the committed state whose keys start with `prefix`, sorted by key."""
        rows = self._connection.execute(
            "SELECT key, value FROM state WHERE key >= ? AND key < ? ORDER BY key",
            (prefix, prefix + "\U0010ffff"),
        )
        return dict(rows.fetchall())

    def state_value(self, key: str) -> str | None:
        """Return one committed value of the state, or None."""
        row = self._connection.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def _one(self, query: str) -> tuple[Any, ...]:
        row: tuple[Any, ...] = self._connection.execute(query).fetchone()
        return row

    def _snapshot(self) -> "_Snapshot":
        return _Snapshot(self._connection)


class _Snapshot:
    """A read transaction: all queries inside see the same commit."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN")

    def __exit__(self, *_: object) -> None:
        self._connection.execute("COMMIT")
