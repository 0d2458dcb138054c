"""Who knows another product is told what its words are called here."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from linewitness.config import Config
from linewitness.config.other_words import _SETTINGS, _VALUES, setting_meant, value_meant
from linewitness.config.settings import choices, models_in
from linewitness.devices.table import BUNDLED
from support.lines import call

HEAD = """\
version: 1
line: {tenant: acme, plant: p, line: l, gateway: g, origin: acme.example/p/l/1}
journal: {directory: journal}
devices:
  - id: oven
    driver: modbus
    host: 10.0.0.6
"""


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for inner in models_in(field.annotation):
            yield from models(inner)


@pytest.fixture(scope="module")
def every() -> list[type[BaseModel]]:
    tops: list[type[BaseModel]] = [Config, *(spec.options_class() for spec in BUNDLED)]
    return [each for top in tops for each in models(top)]


def test_every_setting_that_is_offered_is_one(every: list[type[BaseModel]]) -> None:
    known = {name for model in every for name in model.model_fields}
    assert {each for meant in _SETTINGS.values() for each in meant} <= known


def test_every_value_that_is_offered_is_one(every: list[type[BaseModel]]) -> None:
    known = {
        str(each)
        for model in every
        for field in model.model_fields.values()
        for each in choices(field.annotation)
    }
    assert {each for meant in _VALUES.values() for each in meant} <= known


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("unit_id: 3", "there is no setting 'unit_id' here (here it is called 'device_id')"),
        ("slave: 3", "there is no setting 'slave' here (here it is called 'device_id')"),
        ("Unit-ID: 3", "there is no setting 'Unit-ID' here (here it is called 'device_id')"),
        ("byte_order: big", "(here it is called 'order')"),
        ("points: [{id: a, address: 1, record: change, data_type: int16}]", "(here it is called 'type')"),
        ("points: [{id: a, address: 1, record: change, type: float}]", "(here it is called 'float32')"),
        ("points: [{id: a, address: 1, record: change, type: FLOAT}]", "(here it is called 'float32')"),
        ("points: [{id: a, address: 1, record: change, type: REAL}]", "(here it is called 'float32')"),
        ("points: [{id: a, address: 1, record: change, type: double}]", "(here it is called 'float64')"),
        (
            "points: [{id: a, address: 1, record: change, type: int}]",
            "(here it is called 'int16' or 'int32')",
        ),
        ("points: [{id: a, address: 1, record: change, type: unit16}]", "(did you mean 'uint16'?)"),
        ("points: [{id: a, address: 1, record: change, table: coils}]", "(here it is called 'coil')"),
        ("transport: rtu", "(here it is called 'serial' or 'rtu-over-tcp')"),
        ("order: big_endian", "(here it is called 'big')"),
        ("perod_ms: 10", "(did you mean 'period_ms'?)"),
    ],
)
def test_a_word_of_another_product_is_explained(tmp_path: Path, settings: str, told: str) -> None:
    file = tmp_path / "line.yaml"
    file.write_text(HEAD + f"    {settings}\n")
    checked = call("check", file)
    assert checked.exit_code == 2
    assert any(told in line for line in checked.output.splitlines()), checked.output


def test_only_what_is_known_there_is_offered() -> None:
    assert setting_meant("unit", {"host", "port"}) == ""
    assert value_meant("float", {"on", "off"}) == ""
    assert value_meant("nothing of the kind", {"float32"}) == ""
