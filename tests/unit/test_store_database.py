import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from linewitness.base.clock import SystemClock
from linewitness.base.errors import ConfigurationError
from linewitness.store import reports
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import Enrolment, enroll
from linewitness.store.database.errors import StoreError
from linewitness.store.database.tenants import tenants_of
from linewitness.store.keys import create_key
from linewitness.store.ledger import StoreLedger
from support.databases import databases, url_of
from support.fake_gateway import FakeGateway


@pytest.fixture
def database(both_databases: None, tmp_path: Path) -> Iterator[Database]:
    database = Database(url_of(tmp_path / "store.db"))
    database.create()
    yield database
    database.close()


def enrolled(database: Database, writer: FakeGateway, **changes: str) -> Enrolment:
    settings = {
        "tenant": writer.tenant,
        "gateway": writer.gateway,
        "log_vkey": str(writer.log_vkey),
        "record0_hash": writer.record0_hash,
    }
    return enroll(database, clock=SystemClock(), **(settings | changes))


def test_enrolment_is_repeatable_but_not_changeable(database: Database) -> None:
    gateway = FakeGateway()
    first = enrolled(database, gateway)
    assert enrolled(database, gateway) == first
    assert first.origin == gateway.origin
    other = FakeGateway(seed="two")
    for change in (
        {"gateway": "other"},
        {"log_vkey": str(other.log_vkey)},
        {"record0_hash": other.record0_hash},
    ):
        with pytest.raises(ConfigurationError, match="enrolled already"):
            enrolled(database, gateway, **change)


def test_names_of_streams_are_a_tenants_own(database: Database) -> None:
    gateway = FakeGateway()
    ours, theirs = enrolled(database, gateway), enrolled(database, gateway, tenant="other")
    assert ours.origin == theirs.origin
    assert ours.stream_id != theirs.stream_id
    assert tenants_of(database) == ["acme", "other"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"log_vkey": "nonsense"},
        {"record0_hash": "sha256:12"},
        {"record0_hash": "0" * 64},
        {"tenant": "a/b"},
        {"gateway": "+"},
    ],
)
def test_wrong_enrolment_is_refused(database: Database, wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        enrolled(database, FakeGateway(), **wrong)
    assert reports.read_streams(database) == []


def test_cosignature_key_is_no_log_key(database: Database, tmp_path: Path) -> None:
    vkey = create_key("acme.example/ber-01/line-02/1", tmp_path / "key").vkey
    with pytest.raises(ConfigurationError, match="cosignature"):
        enrolled(database, FakeGateway(), log_vkey=str(vkey))


def test_database_is_durable_before_it_is_fast(database: Database, tmp_path: Path) -> None:
    with database.reading() as connection:
        if databases.is_server:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"
            assert connection.exec_driver_sql("SHOW fsync").scalar_one() == "on"
        else:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2  # FULL


@pytest.mark.parametrize("table", ["runs", "entries", "receipts", "conflicts", "event_keys", "nodes"])
def test_evidence_is_never_changed_or_deleted(database: Database, tmp_path: Path, table: str) -> None:
    gateway = FakeGateway()
    gateway.grow(300)
    enrolled(database, gateway)
    cosigner = create_key("store.example", tmp_path / "key")
    ledger = StoreLedger(database=database, cosigner=cosigner, clock=SystemClock())
    other = gateway.fork(5)
    other.append()
    topics = gateway.topics
    ledger.process(
        [
            (topics.records, gateway.batch()),
            (topics.checkpoint, gateway.checkpoint()),
            (topics.records, other.batch(5)),
        ]
    )
    with database.reading(gateway.tenant) as connection:
        assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() > 0  # noqa: S608 (a list above)
    refused = "permission denied" if databases.is_server else "never changed"
    for deed in (f"DELETE FROM {table}", f"UPDATE {table} SET stream_id = 2"):  # noqa: S608 (as above)
        with pytest.raises(StoreError, match=refused), database.writing(gateway.tenant) as connection:
            connection.exec_driver_sql(deed)


def test_creating_again_changes_nothing(database: Database) -> None:
    enrolled(database, FakeGateway())
    database.create()
    assert len(reports.read_streams(database)) == 1


def test_foreign_database_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE something (x)")
    connection.close()
    database = Database(f"sqlite:///{tmp_path}/other.db")
    with pytest.raises(StoreError, match="no audit store"):
        database.check()
    database.close()


def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("hello " * 1000)
    database = Database(f"sqlite:///{tmp_path}/text.db")
    with pytest.raises(StoreError, match="not a database"):
        database.check()
    database.close()


def test_database_of_a_newer_version_is_refused(database: Database, tmp_path: Path) -> None:
    databases.tamper(tmp_path / "store.db", "UPDATE store SET schema = 99")
    with pytest.raises(StoreError, match="schema 99"):
        database.check()
    with pytest.raises(StoreError, match="schema 99"):
        database.create()


def test_second_store_on_the_same_database_is_stopped(database: Database, tmp_path: Path) -> None:
    gateway = FakeGateway()
    gateway.grow(5)
    enrolled(database, gateway)
    cosigner = create_key("store.example", tmp_path / "key")
    one, two = (StoreLedger(database=database, cosigner=cosigner, clock=SystemClock()) for _ in range(2))
    two.process([(gateway.topics.records, gateway.batch(0, 2))])
    one.process([(gateway.topics.records, gateway.batch(0, 4))])
    with pytest.raises(StoreError, match="only one store"):
        two.process([(gateway.topics.records, gateway.batch(2, 6))])
    assert [record.data for record in reports.read_records(database)] == gateway.records[:4]


def test_what_another_store_has_taken_is_no_conflict_of_the_gateway(
    database: Database, tmp_path: Path
) -> None:
    gateway = FakeGateway()
    gateway.grow(5)
    enrolled(database, gateway)
    cosigner = create_key("store.example", tmp_path / "key")
    one, two = (StoreLedger(database=database, cosigner=cosigner, clock=SystemClock()) for _ in range(2))
    for ledger in (one, two):
        ledger.process([(gateway.topics.checkpoint, gateway.checkpoint())])  # both know it, at size 0
    one.process([(gateway.topics.records, gateway.batch())])
    with pytest.raises(StoreError, match="only one store"):
        two.process([(gateway.topics.records, gateway.batch())])
    assert reports.read_conflicts(database) == []


def test_unknown_stream_is_told_with_what_to_do(database: Database) -> None:
    with pytest.raises(ConfigurationError, match="not enrolled"):
        list(reports.read_records(database, origin="nobody.example/1"))
