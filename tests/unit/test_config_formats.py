"""An older configuration is read as it was meant, a newer one refused with what to do."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from linewitness.config import ConfigurationErrors, load

FOLDER = Path(__file__).parents[1] / "fixtures" / "configurations"
KEPT = sorted(FOLDER.glob("v*/*.yaml"))


def test_a_configuration_of_each_version_is_kept() -> None:
    """Never change these files: they stand for those on plants' disks."""
    assert {file.parent.name for file in KEPT} == {"v1"}


@pytest.mark.parametrize("file", KEPT, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_every_setting_of_it_is_known_and_kept(file: Path) -> None:
    said, config = YAML(typ="safe").load(file.read_text()), load(file)
    assert {device.id: device.driver for device in config.devices} == {
        device["id"]: device["driver"] for device in said["devices"]
    }
    assert [station.id for station in config.stations] == [s["id"] for s in said.get("stations", [])]
    for part in set(said) - {"version", "devices", "stations"}:
        settings = getattr(config, part)
        for name in said[part]:
            assert name in settings.model_fields_set, f"{part}.{name}"
    assert config.line.origin == said["line"]["origin"]


def test_a_configuration_of_a_newer_release_is_refused_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "line.yaml"
    file.write_text(KEPT[0].read_text().replace("version: 1", "version: 2"))
    with pytest.raises(ConfigurationErrors, match=r"version: 2 is not 1 .*needs a newer release"):
        load(file)
