"""A store's database of schema 1, where each record was a row, is taken over; no kill loses any."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from linewitness.base.clock import SystemClock
from linewitness.store import reports
from linewitness.store.database import upgrade as upgrading
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enroll
from linewitness.store.database.errors import StoreError
from linewitness.store.database.upgrade import upgrade, upgraded
from linewitness.store.ended.reports import read_handovers
from linewitness.store.inspection import inspect
from linewitness.store.keys import Cosigner
from linewitness.store.ledger import StoreLedger
from linewitness.store.readiness import StoreReadiness
from linewitness.store.work import StoreWork
from support.fake_gateway import FakeGateway

pytestmark = pytest.mark.heavy

COSIGNER = Cosigner("store.example", SigningKey(bytes(range(32))))
SIZE = 600
TABLES_OF_SCHEMA_1 = """
    CREATE TABLE records (
        stream_id INTEGER NOT NULL, seq INTEGER NOT NULL, event_id TEXT NOT NULL, kind TEXT NOT NULL,
        unit TEXT, occurred_at TEXT NOT NULL, accepted_at TEXT NOT NULL, data BLOB NOT NULL,
        PRIMARY KEY (stream_id, seq), UNIQUE (stream_id, event_id),
        FOREIGN KEY(stream_id) REFERENCES streams (id)
    ) STRICT;
    CREATE INDEX records_by_unit ON records (unit) WHERE unit IS NOT NULL;
    CREATE TRIGGER records_no_update BEFORE UPDATE ON records
    BEGIN SELECT RAISE(ABORT, 'records are evidence: they are never changed'); END;
    CREATE TRIGGER records_no_delete BEFORE DELETE ON records
    BEGIN SELECT RAISE(ABORT, 'records are evidence: they are never changed'); END;
    DROP TABLE runs; DROP TABLE entries; UPDATE store SET schema = 1;
"""
HEADS_OF_SCHEMA_2 = """
    PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = ON;
    DROP TABLE handover_ends; DROP TABLE handovers; DROP TABLE tenants; DROP INDEX streams_by_gateway;
    CREATE TABLE handovers (
        id INTEGER NOT NULL PRIMARY KEY, stream_id INTEGER NOT NULL, fork INTEGER NOT NULL,
        first INTEGER NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, "end" TEXT NOT NULL,
        begun_at TEXT NOT NULL, held_at TEXT, note TEXT,
        UNIQUE (stream_id, size, root), FOREIGN KEY(stream_id) REFERENCES streams (id)
    ) STRICT;
    CREATE TRIGGER handovers_stay BEFORE UPDATE ON handovers WHEN OLD.held_at IS NOT NULL
    BEGIN SELECT RAISE(ABORT, 'handovers are evidence: they are never changed'); END;
    ALTER TABLE streams RENAME TO new_streams;
    CREATE TABLE streams (
        id INTEGER NOT NULL PRIMARY KEY, origin TEXT NOT NULL, tenant TEXT NOT NULL, gateway TEXT NOT NULL,
        log_vkey TEXT NOT NULL, record0_hash TEXT NOT NULL, enrolled_at TEXT NOT NULL, size INTEGER NOT NULL,
        last_hash TEXT NOT NULL, event_key TEXT, UNIQUE (origin)
    ) STRICT;
    CREATE INDEX streams_by_gateway ON streams (tenant, gateway);
    INSERT INTO streams SELECT new_streams.*, 600, 'sha256:of the last', 'the event key' FROM new_streams;
    DROP TABLE new_streams;
    UPDATE store SET schema = 2;
"""


def records_of(database: Database) -> list[reports.StoredRecord]:
    return list(reports.read_records(database))


@pytest.fixture
def gateways() -> list[FakeGateway]:
    made = [FakeGateway(origin=f"acme.example/ber-01/line-0{n}/1", gateway=f"ber-0{n}") for n in (1, 2)]
    for gateway in made:
        while gateway.size < SIZE:
            gateway.append(unit=f"SN-{gateway.size}" if gateway.size % 3 else None)
    return made


@pytest.fixture
def file(gateways: list[FakeGateway], tmp_path: Path) -> Path:
    """A database of schema 1 with two streams; the second came in two batches, one of a single record."""
    file = tmp_path / "store.db"
    database = Database(f"sqlite:///{file}")
    database.create()
    ledger = StoreLedger(database=database, cosigner=COSIGNER, clock=SystemClock())
    for gateway, parts in zip(gateways, ([SIZE], [1, SIZE]), strict=True):
        enroll(
            database, clock=SystemClock(), tenant=gateway.tenant, gateway=gateway.gateway,
            log_vkey=str(gateway.log_vkey), record0_hash=gateway.record0_hash,
        )  # fmt: skip
        for first, last in zip([0, *parts], parts, strict=False):
            ledger.process([(gateway.topics.records, gateway.batch(first, last))])
        ledger.process([(gateway.topics.checkpoint, gateway.checkpoint(SIZE - 10))])
    held = records_of(database)
    database.close()
    with closing(sqlite3.connect(file)) as connection:
        ids = dict(connection.execute("SELECT seq, event_id FROM entries WHERE stream_id = 1").fetchall())
        ids |= {SIZE + n: each for n, each in enumerate(ids_of_second(connection))}
        connection.executescript(HEADS_OF_SCHEMA_2)
        connection.executescript(TABLES_OF_SCHEMA_1)
        connection.executemany(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    1 + n // SIZE,
                    each.seq,
                    ids[n],
                    each.kind,
                    each.unit,
                    each.occurred_at,
                    each.accepted_at,
                    each.data,
                )
                for n, each in enumerate(held)
            ],
        )
        connection.commit()
    return file


def ids_of_second(connection: sqlite3.Connection) -> list[str]:
    query = "SELECT event_id FROM entries WHERE stream_id = 2 ORDER BY seq"
    return [event_id for (event_id,) in connection.execute(query)]


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{file}")
    yield database
    database.close()


async def sound(database: Database, gateways: list[FakeGateway]) -> None:
    """Assert that all is held as it was written, and nothing of the old table is left."""
    assert [each.data for each in records_of(database)] == [
        data for each in gateways for data in each.records
    ]
    assert await inspect(database, store_key=COSIGNER.vkey) == []
    assert not database.has_table("records")
    assert not database.has_table("records_of_schema_1")


async def test_all_is_held_as_before(database: Database, gateways: list[FakeGateway], file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        before = connection.execute(
            "SELECT seq, kind, unit, occurred_at, accepted_at FROM records"
        ).fetchall()
    upgrade(database)
    database.check()
    await sound(database, gateways)
    held = [
        (each.seq, each.kind, each.unit, each.occurred_at, each.accepted_at) for each in records_of(database)
    ]
    assert sorted(held) == sorted(before)
    with closing(sqlite3.connect(file)) as connection:
        runs = connection.execute("SELECT stream_id, first_seq, count FROM runs ORDER BY 1, 2").fetchall()
    assert runs == [
        (1, 0, 256),
        (1, 256, 256),
        (1, 512, 88),
        (2, 0, 1),
        (2, 1, 256),
        (2, 257, 256),
        (2, 513, 87),
    ]


async def test_the_stream_goes_on(database: Database, gateways: list[FakeGateway]) -> None:
    upgrade(database)
    ledger = StoreLedger(database=database, cosigner=COSIGNER, clock=SystemClock())
    for gateway in gateways:
        gateway.grow(3)
        ledger.process([(gateway.topics.records, gateway.batch(SIZE - 5, None))])
        answers = ledger.process([(gateway.topics.checkpoint, gateway.checkpoint())])
        assert answers[0].payload.startswith(f"{gateway.origin}\n{SIZE + 3}\n".encode())
    await sound(database, gateways)


@pytest.mark.parametrize("steps", [1, 2, 4, 5])
async def test_what_is_cut_short_goes_on(
    database: Database, gateways: list[FakeGateway], monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    monkeypatch.setattr(upgrading, "STEP", 250)
    cut = upgraded(database)
    for _ in range(steps):
        next(cut)
    del cut
    upgrade(database)
    await sound(database, gateways)


def test_a_step_moves_or_leaves(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is killed within a step finds the records where they were."""
    monkeypatch.setattr(upgrading, "STEP", 250)
    steps = upgraded(database)
    next(steps), next(steps)
    monkeypatch.setattr(upgrading, "delete", None)
    with pytest.raises(TypeError):
        next(steps)
    with database.reading() as connection:
        left = connection.exec_driver_sql(
            "SELECT count(*), min(seq) FROM records_of_schema_1 WHERE stream_id = 1"
        )
        moved = connection.exec_driver_sql("SELECT count(*), max(seq) FROM entries WHERE stream_id = 1")
        assert (left.one(), moved.one()) == ((350, 250), (250, 249))


async def test_two_programs_do_it_together(
    database: Database, gateways: list[FakeGateway], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrading, "STEP", 100)
    other = Database(f"sqlite:///{file}")
    async with asyncio.TaskGroup() as group:
        for each in (database, other):
            group.create_task(asyncio.to_thread(upgrade, each))
    other.close()
    await sound(database, gateways)


async def test_a_program_of_the_old_version_that_still_runs_stores_nothing(
    database: Database, file: Path
) -> None:
    with closing(sqlite3.connect(file)) as old:
        next(upgraded(database))
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            old.execute("INSERT INTO records SELECT * FROM records")


async def test_a_damaged_record_stops_it_with_what_to_do(database: Database, file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DROP TRIGGER records_no_update")
        connection.execute("UPDATE records SET data = x'7b0a7d' WHERE stream_id = 2 AND seq = 300")
        connection.commit()
    with pytest.raises(StoreError, match="records 257 to 512 of acme") as failed:
        upgrade(database)
    assert "backup" in str(failed.value.hint)


async def test_the_running_store_does_it_and_says_how_far_it_is(
    database: Database, gateways: list[FakeGateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrading, "STEP", 100)
    work, said = StoreWork(), set[str]()
    room = StoreReadiness(database, work)

    async def watch() -> None:
        while not work.opened.is_set():
            said.add(work.sentence)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(room.checked())
        group.create_task(watch())
    assert any(f"older database: {left} records to move" in each for left in (1200, 1100) for each in said)
    assert "older database" not in work.sentence
    await sound(database, gateways)


def test_a_new_database_is_left_alone(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/new.db")
    assert list(upgraded(database)) == []
    database.create()
    assert list(upgraded(database)) == []
    database.close()


async def test_records_that_a_damaged_index_hides_are_not_dropped(
    database: Database, gateways: list[FakeGateway], file: Path
) -> None:
    """The index of another table, with 7 records, is put in the place of the one over all."""
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(
            "CREATE TABLE few (a, b); CREATE INDEX of_few ON few (a, b); PRAGMA writable_schema = ON;"
        )
        connection.executemany(
            "INSERT INTO few (rowid, a, b) VALUES (?, 1, ?)", [(n + 1, n) for n in range(7)]
        )
        place = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        names = ("sqlite_autoindex_records_1", "of_few")
        (whole,), (few,) = (connection.execute(place, (name,)).fetchone() for name in names)
        for name, page in zip(names, (few, whole), strict=True):
            connection.execute("UPDATE sqlite_master SET rootpage = ? WHERE name = ?", (page, name))
        connection.commit()
    with pytest.raises(StoreError, match="not found by its damaged index") as failed:
        upgrade(database)
    assert "REINDEX records_of_schema_1" in str(failed.value.hint)
    database.close()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("REINDEX records_of_schema_1")
        connection.execute("DROP TABLE few")
        connection.commit()
    upgrade(database)
    held = [data for each in gateways for data in each.records]
    assert [each.data for each in records_of(database)] == held


def test_a_store_that_is_upgraded_for_long_is_not_taken_for_stuck() -> None:
    work = StoreWork()
    connect = next(loop for loop in work.loops() if loop.name == "connect")
    assert connect.progress() is None
    work.opened.set()
    assert connect.progress() is not None


async def test_heads_that_were_written_over_and_handovers_are_taken_over(tmp_path: Path) -> None:
    """A database of schema 2 with a handover that is complete and one that was cut short."""
    file, gateway = tmp_path / "store.db", FakeGateway()
    gateway.grow(SIZE)
    database = Database(f"sqlite:///{file}")
    database.create()
    ledger = StoreLedger(database=database, cosigner=COSIGNER, clock=SystemClock())
    enroll(
        database, clock=SystemClock(), tenant=gateway.tenant, gateway=gateway.gateway,
        log_vkey=str(gateway.log_vkey), record0_hash=gateway.record0_hash,
    )  # fmt: skip
    ledger.process([(gateway.topics.records, gateway.batch(0, SIZE - 50))])
    database.close()
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(HEADS_OF_SCHEMA_2)
        connection.execute(
            "INSERT INTO handovers VALUES (7, 1, 0, 5, 9, x'01', 'end', 'begun', 'held', 'note')"
        )
        connection.execute("INSERT INTO handovers VALUES (8, 1, 1, 5, 8, x'02', 'end', 'begun', NULL, NULL)")
        connection.commit()

    assert upgrade(database)
    assert not upgrade(database)

    database.check()
    (stream,) = reports.read_streams(database)
    assert (stream.tenant, stream.size) == (gateway.tenant, SIZE - 50)
    (handover,) = read_handovers(database)
    assert (handover.number, handover.held_at, handover.note) == (7, "held", "note")
    with database.writing() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        assert connection.exec_driver_sql("SELECT id FROM handovers ORDER BY id").scalars().all() == [7, 8]
    for table in ("streams", "handovers", "handover_ends"):
        with pytest.raises(StoreError, match="never changed"), database.writing() as connection:
            connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608 (our own names)
    again = StoreLedger(database=database, cosigner=COSIGNER, clock=SystemClock())
    again.process([(gateway.topics.records, gateway.batch(SIZE - 50))])
    assert [each.data for each in records_of(database)] == gateway.records
    database.close()
