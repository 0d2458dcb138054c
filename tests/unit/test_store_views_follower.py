"""The follower in the store's process: it keeps up, and nothing that befalls it stops the store."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from linewitness.store.database import view_tables as views
from linewitness.store.database.errors import StoreAway
from linewitness.store.views.filler import ViewFiller
from linewitness.store.views.follower import follow_views
from linewitness.store.views.rows import rows_of
from linewitness.store.views.viewed import ViewedRecord, ViewRow
from support.questions import Plant
from support.waiting import until


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    plant = Plant(tmp_path)
    yield plant
    plant.database.close()


@asynccontextmanager
async def following(plant: Plant) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(follow_views(plant.database, look_s=0.01))
        try:
            yield
        finally:
            task.cancel()


def filled(plant: Plant) -> dict[int, int]:
    positions = views.view_positions
    with plant.database.reading("acme") as connection:
        rows = connection.execute(select(positions.c.stream_id, positions.c.next))
        return {row.stream_id: row.next for row in rows}


async def test_it_keeps_up_with_the_ledger(plant: Plant) -> None:
    async with following(plant):
        for _ in range(3):
            for number in range(100):
                plant.one.tighten(f"SN-{number}")
            plant.store.send(plant.gateways[0])
            await until(lambda: filled(plant).get(1) == plant.gateways[0].size)
    assert plant.gateways[0].size == 301


async def test_a_damaged_stream_is_left_out_and_told_once(plant: Plant, tmp_path: Path) -> None:
    plant.two.tighten("SN-1")
    for gateway in plant.gateways:
        plant.store.send(gateway)
    with contextlib.closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        (kept,) = connection.execute("SELECT data FROM runs WHERE stream_id = 1").fetchone()
        (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'runs_no_update'").fetchone()
        connection.execute("DROP TRIGGER runs_no_update")
        connection.execute("UPDATE runs SET data = zeroblob(9) WHERE stream_id = 1")
        connection.commit()
        with capture_logs() as logs:
            async with following(plant):
                await until(lambda: filled(plant).get(2) == 2)
                await until(lambda: logs)
                plant.two.tighten("SN-2")
                plant.store.send(plant.gateways[1], 2)
                await until(lambda: filled(plant).get(2) == 3)
                told = list(logs)
                connection.execute("UPDATE runs SET data = ? WHERE stream_id = 1", (kept,))
                connection.execute(sql)
                connection.commit()
                await until(lambda: filled(plant).get(1) == 1)
                await until(lambda: len(logs) > 1)
    assert [log["event"] for log in told] == ["views are behind"]
    assert "records 0 to 0 of acme.example/line-1/1 are damaged" in told[0]["why"]
    assert [log["event"] for log in logs] == ["views are behind", "views go on"]


async def test_a_database_that_is_away_is_waited_for(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant.hear()
    plant.one.tighten("SN-1")
    plant.store.send(plant.gateways[0])
    step, away = ViewFiller.step, [True]

    def failing(self: ViewFiller) -> int:
        if away:
            raise StoreAway("the database is away", hint="")
        return step(self)

    monkeypatch.setattr(ViewFiller, "step", failing)
    with capture_logs() as logs:
        async with following(plant):
            await until(lambda: logs)
            away.clear()
            await until(lambda: filled(plant)[1] == 2)
            await until(lambda: len(logs) > 1)
    assert [log["event"] for log in logs] == ["views are behind", "views go on"]


def test_a_record_that_no_view_expects_leaves_its_stream_out(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def puzzled(record: ViewedRecord) -> Iterator[ViewRow]:
        if record.unit == "SN-odd":
            raise KeyError("field")
        return rows_of(record)

    monkeypatch.setattr("linewitness.store.views.filler.rows_of", puzzled)
    plant.one.tighten("SN-odd")
    plant.two.tighten("SN-1")
    for gateway in plant.gateways:
        plant.store.send(gateway)
    filler = ViewFiller(plant.database)
    while filler.step():
        pass
    assert filled(plant) == {2: 2}
    assert (
        "the records 0 to 1 of acme.example/line-1/1 are not understood"
        in filler.damage["acme.example/line-1/1"]
    )
