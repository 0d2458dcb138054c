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
from sqlalchemy import Select, text
from sqlalchemy.dialects import postgresql, sqlite
from typer.testing import CliRunner, Result

from linewitness.cli.store import app
from linewitness.store.database import view_tables as views
from linewitness.store.questions.answers import Inquiry, Span, asking
from linewitness.store.questions.changes import ChangesAsked, changes_query
from linewitness.store.questions.formats import render
from linewitness.store.questions.times import disturbances_query, gaps_query, late_query, sessions_query
from linewitness.store.questions.tools import stated_query, work_query
from linewitness.store.questions.unit import lots_query, parts_query
from linewitness.store.questions.where_used import components_query, loaded_query, uses_query, where_used
from support.histories import LineHistory
from support.ledger_rig import Store
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


def questions(inquiry: Inquiry) -> dict[str, Select[Any]]:
    parts, span = views.components, Span.of("2023-11-14", "2023-11-15")
    return {
        "tool": uses_query(inquiry, "tool", "T-1", span),
        "lot": components_query(inquiry, parts.c.lot == "L-12", span),
        "serial": components_query(inquiry, parts.c.serial.in_(["SN-1", "SN-2"]), span),
        "material": components_query(inquiry, parts.c.part == "seal", span),
        "loaded lot": loaded_query(inquiry, parts.c.lot == "G-7", span),
        "parts of a unit": parts_query(inquiry, "SN-1"),
        "lots of a unit": lots_query(inquiry, "SN-1"),
        "changes of a week": changes_query(inquiry, ChangesAsked(span=span)),
        "changes of a device": changes_query(inquiry, ChangesAsked(device="press-4", span=span)),
        "changes of a point": changes_query(inquiry, ChangesAsked(point="force")),
        "changes by a person": changes_query(inquiry, ChangesAsked(actor="B-17")),
        "work of a tool": work_query(inquiry, "T-1", span, by_unit=True),
        "calibrations of a tool": stated_query(inquiry, "T-1"),
        "gaps": gaps_query(inquiry, None, span),
        "disturbances": disturbances_query(inquiry, "press-4", span),
        "late": late_query(inquiry, None, 60, span),
        "sessions": sessions_query(inquiry, "B-17", None, span),
    }


@pytest.mark.usefixtures("both_databases")
def test_no_question_reads_a_whole_table(tmp_path: Path) -> None:
    store = Store(tmp_path)
    gateway = Plant(tmp_path, store).gateways[0]
    LineHistory(gateway).tighten("SN-1")
    store.send(gateway)
    server = store.database.backend.engine.dialect.name == "postgresql"
    dialect: Any = postgresql.dialect() if server else sqlite.dialect()  # type: ignore[no-untyped-call]
    with asking(store.database, "acme") as inquiry:
        if server:  # so few rows are read faster without any index
            inquiry.connection.execute(text("SET LOCAL enable_seqscan = off"))
        for name, query in questions(inquiry).items():
            sql = str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
            explain = "EXPLAIN " if server else "EXPLAIN QUERY PLAN "
            plan = [
                str(row[-1]) for row in inquiry.connection.exec_driver_sql(explain + sql.replace("%", "%%"))
            ]
            steps = [step for step in plan if re.search(r"\b(scan|search|using)\b", step, re.IGNORECASE)]
            whole = [step for step in steps if _reads_all(step)]
            assert steps, name
            assert not whole, (name, plan)
            assert _names_tenant(plan), (name, plan)
    store.database.close()


def _reads_all(step: str) -> bool:
    """Return whether a step of a plan reads a table from end to end; a subquery's rows are few."""
    seq_scan = "Seq Scan" in step
    return seq_scan or (step.startswith("SCAN") and not re.match(r"SCAN (\(|anon|CONSTANT)", step))


def _names_tenant(plan: list[str]) -> bool:
    return any(re.search(r"(Index Cond|Recheck Cond).*tenant|\(tenant=\?", step) for step in plan)
