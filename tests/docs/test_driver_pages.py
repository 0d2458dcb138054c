"""The drivers' pages show the samples that are tested, and lead to the tables of settings."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLCS = ("opcua", "modbus")


def page(driver):
    return (ROOT / "docs" / "drivers" / f"{driver}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("driver", PLCS)
def test_the_page_shows_the_sample_that_is_tested(driver):
    sample = ROOT / "src" / "linewitness" / "devices" / driver / "sample.yaml"
    assert f"```yaml\n{sample.read_text(encoding='utf-8').rstrip()}\n```" in page(driver)


@pytest.mark.parametrize("driver", PLCS)
def test_the_page_leads_to_the_generated_table_of_its_settings(driver):
    assert f"(../configuration.md#devices-{driver})" in page(driver)
    configuration = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert f"\n### devices: {driver}\n" in configuration


@pytest.mark.parametrize("driver", PLCS)
def test_the_page_names_its_limits_and_what_to_do_when_it_does_not_work(driver):
    headings = [line for line in page(driver).splitlines() if line.startswith("## ")]
    assert "## Limits" in headings
    assert {"## Troubleshooting", "## When something is wrong"} & set(headings)


def test_each_fault_of_the_press_that_the_page_offers_exists():
    command = ROOT / "simulators" / "linewitness_simulators" / "press" / "command.py"
    text = command.read_text(encoding="utf-8")
    for option in ("restart-every", "silent-every", "overflow-every", "missing", "delay", "clock-offset"):
        assert f"--{option}" in page("opcua")
        assert f"    {option.replace('-', '_')}: " in text
