"""What the YAML may say of a controller."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

import linewitness.devices.open_protocol as package
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


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"timezone": "Europe/Berlni"}, "there is no zone"),
        ({"result_revision": 61}, "results have no revision 61"),
        ({"port": 99999}, "65535"),
        ({"keepalive_s": 10, "dead_after_s": 8}, "must be below"),
        ({"revison": 3}, "Extra inputs"),
    ],
    ids=str,
)
def test_a_mistake_is_explained(wrong: dict[str, int | str], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        OpenProtocolOptions(id="w", host="10.0.0.1", **wrong)


def test_every_setting_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    missing = [name for name in OpenProtocolOptions.model_fields if f"`{name}`" not in page]
    assert not missing
