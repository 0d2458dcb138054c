"""What the YAML may say of a controller."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

import linewitness.devices.open_protocol as package
from linewitness.base.errors import DeviceRefused
from linewitness.devices.open_protocol.options import OpenProtocolOptions

FOLDER = Path(package.__file__).parent
PAGE = Path(__file__).parents[2] / "docs/drivers/open_protocol.md"


def test_the_sample_is_a_device() -> None:
    (device,) = YAML(typ="safe").load(FOLDER / "sample.yaml")["devices"]
    assert OpenProtocolOptions(**device).port == 4545


def test_id_driver_and_host_are_enough() -> None:
    options = OpenProtocolOptions(id="w", driver="open_protocol", host="10.0.0.1")
    assert options.port == 4545
    assert options.zone is None


def selecting(**program: Any) -> dict[str, Any]:
    return {"commands": ["program"], "programs": [program]}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"timezone": "Europe/Berlni"}, "there is no zone"),
        ({"result_revision": 61}, "results have no revision 61"),
        ({"port": 99999}, "65535"),
        ({"keepalive_s": 10, "dead_after_s": 8}, "must be below"),
        ({"revison": 3}, "Extra inputs"),
        ({"commands": ["lock"]}, "'identifier' or 'program'"),
        ({"commands": ["program"]}, "program needs programs"),
        ({"programs": [{"unit": ".*", "job": 1}]}, "never selected; add program to commands"),
        (selecting(unit=".*"), "either parameter_set or job"),
        (selecting(unit=".*", job=1, parameter_set=1), "either parameter_set or job"),
        (selecting(unit=".*", job=1, batch_size=4), "a job has its own"),
        (selecting(unit=".*", parameter_set=1, restart_job=True), "belongs to a job"),
        (selecting(unit="(", job=1), "no regular expression"),
    ],
    ids=str,
)
def test_a_mistake_is_explained(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        OpenProtocolOptions(id="w", host="10.0.0.1", **wrong)


def test_every_setting_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    missing = [name for name in OpenProtocolOptions.model_fields if f"`{name}`" not in page]
    assert not missing


def test_the_first_program_that_fits_the_whole_serial_number_is_chosen() -> None:
    programs = [
        {"unit": "SN7.", "parameter_set": 7},
        {"unit": "SN7.*", "parameter_set": 9, "batch_size": 2, "abort_job": True},
    ]
    options = OpenProtocolOptions(
        id="w", host="10.0.0.1", commands=["identifier", "program"], programs=programs
    )

    def told(unit: str, named_by: str = "reader") -> list[tuple[str, str]]:
        return [(command.name, command.value) for command in options.commands_for(unit, named_by)]

    assert told("SN71") == [("identifier", "SN71"), ("parameter_set", "7")]
    assert told("SN711") == [
        ("abort_job", "running"),
        ("identifier", "SN711"),
        ("batch_size", "9:2"),
        ("parameter_set", "9"),
    ]
    assert told("SN71", named_by="w") == [("parameter_set", "7")]
    with pytest.raises(DeviceRefused, match="no program of w fits the unit SN8"):
        told("SN8")


def test_a_program_may_be_for_a_product() -> None:
    programs = [{"product": ["A"], "parameter_set": 7}, {"unit": "SN.*", "product": ["B"], "job": 2}]
    options = OpenProtocolOptions(id="w", host="10.0.0.1", commands=["program"], programs=programs)
    assert [command.value for command in options.commands_for("X1", "reader", "A")] == ["7"]
    assert [command.value for command in options.commands_for("SN1", "reader", "B")] == ["2"]
    for unit, product in (("X1", "B"), ("SN1", "")):
        with pytest.raises(DeviceRefused, match=f"fits the unit {unit}"):
            options.commands_for(unit, "reader", product)


def test_a_program_without_units_is_refused() -> None:
    programs = [{"parameter_set": 7}]
    with pytest.raises(ValidationError, match="say for which units"):
        OpenProtocolOptions(id="w", host="10.0.0.1", commands=["program"], programs=programs)
