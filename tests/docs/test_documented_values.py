"""Each value that a page, a sample or the schema names is accepted, and the schema's are documented."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import jsonschema
import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML

from linewitness.config import Config
from linewitness.config.reference import json_schema
from linewitness.config.settings import choices, models_in
from linewitness.devices.table import BUNDLED
from linewitness.store.options import AuditStoreOptions

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "ARCHITECTURE.md"])
YAMLS = sorted([*(ROOT / "config").glob("*.yaml"), *(ROOT / "src").rglob("sample.yaml")])
REFERENCE = ROOT / "docs" / "configuration.md"

_BLOCK = re.compile(r"^```ya?ml\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([a-z_]+): ([A-Za-z0-9_.-]+)`")
_WORDS = re.compile(r"`([^`]+)`")
#: What follows a value in a cell: with or without which other setting the row is meant.
_MORE = re.compile(r" with(?:out)? ")
_LETTERS = re.compile(r"\b(?=[A-D]*A)(?=[A-D]*B)(?=[A-D]*C)[A-D]{4}\b")
#: Settings of the page that builds a driver, which is not one of ours.
_FOREIGN = {("driver", "thermometer")}

Named = tuple[str, object]


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for inner in models_in(field.annotation):
            yield from models(inner)


def every_setting() -> dict[str, list[FieldInfo]]:
    """Return the settings by their names; several may have one name."""
    found: dict[str, list[FieldInfo]] = {}
    tops: list[type[BaseModel]] = [Config, AuditStoreOptions, *(spec.options_class() for spec in BUNDLED)]
    for top in tops:
        for model in models(top):
            for name, field in model.model_fields.items():
                found.setdefault(name, []).append(field)
    return found


def takes(field: FieldInfo, value: object) -> bool:
    """Return whether the loader takes a value for a setting, alone or in a list."""
    annotation: Any = Annotated[(field.annotation, field, *field.metadata)]
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    for written in (value, [value]):
        try:
            adapter.validate_python(written)
        except ValidationError:
            continue
        return True
    return False


SETTINGS = every_setting()
#: The settings with enumerated values, by their names.
FIELDS = {
    name: enumerated
    for name, fields in SETTINGS.items()
    if (enumerated := [field for field in fields if choices(field.annotation)])
}
#: Names of an enumeration that are free texts elsewhere: where they stand says which of the two they are.
TEXTS = {
    name: texts
    for name, enumerated in FIELDS.items()
    if (texts := [field for field in SETTINGS[name] if field not in enumerated and takes(field, "any text")])
}
#: What the regular expressions under `pattern` are called here: those of stations, and that of a code reader.
STATION, READER = "pattern of a station", "pattern of a reader"
FIELDS[STATION] = TEXTS["pattern"]
FIELDS[READER] = [
    field for field in SETTINGS["pattern"] if field not in [*FIELDS["pattern"], *TEXTS["pattern"]]
]
#: Settings beside a `pattern` that is the kind of a PLC's results.
_BESIDE_KIND = {"counter", "slots", "fifo", "fields", "handshake"}


def in_schema(node: object, name: str = "") -> Iterator[tuple[str, list[object]]]:
    """Yield the enumerations of the schema with the names of their settings."""
    if isinstance(node, dict):
        if "enum" in node:
            yield name, node["enum"]
        elif "const" in node:
            yield name, [node["const"]]
        for key, inner in node.items():
            if key == "properties":
                for setting, schema in inner.items():
                    yield from in_schema(schema, setting)
            elif key != "default":
                yield from in_schema(inner, name)
    elif isinstance(node, list):
        for inner in node:
            yield from in_schema(inner, name)


SCHEMA = list(in_schema(json_schema()))


def is_accepted(name: str, value: object) -> bool:
    """Return whether the loader accepts a value of a setting of this name."""
    return any(takes(field, value) for field in FIELDS[name])


def is_in_schema(name: str, value: object) -> bool:
    """Return whether editors accept it; constants and values that are not enumerated there are not judged."""
    enumerations = [values for setting, values in SCHEMA if setting == name]
    return not enumerations or any(value in values for values in enumerations)


def what_it_is(name: str, group: dict[Any, Any]) -> str:
    """Return what a setting of a group is called here: a `pattern` is one of three."""
    if name != "pattern" or _BESIDE_KIND & group.keys():
        return name
    return READER if group.get("driver") == "scanner" else STATION


def named_in_yaml(text: str) -> Iterator[Named]:
    """Yield the values of enumerated settings in a YAML, or in a part of one."""
    yaml = YAML(typ="safe", pure=True)
    yaml.allow_duplicate_keys = True  # a page shows alternatives one below the other
    waiting: list[Any] = [yaml.load(text)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            for name, value in node.items():
                written = value if isinstance(value, list) else [value]
                if name in FIELDS and all(isinstance(each, str | int) for each in written):
                    yield from ((what_it_is(name, node), each) for each in written)
                else:
                    waiting.append(value)
        elif isinstance(node, list):
            waiting += node


def named_in_page(text: str) -> Iterator[Named]:
    """Yield the values that a page names: in YAML, as `setting: value`, in tables, and as letters."""
    for block in _BLOCK.findall(text):
        yield from named_in_yaml(block)
    for name, value in _INLINE.findall(text):
        if name in FIELDS:
            yield name, YAML(typ="safe", pure=True).load(value)
    header = ""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        header = (header or cells[0].strip("`")) if line.startswith("|") else ""
        if header in FIELDS and cells[0].strip("`") != header:
            yield from ((header, word) for word in _WORDS.findall(_MORE.split(cells[0])[0]))
        elif header == "setting" and cells[0].strip("`") in FIELDS:
            words = _WORDS.findall(cells[1])
            name = cells[0].strip("`")
            name = READER if name == "pattern" and "(`driver: scanner`)" in text else name
            yield from ((name, int(word) if word in "12" else word) for word in words)
    yield from (("order", letters) for letters in _LETTERS.findall(text))


def every_named() -> list[tuple[str, str, object]]:
    found = {
        (str(page.relative_to(ROOT)), name, value)
        for page in PAGES
        for name, value in named_in_page(page.read_text(encoding="utf-8"))
    }
    found |= {
        (str(file.relative_to(ROOT)), name, value)
        for file in YAMLS
        for text in [file.read_text(encoding="utf-8")]
        for name, value in [*named_in_yaml(text), *(("order", each) for each in _LETTERS.findall(text))]
    }
    return sorted((each for each in found if each[1:] not in _FOREIGN), key=str)


NAMED = every_named()


def test_values_are_found_in_all_kinds_of_places() -> None:
    names = {name for _, name, _ in NAMED}
    assert len(NAMED) > 200
    assert {"docs/drivers/modbus.md", "docs/configuration.md", "config/oven-line.yaml"} <= {
        page for page, _, _ in NAMED
    }
    assert {"order", "type", "record", "mode", "transport", "policy", "trigger", "chrony"} <= names
    assert ("docs/drivers/modbus.md", "order", "BADC") in NAMED
    assert ("docs/drivers/modbus.md", "type", "bcd32") in NAMED


def test_names_of_values_that_are_texts_elsewhere_are_told_apart_by_their_place() -> None:
    assert set(TEXTS) == {"driver", "pattern"}, "say in `what_it_is` which of the two it is"
    assert len(FIELDS[READER]) == 1
    found = {(name, value) for _, name, value in NAMED}
    assert {("pattern", kind) for kind in ("counter", "ring", "fifo")} <= found
    assert (STATION, "AX[0-9]{10}") in found
    assert (READER, "(?P<code>SN[0-9]{4,12})(;[0-9]+)?") in found
    assert {("driver", spec.name) for spec in BUNDLED} <= found


@pytest.mark.parametrize(
    "wrong",
    [
        "device: {driver: modbuss}",
        "results: [{pattern: queue, counter: {address: 1}}]",
        "unit: {scanner: reader-10, pattern: 'SN[0-9'}",
        "{driver: scanner, pattern: 'SN[0-9]+'}",  # without the group that is the code
    ],
)
def test_a_wrong_value_on_a_page_would_be_found(wrong: str) -> None:
    assert [each for each in named_in_yaml(wrong) if not is_accepted(*each)]


def test_each_driver_of_the_schema_has_a_page() -> None:
    (drivers,) = [values for name, values in SCHEMA if name == "driver" and len(values) > 1]
    assert drivers
    for driver in drivers:
        page = ROOT / "docs" / "drivers" / f"{driver}.md"
        assert f"(`driver: {driver}`)" in page.read_text(encoding="utf-8").splitlines()[0]


def test_each_value_that_is_named_is_accepted() -> None:
    assert [each for each in NAMED if not is_accepted(*each[1:])] == []


def test_each_value_that_is_named_is_in_the_schema() -> None:
    assert [each for each in NAMED if not is_in_schema(*each[1:])] == []


def test_each_value_of_the_schema_is_accepted() -> None:
    assert len(SCHEMA) > 40
    every = [(name, value) for name, values in SCHEMA for value in values if name in FIELDS]
    assert [each for each in every if not is_accepted(*each)] == []


@pytest.mark.parametrize("name", sorted({name for name, _ in SCHEMA} - {"driver"}))
def test_each_value_of_the_schema_is_documented(name: str) -> None:
    page = REFERENCE.read_text(encoding="utf-8")
    rows = re.findall(rf"^\| `{name}` \|.*$", page, flags=re.MULTILINE)
    for setting, values in SCHEMA:
        if setting == name:
            words = [re.compile(rf"(?<![\w-]){re.escape(str(value))}(?![\w-])") for value in values]
            assert any(all(word.search(row) for word in words) for row in rows), (name, values)


def test_the_short_form_of_security_is_right_for_loader_and_editors() -> None:
    server = {"id": "p", "driver": "opcua", "endpoint": "opc.tcp://plc", "security": "none"}
    server["points"] = [{"id": "a", "node": "i=1", "record": "change"}]  # type: ignore[assignment]
    spec = next(spec for spec in BUNDLED if spec.name == "opcua")
    assert spec.options_class().model_validate(server).id == "p"
    whole = json_schema()
    device = {"$defs": whole["$defs"], **whole["properties"]["devices"]["items"]}
    validator = jsonschema.Draft202012Validator(device)
    assert [error.message for error in validator.iter_errors(server)] == []
    assert list(validator.iter_errors({**server, "security": "sign"}))
    assert list(validator.iter_errors({**server, "security": {"policy": "nothing"}}))
