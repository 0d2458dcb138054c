"""The pages of the PLC drivers lead to the tables of settings, and offer what the simulators can do."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLCS = ("opcua", "modbus")


def page(driver: str) -> str:
    return (ROOT / "docs" / "drivers" / f"{driver}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("driver", PLCS)
def test_the_page_leads_to_the_generated_table_of_its_settings(driver: str) -> None:
    assert f"(../configuration.md#devices-{driver})" in page(driver)
    configuration = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert f"\n### devices: {driver}\n" in configuration


def test_each_fault_of_the_press_that_the_page_offers_exists() -> None:
    command = ROOT / "simulators" / "linewitness_simulators" / "press" / "command.py"
    text = command.read_text(encoding="utf-8")
    for option in ("restart-every", "silent-every", "overflow-every", "missing", "delay", "clock-offset"):
        assert f"--{option}" in page("opcua")
        assert f"    {option.replace('-', '_')}: " in text
