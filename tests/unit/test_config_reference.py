"""The schema and the tables say what the models say, and the examples obey both."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from jsonschema.validators import Draft202012Validator
from ruamel.yaml import YAML

from linewitness.config import load
from linewitness.config.reference import (
    BEGIN,
    END,
    json_schema,
    json_schema_text,
    replace_generated,
    tables_text,
)
from linewitness.devices.options import DeviceOptions
from linewitness.devices.spec import DriverSpec
from linewitness.devices.table import BUNDLED

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "config").glob("*-line.yaml"))
SAMPLES = sorted((ROOT / "src" / "linewitness" / "devices").glob("*/sample.yaml"))
CASES = Path(__file__).parent / "config_cases"

REMAKE_SCHEMA = "run: linewitness schema --output config/schema.json"
REMAKE_TABLES = "run: linewitness schema --tables --output docs/configuration.md"


def by_other_hands(file: Path) -> dict[str, Any]:
    """Return a YAML as ruamel.yaml's own loader reads it, as JSON has it."""
    found: dict[str, Any] = json.loads(
        json.dumps(YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8")))
    )
    return found


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    return jsonschema.Draft202012Validator(json_schema())


def test_the_schema_in_the_repository_is_current() -> None:
    assert (ROOT / "config" / "schema.json").read_text(encoding="utf-8") == json_schema_text(), REMAKE_SCHEMA


def test_the_tables_in_the_docs_are_current() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert replace_generated(page, tables_text()) == page, REMAKE_TABLES


def test_there_are_three_example_lines() -> None:
    assert len(EXAMPLES) >= 3


@pytest.mark.heavy
@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_each_example_is_accepted(file: Path, validator: Draft202012Validator) -> None:
    assert load(file).devices
    assert [error.message for error in validator.iter_errors(by_other_hands(file))] == []


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_each_example_names_the_schema_for_editors(file: Path) -> None:
    first = file.read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=schema.json"


@pytest.mark.heavy
@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.parent.name)
def test_each_sample_of_a_driver_fits_into_a_line(file: Path, validator: Draft202012Validator) -> None:
    line = by_other_hands(ROOT / "config" / "oven-line.yaml")
    line["devices"] = by_other_hands(file)["devices"]
    assert [error.message for error in validator.iter_errors(line)] == []


@pytest.mark.parametrize(
    "case",
    ["unknown_setting", "out_of_range", "missing_settings", "no_devices", "unknown_driver", "not_one_of"],
)
def test_the_schema_refuses_what_we_refuse(case: str, validator: Draft202012Validator) -> None:
    assert list(validator.iter_errors(by_other_hands(CASES / case / "config.yaml")))


@pytest.mark.parametrize("spec", BUNDLED, ids=lambda spec: spec.name)
def test_each_driver_of_the_table_has_its_headings(spec: DriverSpec) -> None:
    page = tables_text()
    assert f"### devices: {spec.name}\n" in page
    for setting in set(spec.options_class().model_fields) - set(DeviceOptions.model_fields):
        assert f"| `{setting}` |" in page


def test_every_setting_has_a_meaning() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", tables_text(), flags=re.MULTILINE)
    assert [name for name, meaning in rows if not meaning.strip()] == []


def test_headings_of_the_tables_are_unique() -> None:
    headings = re.findall(r"^#+ .*$", tables_text(), flags=re.MULTILINE)
    assert sorted(headings) == sorted(set(headings))


def test_only_the_generated_part_of_a_page_is_replaced() -> None:
    page = f"# Title\n\n{BEGIN}\nold\n\n{END}\nmore\n"
    assert replace_generated(page, "new\n") == f"# Title\n\n{BEGIN}\nnew\n\n{END}\nmore\n"


def test_a_page_without_marks_is_left_alone() -> None:
    with pytest.raises(ValueError, match="needs these two lines"):
        replace_generated("# Title\n", "new\n")
