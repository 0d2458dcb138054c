"""What we work around in libraries is in one table, and each row has a module and a test that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/drivers/workarounds.md").read_text()
KNOWN = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
}
FOLDERS = {"asyncua": "opcua", "pymodbus": "modbus"}
ROWS = [
    (library, [cell.strip() for cell in line.strip("|").split("|")])
    for library in FOLDERS
    for line in TEXT.partition(f"\n## {library}\n")[2].partition("\n## ")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| behaviour ")
]


@pytest.mark.parametrize(
    ("library", "row"), ROWS, ids=lambda value: value[0] if isinstance(value, list) else ""
)
def test_a_row_names_an_issue_a_module_and_tests_that_exist(library: str, row: list[str]) -> None:
    assert len(row) == 4
    _, issue, module, tests = row
    assert "none known" in issue or "https://github.com/" in issue
    folder = ROOT / "src/linewitness/devices" / FOLDERS[library]
    assert (folder / module.strip("`")).is_file()
    named = re.findall(r"`(test_\w+)`", tests)
    assert named
    assert set(named) <= KNOWN


def test_each_test_of_the_library_alone_is_in_the_table() -> None:
    hardening = (ROOT / "tests/unit/test_opcua_hardening.py").read_text()
    alone = set(re.findall(r"^def (test_\w+_still_\w+)", hardening, re.MULTILINE))
    alone -= {"test_what_the_decoder_has_built_is_still_kept"}  # why ours clears it, no fault of the library
    assert alone
    assert alone <= set(re.findall(r"`(test_\w+)`", TEXT))
