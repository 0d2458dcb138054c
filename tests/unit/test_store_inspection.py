"""Damage anywhere in the store's database is found by the inspection, said as an alarm, and stops nothing."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
import structlog
from nacl.signing import SigningKey
from sqlalchemy import Connection, QueuePool, select, update

from linewitness.base import inspection as daily_inspection
from linewitness.base.clock import SystemClock
from linewitness.base.compression.records import pack_run, unpack_run
from linewitness.store import inspection
from linewitness.store.database import tables
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enroll
from linewitness.store.inspection import inspect, inspect_daily
from linewitness.store.keys import Cosigner
from linewitness.store.ledger import StoreLedger
from linewitness.store.work import StoreWork
from support.databases import databases, url_of
from support.fake_gateway import FakeGateway
from support.waiting import until

pytestmark = pytest.mark.heavy

COSIGNER = Cosigner("store.example", SigningKey(bytes(range(32))))
KEY = COSIGNER.vkey
SIZE = 600
PAGE = 4096
#: The first byte of such a page in SQLite's file format.
LEAF_OF_AN_INDEX = 0x0A


def filled(file: Path) -> Path:
    """Make a database with two streams, receipts within tiles and at their ends, units, and a conflict."""
    database = Database(url_of(file))
    database.create()
    ledger = StoreLedger(database=database, cosigner=COSIGNER, clock=SystemClock())
    for line in (1, 2):
        gateway = FakeGateway(origin=f"acme.example/ber-01/line-0{line}/1", gateway=f"ber-0{line}")
        while gateway.size < SIZE:
            gateway.append(unit=f"SN-{gateway.size}" if gateway.size % 3 else None)
        enroll(
            database, clock=SystemClock(), tenant=gateway.tenant, gateway=gateway.gateway,
            log_vkey=str(gateway.log_vkey), record0_hash=gateway.record0_hash,
        )  # fmt: skip
        ledger.process([(gateway.topics.records, gateway.batch(0, None))])
        for size in (100, 256, 300, 512, 590):
            ledger.process([(gateway.topics.checkpoint, gateway.checkpoint(size))])
        fork = FakeGateway(origin=gateway.origin, gateway=gateway.gateway)
        fork.append(unit="SN-other")
        ledger.process([(gateway.topics.records, b"\n".join(fork.records) + b"\n")])
    database.close()
    return file


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """One such database of each kind, made when it is asked for."""
    folder = tmp_path_factory.mktemp("store")
    return {kind: folder / f"{kind}.db" for kind in (False, True)}


@pytest.fixture
def file(both_databases: None, kept: dict[bool, Path], tmp_path: Path) -> Path:
    return copied(kept, tmp_path)


@pytest.fixture
def own_file(kept: dict[bool, Path], tmp_path: Path) -> Path:
    """A store in SQLite, whose pages are to be damaged."""
    return copied(kept, tmp_path)


def copied(kept: dict[bool, Path], folder: Path) -> Path:
    source, copy = kept[databases.is_server], folder / "store.db"
    if not source.with_suffix(".made").exists():
        filled(source)
        source.with_suffix(".made").touch()
    databases.copy(source, copy)
    return copy


async def inspected(file: Path) -> list[str]:
    database = Database(url_of(file))
    try:
        return await inspect(database, store_key=KEY)
    finally:
        database.close()


def change(file: Path, statement: str) -> None:
    assert databases.tamper(file, statement) > 0


def rewrite(file: Path, seq: int, change_to: Callable[[bytes], bytes]) -> None:
    """Change the bytes of a record of the first stream, in a run that is whole and sound in itself."""
    runs = tables.runs
    with databases.tampering(file) as connection:
        before = select(runs).where(runs.c.stream_id == 1, runs.c.first_seq <= seq)
        first, count, data = connection.execute(
            before.with_only_columns(runs.c.first_seq, runs.c["count"], runs.c.data)
            .order_by(runs.c.first_seq.desc())
            .limit(1)
        ).one()
        lines = unpack_run(data, count)
        lines[seq - first] = change_to(lines[seq - first])
        of_run = update(runs).where(runs.c.stream_id == 1, runs.c.first_seq == first)
        connection.execute(of_run.values(data=pack_run(lines)))


def garble_in_index(file: Path, column: str) -> None:
    """Change a letter of record 301's entry in an index, where SQLite looks for it and not where it lies."""
    with contextlib.closing(sqlite3.connect(file)) as connection:
        query = f"SELECT {column}, kind FROM entries WHERE stream_id = 1 AND seq = 301"  # noqa: S608 (our own names)
        entry, kind = (each.encode() for each in connection.execute(query).fetchone())
    data = bytearray(file.read_bytes())
    for page in range(0, len(data), PAGE):
        # The table itself, which has the kinds as well, is kept like an index.
        if data[page] == LEAF_OF_AN_INDEX and kind not in data[page : page + PAGE]:
            data[page : page + PAGE] = data[page : page + PAGE].replace(entry, entry[:-1] + b"~")
    file.write_bytes(data)


def overwrite_root_page(file: Path, name: str) -> None:
    connection = sqlite3.connect(file)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    connection.close()
    data = bytearray(file.read_bytes())
    data[PAGE * (page - 1) : PAGE * page] = b"\xa5" * PAGE
    file.write_bytes(data)


async def test_a_sound_store_is_found_sound(file: Path) -> None:
    assert await inspected(file) == []


async def test_the_fixture_holds_what_is_to_be_damaged(file: Path) -> None:
    with databases.tampering(file) as connection:
        counts = {
            table: connection.exec_driver_sql(f"SELECT COUNT(*) FROM {table}").scalar_one()  # noqa: S608 (our own names)
            for table in ("streams", "runs", "entries", "nodes", "receipts", "conflicts")
        }
    assert counts == {
        "streams": 2, "runs": 6, "entries": 2 * SIZE, "nodes": 4, "receipts": 10, "conflicts": 2,
    }  # fmt: skip


LINE = "acme.example/ber-01/line-01/1"
LATER = "occurred_at = replace(occurred_at, '2023-', '2024-')"


def renamed(record: bytes) -> bytes:
    return record.replace(b"SN-", b"SM-")


def a_year_later(record: bytes) -> bytes:
    return record.replace(b"2023-", b"2024-")


@pytest.mark.parametrize(
    ("change_to", "seq", "found"),
    [
        (renamed, 17, "the records 0 to 255 of LINE are not those that were written"),
        (renamed, 520, "record 520 of LINE is not found by what it says"),
        (a_year_later, 520, "record 520 of LINE is not the one that was written"),
        (a_year_later, 599, "record 599 of LINE is not the one that was written"),
        (lambda _: b"\x00", 595, "record 595 of LINE is not the one that was written"),
    ],
)
async def test_a_record_that_changed_is_found_and_named(
    file: Path, change_to: Callable[[bytes], bytes], seq: int, found: str
) -> None:
    rewrite(file, seq, change_to)
    if change_to is a_year_later:
        change(file, f"UPDATE entries SET {LATER} WHERE stream_id = 1 AND seq = {seq}")  # noqa: S608 (our own words)
    damage = await inspected(file)
    assert found.replace("LINE", LINE) in damage[0]


CUT = "data = CAST(substr(data, 1, length(data) - 1) AS BLOB)"
OTHER_SIZE = "note = replace(note, char(10) || '300' || char(10), char(10) || '301' || char(10))"
OTHER_SIGNATURE = "note = substr(note, 1, length(note) - 9) || 'AAAA' || substr(note, -5)"


@pytest.mark.parametrize(
    ("table", "change_to", "where", "found"),
    [
        ("entries", "unit = NULL", "seq = 31", "record 31 of LINE is not found by what it says"),
        ("entries", "kind = 'batch.started'", "seq = 31", "record 31 of LINE is not found by what it says"),
        ("entries", "seq = 6000", "seq = 300", "of the records 256 to 511 of LINE, 255 are found"),
        ("entries", "seq = 6000", "seq = 599", "reach 600, what they are found by 6001"),
        ("runs", "first_seq = 6000", "first_seq = 256", "of the records 256 to 511 of LINE, 0 are there"),
        ("runs", "first_seq = 6000", "first_seq = 512", "LINE is damaged: its newest records reach 6088"),
        ("runs", "data = zeroblob(99)", "first_seq = 256", "the records 256 to 511 of LINE are damaged"),
        ("runs", "count = 255", "first_seq = 256", "the records 256 to 510 of LINE are damaged"),
        ("runs", CUT, "first_seq = 256", "the records 256 to 511 of LINE are damaged"),
        ("nodes", "hash = zeroblob(32)", "idx = 1", "the records 256 to 511 of LINE are not those"),
        ("nodes", "idx = 9", "idx = 1", "nodes of level 8 are missing"),
        ("receipts", "root = zeroblob(32)", "size = 300", "the receipt of LINE at size 300 is not the one"),
        ("receipts", OTHER_SIZE, "size = 300", "the receipt of LINE at size 300 is damaged"),
        ("receipts", OTHER_SIGNATURE, "size = 512", "the receipt of LINE at size 512 is damaged"),
        ("conflicts", "data = x'00'", "id = 1", "conflict 1 is not the one that was written"),
    ],
)
async def test_what_changed_is_found_and_named(
    file: Path, table: str, change_to: str, where: str, found: str
) -> None:
    change(file, f"UPDATE {table} SET {change_to} WHERE stream_id = 1 AND {where}")  # noqa: S608 (our own words)
    found = found.replace("LINE", LINE)
    assert any(found in each for each in (await inspected(file))[:2])


async def test_a_wrong_node_is_not_said_again_by_every_receipt(file: Path) -> None:
    change(file, "UPDATE nodes SET hash = zeroblob(32) WHERE stream_id = 1 AND idx = 0")
    damage = await inspected(file)
    assert len(damage) == 2  # the records under it, and once what was receipted over it


@pytest.mark.parametrize(
    ("column", "found"),
    [("unit", "/1 is not found by its unit"), ("event_id", "/1 is not found by its event_id")],
)
async def test_a_record_that_an_index_has_lost_is_named(own_file: Path, column: str, found: str) -> None:
    garble_in_index(own_file, column)
    damage = await inspected(own_file)
    assert damage[0].startswith("record 301 of acme.example/ber-01/line-0")
    assert damage[0].endswith(found)


@pytest.mark.parametrize(
    "name", ["runs", "entries", "entries_by_unit", "receipts", "nodes", "event_keys", "refusals", "conflicts"]
)
async def test_damaged_pages_are_found(own_file: Path, name: str) -> None:
    overwrite_root_page(own_file, name)
    assert any("malformed" in each for each in await inspected(own_file))


async def test_damage_is_an_alarm_while_judging_goes_on(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daily_inspection, "FIRST_S", 0.0)
    monkeypatch.setattr(daily_inspection, "EVERY_S", 0.01)
    change(file, "UPDATE conflicts SET data = x'00' WHERE id = 1")
    work = StoreWork(connected=True)
    database = Database(url_of(file))
    with structlog.testing.capture_logs() as said:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(inspect_daily(database, store_key=KEY, tell=work.damaged))
            await until(lambda: len(said) >= 2)
            task.cancel()
    database.close()
    assert "conflict 1 is not the one that was written" in work.sentence
    assert {(entry["event"], entry["log_level"]) for entry in said} == {
        ("damage found in the store", "error")
    }


async def test_damage_that_was_mended_is_no_longer_said() -> None:
    work = StoreWork(connected=True)
    work.damaged("a page")
    work.damaged("")
    assert work.sentence == "broker connected, 0 messages judged"


async def test_a_store_that_stops_interrupts_a_query_that_starts_after_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, stopped, ended = threading.Event(), threading.Event(), threading.Event()

    def late(connection: Connection) -> None:
        begun.set()
        assert stopped.wait(10)
        try:
            connection.exec_driver_sql(
                "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT COUNT(*) FROM n"
            ).scalar_one()
        finally:
            ended.set()

    monkeypatch.setattr(inspection, "_read_through", late)
    database = Database(url_of(file))
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        task = group.create_task(inspect(database, store_key=KEY))
        await until(begun.is_set)
        task.cancel()
    # The loop was not held up by the thread, which waits still.
    assert not ended.is_set()
    stopped.set()
    await until(ended.is_set)
    await until(lambda: not cast("QueuePool", database.backend.engine.pool).checkedout())
    database.close()
