"""`linewitness check` and `linewitness schema` as a person meets them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from linewitness.cli.check import check, schema
from linewitness.config.reference import json_schema_text, tables_text

ROOT = Path(__file__).parents[2]
CASES = Path(__file__).parent / "config_cases"
OVEN = ROOT / "config" / "oven-line.yaml"


@pytest.fixture(scope="module")
def run() -> Callable[..., Any]:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(check)
    app.command()(schema)
    runner = CliRunner()
    return lambda *words: runner.invoke(app, [str(word) for word in words], catch_exceptions=False)


def test_a_right_file_gives_one_line_with_its_counts(run: Callable[..., Any]) -> None:
    result = run("check", OVEN)
    assert result.exit_code == 0
    assert result.stdout == f"{OVEN}: ok, 3 devices, 15 points, 2 stations\n"


def test_a_wrong_file_gives_every_mistake_and_exit_code_2(run: Callable[..., Any]) -> None:
    case = CASES / "everything_at_once"
    result = run("check", case / "config.yaml")
    assert result.exit_code == 2
    assert result.stdout == ""
    expected = (case / "error.txt").read_text(encoding="utf-8")
    assert result.stderr.replace(f"{case}/", "") == expected


def test_a_file_that_is_not_there_is_a_configuration_error(run: Callable[..., Any], tmp_path: Path) -> None:
    result = run("check", tmp_path / "absent.yaml")
    assert (result.exit_code, "cannot be read" in result.stderr) == (2, True)


def test_missing_secrets_and_certificates_are_warnings(run: Callable[..., Any]) -> None:
    result = run("check", OVEN)
    assert "warning: uplink.tls.ca: the file /etc/linewitness/plant-ca.pem is not there" in result.stderr


def test_missing_secrets_and_certificates_are_errors_if_asked_for(run: Callable[..., Any]) -> None:
    result = run("check", OVEN, "--files")
    assert result.exit_code == 2
    assert f"{OVEN}: uplink.tls.ca: the file" in result.stderr
    assert "ok" not in result.stdout


def test_explain_shows_the_read_plan_of_modbus_devices(run: Callable[..., Any]) -> None:
    told = run("check", OVEN, "--explain").stdout
    assert "oven-1: unit 1 at 10.20.4.41:502 (tcp), 12 points in 3 requests every 0.5 s" in told
    assert "never reads holding 500 to 599" in told
    assert "infeed-reader: scanner" in told


@pytest.mark.heavy
def test_schema_prints_the_json_schema(run: Callable[..., Any]) -> None:
    assert run("schema").stdout == json_schema_text()


def test_schema_prints_the_tables(run: Callable[..., Any]) -> None:
    assert run("schema", "--tables").stdout == tables_text()


@pytest.mark.heavy
def test_schema_writes_the_json_schema(run: Callable[..., Any], tmp_path: Path) -> None:
    assert run("schema", "--output", tmp_path / "s.json").stdout == ""
    assert (tmp_path / "s.json").read_text(encoding="utf-8") == json_schema_text()


def test_schema_replaces_the_generated_part_of_a_page(run: Callable[..., Any], tmp_path: Path) -> None:
    page = tmp_path / "configuration.md"
    page.write_text((ROOT / "docs" / "configuration.md").read_text(encoding="utf-8"), encoding="utf-8")
    run("schema", "--tables", "--output", page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Configuration\n")
    assert tables_text() in text
