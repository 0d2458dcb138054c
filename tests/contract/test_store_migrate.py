"""`linewitness store migrate`: a store in a file moves into PostgreSQL, whole, however often it is killed."""

# ruff: noqa: S608  # statements about tables of our own

import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.compression.records import pack_run, unpack_run
from linewitness.store.database import tables
from linewitness.store.database.database import Database
from linewitness.store.database.tenants import tenants_of
from linewitness.store.migration import migrate as whole
from linewitness.store.reports import read_streams
from support.clocks import ManualClock
from support.lines import call
from support.older_store import OlderStore, reports_of
from support.postgres import Cluster

pytestmark = pytest.mark.heavy

#: A program that has the database open, and does nothing.
HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("PRAGMA journal_mode=WAL")
connection.execute("SELECT * FROM store").fetchall()
print("open", flush=True)
sys.stdin.read()
"""
#: The command with small transactions, of which it tells when one begins and when one was committed.
SMALL = """
import os, sys
from contextlib import contextmanager
from linewitness.cli import app
from linewitness.store.database.database import Database
from linewitness.store.migration import handovers, streams

streams.STEP, handovers.STEP = 8, 1
writing = Database.writing

@contextmanager
def told(database, tenant=None):
    os.write(1, b".")
    with writing(database, tenant) as connection:
        yield connection
    os.write(1, b".")

Database.writing = told
app(sys.argv[1:])
"""
SIZE = 900
TABLES = [table.name for table in whole.MIGRATED]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> OlderStore:
    return OlderStore(tmp_path_factory.mktemp("first"), ManualClock(), size=SIZE)


@pytest.fixture
def older(first: OlderStore, tmp_path: Path) -> OlderStore:
    return first.copied_to(tmp_path / "store")


@pytest.fixture
def new(older: OlderStore, postgres: Cluster) -> Path:
    """The YAML of the store that takes over."""
    return older.taken_over_by(postgres.new_store().render_as_string())


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()


def url_in(file: Path) -> str:
    return file.read_text().partition("database: ")[2].partition("\n")[0]


def move(older: OlderStore, new: Path) -> Any:
    return call("store", "migrate", "--from", older.file, "--to", new)


def refusal(outcome: Any) -> str:
    assert outcome.exit_code != 0, outcome.output
    return f"{outcome.exception} {outcome.output}"


@contextmanager
def damaged(older: OlderStore, *statements: str) -> Iterator[None]:
    """Change the older store as its owner could."""
    with closing(sqlite3.connect(older.file)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    yield


def require_equal(older: OlderStore, new: Path) -> None:
    with opened(f"sqlite:///{older.file}") as left, opened(url_in(new)) as right:
        before, after = reports_of(left), reports_of(right)
        for what, said in before.items():
            assert after[what] == said, what
        assert tenants_of(left) == tenants_of(right)
    for file in (older.yaml, new):
        checked = call("store", "check", file)
        assert checked.exit_code == 0, checked.output


def test_every_table_of_a_store_is_taken_over() -> None:
    """A table that comes later has to be named, or its rows would be left behind without a word."""
    assert {*TABLES, "store"} == set(tables.metadata.tables)


def test_a_store_is_taken_over_with_everything(older: OlderStore, new: Path, postgres: Cluster) -> None:
    with closing(sqlite3.connect(older.file)) as connection:
        counts = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in TABLES}
    assert all(counts.values()), counts
    outcome = move(older, new)
    assert outcome.exit_code == 0, (outcome.output, outcome.exception)
    with postgres.admin(url_in(new).partition("@/")[2].partition("?")[0]) as connection:
        for name, count in counts.items():
            schema = "evidence" if tables.metadata.tables[name] in tables.EVIDENCE else "views"
            found = connection.execute(f"SELECT count(*) FROM {schema}.{name}".encode()).fetchone()
            assert found == (count,), name
        months = connection.execute("SELECT DISTINCT month FROM evidence.runs ORDER BY month").fetchall()
        assert len(months) >= 3
    require_equal(older, new)
    for gateway in older.gateways:
        assert f"{gateway.size} records of {gateway.origin} of {gateway.tenant} (" in outcome.stderr
    again = move(older, new)
    assert again.exit_code == 0, again.output
    require_equal(older, new)


def test_a_gateway_goes_on_at_the_new_store(older: OlderStore, new: Path) -> None:
    assert move(older, new).exit_code == 0
    gateway = older.ahead["acme"]
    with opened(url_in(new)) as database:
        answers = older.ledger(database).process(
            [
                (gateway.topics.records, gateway.batch(older.gateways[0].size)),
                (gateway.topics.checkpoint, gateway.checkpoint()),
            ]
        )
        assert f"\n{gateway.size}\n" in answers[-1].payload.decode()
    outcome = move(older, new)  # the older one has nothing that is not there
    assert outcome.exit_code == 0, outcome.output


def test_records_that_the_gateway_sent_to_both_stores_are_taken_once(older: OlderStore, new: Path) -> None:
    gateway = older.gateways[0]
    with opened(url_in(new)) as database:
        older.enroll(database, gateway)
        older.ledger(database).process([(gateway.topics.records, gateway.batch(0, 130))])
    outcome = move(older, new)
    assert outcome.exit_code == 0, (outcome.output, outcome.exception)
    assert call("store", "check", new).exit_code == 0
    with opened(f"sqlite:///{older.file}") as left, opened(url_in(new)) as right:
        said = [
            sorted((each.origin, each.seq, each.data) for each in reports_of(database)["of acme"][0])
            for database in (left, right)
        ]
        assert said[0] == said[1]


def test_a_target_with_other_records_of_the_stream_is_refused(older: OlderStore, new: Path) -> None:
    other = older.gateways[1].fork(500)
    other.grow(100, unit="SN-ELSEWHERE")
    with opened(url_in(new)) as database:
        older.enroll(database, other)
        older.ledger(database).process([(other.topics.records, other.batch())])
        before = reports_of(database)
        assert "record 500 is not the same in both" in refusal(move(older, new))
        assert reports_of(database) == before


def test_a_target_where_the_stream_is_another_gateways_is_refused(older: OlderStore, new: Path) -> None:
    gateway = older.gateways[1]
    with opened(url_in(new)) as database:
        gateway.gateway = "ber-99"
        older.enroll(database, gateway)
    assert "is enrolled in both stores, and not the same" in refusal(move(older, new))


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE entries SET unit = 'SN-FORGED' WHERE seq = 333", "not all found by what they say"),
        ("UPDATE nodes SET hash = zeroblob(32) WHERE idx = 1", "the tree over the records"),
        ("UPDATE event_keys SET vkey = 'forged' WHERE first_seq > 400", "the keys from record"),
        ("UPDATE receipts SET root = zeroblob(32) WHERE size > 500", "not those that were receipted"),
        ("UPDATE runs SET data = zeroblob(50) WHERE first_seq > 300", "cannot be unpacked"),
        ("DELETE FROM runs WHERE first_seq BETWEEN 300 AND 500", "is not there"),
        ("UPDATE conflicts SET data = zeroblob(9)", "is not the one that was written"),
        ("UPDATE handover_records SET unit = 'SN-FORGED'", "is not found by what it says"),
        ("UPDATE handover_ends SET note = 'forged'", "the statement is not one of"),
    ],
)
def test_what_is_damaged_or_forged_is_not_taken_over(
    older: OlderStore, new: Path, statement: str, said: str
) -> None:
    with damaged(older, statement):
        assert said in refusal(move(older, new))


def test_records_that_were_altered_with_everything_around_them_are_not_taken_over(
    older: OlderStore, new: Path
) -> None:
    """The owner of the file makes a consistent history; he has not the gateway's key."""
    with closing(sqlite3.connect(older.file)) as connection:
        first, count, data = connection.execute(
            "SELECT first_seq, count, data FROM runs WHERE first_seq > 300 AND stream_id > 2 LIMIT 1"
        ).fetchone()
    lines = [line.replace(b"12.30", b"12.31") for line in unpack_run(data, count)]
    with damaged(older, f"UPDATE runs SET data = x'{pack_run(lines).hex()}' WHERE first_seq = {first}"):
        assert f"record {first}: its content hashes to" in refusal(move(older, new))


def test_another_stores_key_is_refused(older: OlderStore, new: Path) -> None:
    (older.folder / "store.key").rename(older.folder / "kept.key")
    assert call("store", "init", new).exit_code == 0
    assert "the new store needs the name and the key of the older one" in refusal(move(older, new))


def test_a_store_that_runs_is_told_from_one_that_does_not(older: OlderStore, new: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLDER,
            older.file,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        assert f"process {holder.pid} has {older.file} open" in refusal(move(older, new))
    finally:
        holder.communicate(b"")
    assert move(older, new).exit_code == 0


@pytest.mark.slow
def test_it_is_killed_at_any_moment_and_goes_on(older: OlderStore, new: Path) -> None:
    """Small transactions make many moments; the last attempt finishes what all before have begun."""
    chance = random.Random(16)
    command = [sys.executable, "-c", SMALL, "store", "migrate", "--from", str(older.file), "--to", str(new)]
    sizes: list[int] = []
    finished = False
    while not finished:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            said = process.stdout.read(chance.randrange(10, 32))
            finished = said.strip(b".") != b""  # the words at the end
            time.sleep(chance.uniform(0, 0.01))
            if not finished:
                process.kill()
        with opened(url_in(new)) as database:
            sizes.append(sum(stream.size for stream in read_streams(database)))
    assert process.returncode == 0
    assert len(sizes) > 3, sizes
    assert len(set(sizes)) > 1, sizes
    require_equal(older, new)
