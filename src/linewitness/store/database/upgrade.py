"""Bring a database of an earlier version to the tables of this one: records move from rows into runs.

A step is one transaction that moves some records: a store may be stopped at any time, goes on where it was,
and needs no room for a second copy.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

from sqlalchemy import Connection, Row, column, delete, inspect, select, table, tuple_, update

from linewitness.store.acceptance import MAX_LINES, AcceptedRecord
from linewitness.store.database import tables
from linewitness.store.database.database import Database
from linewitness.store.database.errors import StoreError
from linewitness.store.database.sqlite import SqliteBackend
from linewitness.store.database.stored_records import StoredRecords, store_run

#: Records of one transaction: some MiB.
STEP: Final = 1024
#: Between two steps another program gets its turn: SQLite has no queue of those who wait.
BETWEEN_STEPS_S: Final = 0.01
#: In 1 each record was a row; up to 2 heads of streams and ends of handovers were written over.
_OLD_SCHEMAS: Final = (1, 2)
#: How the old table is called while records are left in it: a program of that version does not find it.
_OLD_NAME: Final = "records_of_schema_1"
_NAMES: Final = ("stream_id", "seq", "event_id", "kind", "unit", "occurred_at", "accepted_at", "data")
_COPIES: Final = (
    (
        "INSERT INTO streams (id, origin, tenant, gateway, log_vkey, record0_hash, enrolled_at) "
        "SELECT id, origin, tenant, gateway, log_vkey, record0_hash, enrolled_at FROM old_streams"
    ),
    (
        'INSERT INTO handovers (id, stream_id, first, size, root, "end", begun_at) '
        'SELECT id, stream_id, first, size, root, "end", begun_at FROM old_handovers'
    ),
    (
        "INSERT INTO handover_ends (handover_id, fork, held_at, note) "
        "SELECT id, fork, held_at, note FROM old_handovers WHERE held_at IS NOT NULL"
    ),
)
_old: Final = table(_OLD_NAME, *map(column, _NAMES))


def upgraded(database: Database) -> Iterator[int]:
    """Bring the database to this version, and yield how many records are left, before and after each step.

    Nothing is yielded where there is nothing to do, or no store; `Database.check` says which. StoreError
    where a record cannot be read: what was moved stays so, and nothing of the rest is changed. A database on
    a server is brought to a version by its owner alone, see `linewitness store init`.
    """
    if not isinstance(database.backend, SqliteBackend):
        return
    schema = database.schema()
    if schema is None:
        return
    if schema in _OLD_SCHEMAS:
        _begin(database)
    with database.reading() as connection:
        has_rows = inspect(connection).has_table(_OLD_NAME)
        left = _left(connection) if has_rows else 0
    if has_rows or schema in _OLD_SCHEMAS:
        yield left
    while has_rows and (moved := _step(database)):
        left -= moved
        yield left


def upgrade(database: Database) -> bool:
    """Do all of it; return whether there was something to do."""
    found = False
    for _ in upgraded(database):
        found = True
        time.sleep(BETWEEN_STEPS_S)
    return found


def _begin(database: Database) -> None:
    """Make the tables of this version, and take old ones out of the reach of programs that would write there.

    References between tables stay as they are while a table is made anew under its name.
    """
    url = database.backend.engine.url
    backend = SqliteBackend(url, pragmas=("foreign_keys=OFF", "legacy_alter_table=ON"))
    unlinked = Database(url, backend=backend)
    try:
        with unlinked.writing() as connection:
            schema = connection.execute(select(tables.store.c.schema)).scalar_one()
            if schema in _OLD_SCHEMAS:  # otherwise another program has begun
                _remake(connection)
    finally:
        unlinked.close()


def _remake(connection: Connection) -> None:
    run = connection.exec_driver_sql
    known = set(inspect(connection).get_table_names())
    if "records" in known:
        for deed in ("update", "delete"):
            run(f"DROP TRIGGER IF EXISTS records_no_{deed}")
        run(f"ALTER TABLE records RENAME TO {_OLD_NAME}")
    run("DROP TRIGGER IF EXISTS handovers_stay")
    run("DROP INDEX IF EXISTS streams_by_gateway")
    renamed = [name for name in ("streams", "handovers") if name in known]
    for name in renamed:
        run(f"ALTER TABLE {name} RENAME TO old_{name}")
    tables.metadata.create_all(connection)
    run("INSERT INTO tenants SELECT tenant, min(enrolled_at) FROM old_streams GROUP BY tenant")
    for statement in _COPIES if "handovers" in known else _COPIES[:1]:
        run(statement)
    for name in renamed:
        run(f"DROP TABLE old_{name}")
    connection.execute(update(tables.store).values(schema=tables.SCHEMA))


def _step(database: Database) -> int:
    """Move the next records, and return how many; where none is left, the empty table goes."""
    with database.writing() as connection:
        if not inspect(connection).has_table(_OLD_NAME):
            return 0  # another program has done the rest
        place = _old.c.stream_id, _old.c.seq
        rows = connection.execute(select(_old).order_by(*place).limit(STEP)).all()
        runs = list(_runs(rows))
        if len(rows) == STEP and len(runs) > 1:
            runs.pop()  # there may be more of it
        for run in runs:
            _move(connection, run)
        if not runs:
            if left := _left(connection):
                raise StoreError(
                    f"{left} records of the older database are not found by its damaged index",
                    hint=f"keep a copy, then `sqlite3 FILE 'REINDEX {_OLD_NAME}'`, and start again",
                )
            connection.exec_driver_sql(f"DROP TABLE {_OLD_NAME}")
            return 0
        last = runs[-1][-1]
        connection.execute(delete(_old).where(tuple_(*place) <= (last.stream_id, last.seq)))
    return sum(map(len, runs))


def _left(connection: Connection) -> int:
    """Count what the old table itself has, whatever its index says."""
    count = f"SELECT COUNT(*) FROM {_OLD_NAME} NOT INDEXED"  # noqa: S608 (our own name)
    return int(connection.exec_driver_sql(count).scalar_one())


def _runs(rows: Iterable[Row[Any]]) -> Iterator[list[Row[Any]]]:
    """Yield consecutive records of a stream that were accepted together, as they once came in a batch."""
    run: list[Row[Any]] = []
    for row in rows:
        if run:
            before = run[-1]
            together = (row.stream_id, row.accepted_at) == (before.stream_id, before.accepted_at)
            if not together or row.seq != before.seq + 1 or len(run) == MAX_LINES:
                yield run
                run = []
        run.append(row)
    if run:
        yield run


def _move(connection: Connection, run: list[Row[Any]]) -> None:
    """Store records as a run, held once more against the bytes that it replaces."""
    records = [
        AcceptedRecord(row.seq, row.event_id, row.kind, row.unit, row.occurred_at, row.data) for row in run
    ]
    first = run[0]
    store_run(connection, first.stream_id, records, first.accepted_at)
    stored = StoredRecords(connection, first.stream_id).between(first.seq, first.seq + len(run))
    if [data for _, data in stored] != [row.data for row in run]:
        raise StoreError(
            f"the records {first.seq} to {run[-1].seq} of stream {first.stream_id} are not records",
            hint="the older database is damaged: restore its newest sound backup",
        )
