"""Answers as people get them: commands, formats, and that no question reads a whole table."""

import csv
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import Select, Table, insert, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from typer.testing import CliRunner, Result

from linewitness.cli.store import app
from linewitness.store.database import view_tables as views
from linewitness.store.questions.answers import AskedSpan, Inquiry, asking
from linewitness.store.questions.changes import ChangesAsked, changes_query
from linewitness.store.questions.formats import render
from linewitness.store.questions.times import disturbances_query, gaps_query, late_query, sessions_query
from linewitness.store.questions.tools import stated_query, work_query
from linewitness.store.questions.unit import lots_query, parts_query
from linewitness.store.questions.where_used import components_query, loaded_query, uses_query, where_used
from support.fake_gateway import FakeGateway
from support.ledger_rig import Store
from support.postgres import Cluster
from support.questions import Plant

YAML = """\
database: {database}
name: store.example
key:
  file: store.key
mqtt:
  url: mqtt://127.0.0.1
"""


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    plant = Plant(tmp_path)
    yield plant
    plant.database.close()


@pytest.fixture
def file(tmp_path: Path, plant: Plant) -> Path:
    plant.one.start()
    plant.two.start()
    plant.one.sign("B-17", "on")
    plant.one.load("glue", "G-7")
    plant.one.enter("SN-1")
    plant.one.install("SN-1", "seal", lot="L-12")
    plant.one.tighten("SN-1", by="B-17", late_s=30)
    plant.one.change("force", 5, 6, by="B-17", why="=worn, and \N{GREEK SMALL LETTER MU}")
    plant.one.lose("torque-1")
    plant.one.leave("SN-1")
    plant.two.install("CAR-1", "pump", serial="SN-1")
    plant.hear()
    file = tmp_path / "store.yaml"
    file.write_text(YAML.format(database=plant.store.url))
    return file


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def good(*arguments: Any) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def test_a_table_says_how_far_it_holds(file: Path) -> None:
    said = good("where-used", file, "--lot", "L-12").stdout
    head, first, second, count, *_ = said.splitlines()
    assert head.split()[:3] == ["unit", "how", "through"]
    assert first.split()[:4] == ["SN-1", "is", "in", "it"]
    assert second.split()[:5] == ["CAR-1", "is", "in", "it", "SN-1"]
    assert count == "2 rows"
    assert "holds for acme.example/line-1/1: up to record 9\n" in said
    assert "holds for acme.example/line-2/1: up to record 2\n  no gap is known inside" in said


@pytest.mark.parametrize(
    ("asked", "column", "first"),
    [
        (("where-used", "--material", "seal"), "unit", "SN-1"),
        (("where-used", "--operator", "B-17", "--to", "2023-11-15"), "unit", "CAR-1"),
        (("changes", "--device", "press-4", "--week", "2023-W46"), "after", "6"),
        (("changes", "--actor", "B-17", "--from", "2023-11-14", "--to", "2023-11-15"), "point", "force"),
        (("late", "--over", "10", "--device", "torque-1"), "unit", "SN-1"),
        (("gaps", "--device", "torque-1", "--from", "2023-11-14T22:13:25Z"), "subject", "torque-1"),
        (("sessions", "--operator", "B-17"), "station", "bolting"),
    ],
)
def test_json_of_each_question(file: Path, asked: tuple[str, ...], column: str, first: str) -> None:
    command, *options = asked
    answer = json.loads(good(command, file, *options, "--format", "json").stdout)
    assert answer["rows"][0][column] == first
    assert [(stream["origin"], stream["holds"]) for stream in answer["streams"]] == [
        ("acme.example/line-1/1", 10),
        ("acme.example/line-2/1", 3),
    ]


def test_a_tool_and_a_unit_have_their_names_as_arguments(file: Path) -> None:
    answer = json.loads(good("tool", file, "T-1", "--between-calibrations", "--format", "json").stdout)
    assert [(row["unit"], row["results"]) for row in answer["rows"]] == [("SN-1", 1)]
    answer = json.loads(good("unit", file, "CAR-1", "--components", "--format", "json").stdout)
    assert [(row["depth"], row["serial"] or row["lot"]) for row in answer["rows"]] == [
        (1, "SN-1"),
        (2, "L-12"),
    ]
    said = good("unit", file, "SN-1").stdout
    assert "gap: torque-1 2023-11-14T22:13:28.000Z to now: not connected: no answer" in said
    said = good("unit", file, "CAR-1").stdout
    assert "component.installed pump/SN-1" in said
    assert "SN-1: part seal, lot L-12 is in it" in said
    assert "holds for acme.example/line-1/1: up to record 9" in said


def test_csv_is_harmless_and_says_beside_it_how_far_it_holds(file: Path) -> None:
    result = good("changes", file, "--device", "press-4", "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(result.stdout))
    assert (row["before"], row["after"], row["actor"]) == ("5", "6", "B-17")
    assert row["reason"] == "'=worn, and \N{GREEK SMALL LETTER MU}"
    assert "holds for acme.example/line-1/1: up to record 9" in result.stderr


def test_parquet_has_types_and_says_how_far_it_holds(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "units.parquet"
    good("unit", file, "SN-1", "-o", target)
    with duckdb.connect() as connection:
        found = connection.read_parquet(str(target))
        rows = found.order("record").project("kind, record, reason").fetchall()
        about = connection.execute("SELECT value FROM parquet_kv_metadata(?)", [str(target)]).fetchone()
    assert [row[:2] for row in rows][-1] == ("unit.left", 9)
    assert about is not None
    assert [stream["holds"] for stream in json.loads(about[0])["streams"]] == [10, 3]
    assert run("unit", file, "SN-1", "-o", target).exit_code != 0, "a file that is there stays"


def test_parquet_of_nothing_has_its_columns(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "none.parquet"
    good("where-used", file, "--lot", "L-99", "-o", target)
    with duckdb.connect() as connection:
        found = connection.read_parquet(str(target)).project("unit, records")
        assert [str(kind) for kind in found.types] == ["VARCHAR", "BIGINT"]
        assert found.fetchall() == []


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (("where-used",), "one thing is asked for"),
        (("where-used", "--lot", "L", "--tool", "T"), "one thing is asked for"),
        (("changes", "--week", "2026-W47", "--from", "2026-11-21"), "a time of its own"),
        (("gaps", "--from", "monday"), "no time"),
        (("late", "--format", "xml"), "no format"),
        (("late", "--format", "parquet"), "goes into a file"),
        (("late", "--tenant", "nobody"), "no stream of a tenant nobody"),
    ],
)
def test_what_cannot_be_answered_is_told(file: Path, asked: tuple[str, ...], why: str) -> None:
    command, *options = asked
    assert why in str(run(command, file, *options).exception)


def test_parquet_without_duckdb_is_told(file: Path, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    monkeypatch.setattr("linewitness.store.questions.formats.find_spec", lambda _: None)
    with pytest.raises(Exception, match="needs DuckDB"):
        render(where_used(plant.database, "lot", "L-12"), "parquet")


def test_a_rebuild_says_what_it_did(file: Path) -> None:
    before = good("changes", file).stdout
    said = good("rebuild", file).stdout
    assert re.fullmatch(r"views made again: records 13, streams 2, \d+\.\d s\n", said)
    assert good("changes", file).stdout == before


def questions(inquiry: Inquiry) -> dict[str, tuple[Select[Any], str]]:
    """Return each question with the index that answers it."""
    parts, span = views.components, AskedSpan.of("2023-11-14", "2023-11-15")
    return {
        "tool": (uses_query(inquiry, "what-7", "name-7", span), "uses_pkey"),
        "lot": (components_query(inquiry, parts.c.lot == "lot-7", span), "components_by_lot"),
        "serial": (
            components_query(inquiry, parts.c.serial.in_(["serial-7", "serial-8"]), AskedSpan()),
            "components_by_serial",
        ),
        "part": (components_query(inquiry, parts.c.part == "part-7", AskedSpan()), "components_by_part"),
        "loaded lot": (loaded_query(inquiry, parts.c.lot == "lot-7", span), "met_by_pkey"),
        "parts of a unit": (parts_query(inquiry, "unit-7"), "components_by_unit"),
        "lots of a unit": (lots_query(inquiry, "unit-7"), "met_by_by_unit"),
        "changes of a day": (changes_query(inquiry, ChangesAsked(span=span)), "changes_by_occurred_at"),
        "changes of a device": (
            changes_query(inquiry, ChangesAsked(device="device-7")),
            "changes_by_device_occurred_at",
        ),
        "changes of a point": (
            changes_query(inquiry, ChangesAsked(point="point-7")),
            "changes_by_point_occurred_at",
        ),
        "changes by a person": (
            changes_query(inquiry, ChangesAsked(actor="actor-7")),
            "changes_by_actor_occurred_at",
        ),
        "work of a tool": (work_query(inquiry, "tool-7", AskedSpan(), by_unit=True), "results_by_tool"),
        "calibrations": (stated_query(inquiry, "tool-7"), "tools_by_tool_stream_id_seq"),
        "gaps": (gaps_query(inquiry, None, AskedSpan("2023-11-27T00:00:00.000Z")), "gaps_by_until"),
        "disturbances": (
            disturbances_query(inquiry, "device-7", AskedSpan()),
            "disturbances_by_device_occurred_at",
        ),
        "late": (late_query(inquiry, None, 60, span), "lateness_by_occurred_at"),
        "sessions": (sessions_query(inquiry, "operator-7", None, AskedSpan()), "sign_ons_by_operator"),
    }


def crowd(store: Store) -> None:
    """Put so many rows into each view that reading one of them whole would be a mistake."""
    with store.database.writing("acme") as connection:
        for view in set(views.VIEWS) - {views.view_positions}:
            connection.execute(insert(view), [row_of(view, n) for n in range(2000)])


def row_of(view: Table, n: int) -> dict[str, Any]:
    row: dict[str, Any] = {column.name: f"{column.name}-{n % 400}" for column in view.columns}
    times = {name for name in row if name.endswith("_at") or name in ("since", "until")}
    row |= dict.fromkeys(times, f"2023-11-{1 + n % 28:02}T00:00:{n % 60:02}.000Z")
    row |= {
        column.name: n for column in view.columns if isinstance(column.type, type(views.units.c.records.type))
    }
    row |= {"tenant": "acme", "stream_id": 1}
    if "deed" in row:
        row["deed"] = ("installed", "removed", "loaded", "on", "off")[n % 5]
    row |= {name: f"{name}-{n}" for name in ("unit", "event_id") if name in row}
    return row


@pytest.mark.usefixtures("both_databases")
def test_no_question_reads_a_whole_table(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    store = Store(tmp_path)
    store.enroll(FakeGateway())
    crowd(store)
    server = store.database.backend.engine.dialect.name == "postgresql"
    if server:  # as the server does by itself after a minute
        postgres: Cluster = request.getfixturevalue("postgres")
        with postgres.admin(str(make_url(store.url).database)) as connection:
            connection.execute("ANALYZE")
    whole: dict[str, str] = {}
    dialect: Any = postgresql.dialect() if server else sqlite.dialect()  # type: ignore[no-untyped-call]
    with asking(store.database, "acme") as inquiry:
        if server:
            inquiry.connection.execute(text("SET LOCAL enable_seqscan = off"))
        for name, (query, index) in questions(inquiry).items():
            sql = str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
            explain = "EXPLAIN " if server else "EXPLAIN QUERY PLAN "
            rows = inquiry.connection.exec_driver_sql(explain + sql.replace("%", "%%"))
            plan = "\n".join(str(row[-1]) for row in rows)
            # SQLite has no name of its own for the key of a table.
            wanted = index if server or not index.endswith("_pkey") else "USING PRIMARY KEY"
            if (
                wanted not in plan
                or "Seq Scan" in plan
                or re.search(r"^SCAN (?!\(|anon)", plan, re.MULTILINE)
            ):
                whole[name] = plan
    assert not whole
    store.database.close()
