"""What we work around in libraries is in one table, and each row has a module and a test that exist."""

import re
import subprocess
import sys
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
    assert "none known (searched for: " in issue if "none known" in issue else "https://github.com/" in issue
    folder = ROOT / "src/linewitness/devices" / FOLDERS[library]
    assert (folder / module.strip("`")).is_file()
    named = re.findall(r"`(test_\w+)`", tests)
    assert named
    assert set(named) <= KNOWN


@pytest.mark.parametrize("module", ["test_opcua_hardening", "test_modbus_library"])
def test_each_test_of_the_library_alone_is_in_the_table(module: str) -> None:
    source = (ROOT / f"tests/unit/{module}.py").read_text()
    alone = set(re.findall(r"^(?:async )?def (test_\w+_still_\w+)", source, re.MULTILINE))
    alone -= {"test_what_the_decoder_has_built_is_still_kept"}  # why ours clears it, no fault of the library
    assert alone
    assert alone <= set(re.findall(r"`(test_\w+)`", TEXT))


def test_each_row_of_pymodbus_has_a_test_of_the_library_alone() -> None:
    rows = [row for library, row in ROWS if library == "pymodbus"]
    assert rows
    assert [row[0] for row in rows if "_still_" not in row[3]] == []


def test_the_report_for_asyncua_says_what_its_script_prints() -> None:
    """It is filed as it stands; when the library is right, the report and our decoder may go."""
    report = (ROOT / "docs/reports/asyncua-picoseconds.md").read_text()
    (script,) = re.findall(r"```python\n(.*?)```", report, re.DOTALL)
    printed, expected = re.findall(r"```text\n(.*?)```", report, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == printed
    hardened = f"from linewitness.devices.opcua.connection import hardening\nhardening.harden()\n{script}"
    done = subprocess.run([sys.executable, "-c", hardened], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[:2] == expected.splitlines()[:2]  # ours only reads
