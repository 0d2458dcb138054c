"""The records of a store's runs, one after the other and at any place."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewitness.base.clock import SystemClock
from linewitness.store.acceptance import AcceptedRecord
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enroll
from linewitness.store.database.errors import StoreError
from linewitness.store.database.stored_records import StoredRecords, store_run
from support.databases import databases, url_of
from support.fake_gateway import FakeGateway

#: How many records each run has, in the order in which they came.
RUNS = (1, 1, 4, 256, 3, *[2] * 40, 100)
SIZE = sum(RUNS)


def line(seq: int) -> bytes:
    return b'{"seq":%d}' % seq


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    databases.use(request.getfixturevalue("postgres") if request.param == "postgresql" else None)
    database = Database(url_of(tmp_path_factory.mktemp("store") / "store.db"))
    databases.use(None)
    database.create()
    for number in (1, 2):
        gateway = FakeGateway(origin=f"acme.example/line/{number}")
        enroll(
            database, clock=SystemClock(), tenant=gateway.tenant, gateway=gateway.gateway,
            log_vkey=str(gateway.log_vkey), record0_hash=gateway.record0_hash,
        )  # fmt: skip
    database.prepare("2026-11")
    with database.writing("acme") as connection:
        first = 0
        for number, count in enumerate(RUNS):
            records = [
                AcceptedRecord(seq, f"E{seq}", "kind", None, "2026-11-23", line(seq))
                for seq in range(first, first + count)
            ]
            store_run(connection, 2, records, f"2026-11-{number:02}")
            first += count
    yield database
    database.close()


@pytest.mark.heavy
@given(places=st.lists(st.integers(0, SIZE - 1), max_size=30))
def test_any_record_is_found_in_any_order(database: Database, places: list[int]) -> None:
    with database.reading("acme") as connection:
        records = StoredRecords(connection, 2)
        assert [records.at(seq).data for seq in places] == [line(seq) for seq in places]


@pytest.mark.heavy
@given(first=st.integers(0, SIZE + 5), count=st.integers(0, SIZE))
def test_records_come_in_order_up_to_the_end(database: Database, first: int, count: int) -> None:
    last = first + count
    with database.reading("acme") as connection:
        found = list(StoredRecords(connection, 2).between(first, last))
    assert found == [(seq, line(seq)) for seq in range(first, min(last, SIZE))]


def test_each_is_known_with_the_time_of_its_run(database: Database) -> None:
    with database.reading("acme") as connection:
        records = StoredRecords(connection, 2)
        assert [records.at(seq).accepted_at[8:] for seq in (0, 1, 2, 5, 6, SIZE - 1)] == [
            "00", "01", "02", "02", "03", f"{len(RUNS) - 1}",
        ]  # fmt: skip


def test_what_is_not_held_is_not_invented(database: Database) -> None:
    with database.reading("acme") as connection:
        assert list(StoredRecords(connection, 1).between(0, 9)) == []
        assert StoredRecords(connection, 2).run_with(SIZE) is None
        with pytest.raises(StoreError, match=f"record {SIZE} of acme.example/line/2 is missing"):
            StoredRecords(connection, 2).at(SIZE)
