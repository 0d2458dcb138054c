"""The statements that run for each batch, as each kind of database takes them fastest.

They run as they stand: SQLAlchemy would spend more on them than the database.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import orjson
from sqlalchemy import Connection, Table, text
from sqlalchemy.dialects import postgresql, sqlite

from linewitness.store.database.text import without_nul


class EntryRow(NamedTuple):
    """What a record is found by."""

    seq: int
    event_id: str
    kind: str
    unit: str | None
    occurred_at: str


class RunRow(NamedTuple):
    """Consecutive records as they are stored together."""

    first_seq: int
    size: int
    accepted_at: str
    codec: str
    data: bytes


class HotStatements(ABC):
    """The statements that run for each batch, as each kind of database takes them fastest."""

    @abstractmethod
    def lock(self, connection: Connection, stream_id: int) -> None:
        """Keep every other writer of the stream out until the transaction ends."""

    @abstractmethod
    def settle(self, connection: Connection) -> None:
        """Let this transaction's commit wait until all that it has read is as durable as what it writes.

        A commit that waits for a standby can be seen before it is there, if its connection was lost.
        """

    @abstractmethod
    def store_run(
        self, connection: Connection, stream_id: int, run: RunRow, entries: Sequence[EntryRow]
    ) -> None:
        """Store a run, and what its records are found by."""

    @abstractmethod
    def events_held(self, connection: Connection, stream_id: int, event_ids: Sequence[str]) -> set[str]:
        """Return which of these events the stream has already."""

    @abstractmethod
    def size(self, connection: Connection, stream_id: int) -> int:
        """Return how many records of the stream are held."""


class _SqliteStatements(HotStatements):
    """The one writer of the file is the lock."""

    def lock(self, connection: Connection, stream_id: int) -> None:
        pass  # BEGIN IMMEDIATE has locked the file

    def settle(self, connection: Connection) -> None:
        pass  # nobody sees what is not synchronised

    def store_run(
        self, connection: Connection, stream_id: int, run: RunRow, entries: Sequence[EntryRow]
    ) -> None:
        connection.exec_driver_sql(
            "INSERT INTO runs (stream_id, first_seq, count, accepted_at, codec, data) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (stream_id, *run),
        )
        connection.exec_driver_sql(
            "INSERT INTO entries (stream_id, seq, event_id, kind, unit, occurred_at) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            [(stream_id, *entry) for entry in entries],
        )

    def events_held(self, connection: Connection, stream_id: int, event_ids: Sequence[str]) -> set[str]:
        return set(
            connection.exec_driver_sql(
                "SELECT event_id FROM entries WHERE stream_id = ? "
                "AND event_id IN (SELECT value FROM json_each(?))",
                (stream_id, orjson.dumps(event_ids).decode()),
            ).scalars()
        )

    def size(self, connection: Connection, stream_id: int) -> int:
        return _one(
            connection,
            "SELECT first_seq + count FROM runs WHERE stream_id = ? ORDER BY first_seq DESC LIMIT 1",
            stream_id,
        )


class _PostgresStatements(HotStatements):
    """COPY is refused under row-level security: arrays of columns are as fast."""

    def lock(self, connection: Connection, stream_id: int) -> None:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s, %s)", (LOCK_CLASS, stream_id))

    def settle(self, connection: Connection) -> None:
        # A transaction that writes nothing waits for nobody: this is a word in the log, and no row.
        connection.exec_driver_sql("SELECT pg_logical_emit_message(true, 'linewitness', '')")

    def store_run(
        self, connection: Connection, stream_id: int, run: RunRow, entries: Sequence[EntryRow]
    ) -> None:
        month = month_of(run.accepted_at)
        connection.exec_driver_sql(
            "INSERT INTO runs (stream_id, first_seq, count, accepted_at, codec, data, month) "
            "VALUES (%s, %s, %s, %s, %s, %b, %s)",
            (stream_id, *run, month),
        )
        seqs, event_ids, kinds, units, times = map(list, zip(*entries, strict=True))
        units = [None if unit is None else without_nul(unit) for unit in units]
        connection.exec_driver_sql(
            "INSERT INTO entries (stream_id, month, seq, event_id, kind, unit, occurred_at) "
            "SELECT %s, %s, * FROM unnest(%b::bigint[], %b::text[], %b::text[], %b::text[], %b::text[])",
            (stream_id, month, seqs, event_ids, kinds, units, times),
        )

    def events_held(self, connection: Connection, stream_id: int, event_ids: Sequence[str]) -> set[str]:
        return set(
            connection.exec_driver_sql(
                # One look into the index for each, also where the planner knows nothing of a new month yet.
                "SELECT found.event_id FROM unnest(%b::text[]) AS asked(event_id), LATERAL ("
                "SELECT event_id FROM entries WHERE stream_id = %s AND event_id = asked.event_id LIMIT 1"
                ") AS found",
                (list(event_ids), stream_id),
            ).scalars()
        )

    def size(self, connection: Connection, stream_id: int) -> int:
        return _one(
            connection,
            "SELECT first_seq + count FROM runs WHERE stream_id = %s ORDER BY first_seq DESC LIMIT 1",
            stream_id,
        )


def month_of(accepted_at: str) -> int:
    """Return the month of a time, such as 202611: in PostgreSQL each has tables of its own."""
    return int(accepted_at[:4] + accepted_at[5:7])


def _one(connection: Connection, statement: str, stream_id: int) -> int:
    found = connection.exec_driver_sql(statement, (stream_id,)).scalar_one_or_none()
    return 0 if found is None else int(found)


#: Records that cannot be looked up by their unit or their event. The + keeps SQLite to the index in question.
_HIDDEN: Final = """
    SELECT r.seq, 'unit' FROM entries AS r
    WHERE r.stream_id = :stream AND r.seq >= :first AND r.seq < :last AND r.unit IS NOT NULL
    AND NOT EXISTS (
        SELECT 1 FROM entries AS found INDEXED BY entries_by_unit
        WHERE found.unit = r.unit AND +found.stream_id = r.stream_id AND +found.seq = r.seq
    )
    UNION ALL
    SELECT r.seq, 'event_id' FROM entries AS r
    WHERE r.stream_id = :stream AND r.seq >= :first AND r.seq < :last
    AND NOT EXISTS (
        SELECT 1 FROM entries AS found
        WHERE found.stream_id = r.stream_id AND found.event_id = r.event_id AND +found.seq = r.seq
    )
    LIMIT 1
"""
HIDDEN_FROM: Final = MappingProxyType(
    {
        "sqlite": text(_HIDDEN),
        "postgresql": text(_HIDDEN.replace("INDEXED BY entries_by_unit", "").replace("+", "")),
    }
)

#: The class of advisory locks that keep a stream to one writer; the number of the stream is the object.
LOCK_CLASS: Final = 0x4C57
_BY_DIALECT: Final[Mapping[str, HotStatements]] = MappingProxyType(
    {"sqlite": _SqliteStatements(), "postgresql": _PostgresStatements()}
)


def insert_new(connection: Connection, into: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT that leaves what is there already as it is."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(into).on_conflict_do_nothing()
    return postgresql.insert(into).on_conflict_do_nothing()


def statements_for(connection: Connection) -> HotStatements:
    """Return the statements that a connection's database takes."""
    return _BY_DIALECT[connection.dialect.name]
