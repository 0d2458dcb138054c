"""The threat model names a test for each attack, and each of these is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/threat-model.md").read_text()
ATTACKS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.partition("## Attacks")[2].partition("\n## ")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| attack ")
]
KNOWN = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
}


@pytest.mark.parametrize("row", ATTACKS, ids=lambda row: row[0])
def test_an_attack_is_shown_by_tests_that_exist(row: list[str]) -> None:
    assert len(row) == 4
    named = re.findall(r"`(test_\w+)`", row[3])
    assert named
    assert set(named) <= KNOWN


def test_what_is_not_found_is_shown_too() -> None:
    named = re.findall(r"`(test_\w+)`", TEXT.partition("## What is not found")[2])
    assert len(named) >= 7
    assert set(named) <= KNOWN


def test_each_attack_of_the_suite_is_in_the_table() -> None:
    suite = {
        name
        for path in (ROOT / "tests/attacks").glob("test_attacks_on_[rs]*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    harmless = {name for name in suite if re.search("victim|harmless|counts_like|covers_nothing", name)}
    assert not suite - harmless - set(re.findall(r"`(test_\w+)`", TEXT))
