"""The house: files for one sitting, folders that can be taken in, and one name for one thing."""

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "linewitness"
PACKAGES = (
    SOURCE,
    ROOT / "simulators" / "linewitness_selftest",
    ROOT / "simulators" / "linewitness_simulators",
)
MOST_LINES = 300
MOST_MODULES = 20


def modules() -> list[Path]:
    return sorted(file for package in PACKAGES for file in package.rglob("*.py"))


def test_no_file_is_longer_than_one_sitting() -> None:
    long = {
        str(file.relative_to(ROOT)): lines
        for file in modules()
        if (lines := len(file.read_text(encoding="utf-8").splitlines())) > MOST_LINES
    }
    assert not long


def test_no_folder_holds_more_modules_than_can_be_taken_in() -> None:
    """The commands are a list, one file each."""
    beside: defaultdict[Any, Any] = defaultdict(int)
    for file in modules():
        if file.name != "__init__.py" and file.parent != SOURCE / "cli":
            beside[str(file.parent.relative_to(ROOT))] += 1
    assert not {folder: count for folder, count in beside.items() if count > MOST_MODULES}


def test_no_class_bears_the_name_of_another() -> None:
    """Drivers may share names with each other, which are the words of their protocols, and with no others."""
    named = defaultdict(list)
    for file in modules():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                named[node.name].append(file)
    drivers = {folder for folder in (SOURCE / "devices").iterdir() if folder.is_dir()}
    twice = {
        name: [str(file.relative_to(ROOT)) for file in files]
        for name, files in named.items()
        if len(files) > 1 and not (len({*files}) > 1 and all(drivers & {*file.parents} for file in files))
    }
    assert not twice


def test_every_package_says_what_it_is() -> None:
    silent = [
        str(file.relative_to(ROOT))
        for package in PACKAGES
        for file in package.rglob("*.py")
        if not (doc := ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))) or "TBD" in doc
    ]
    assert not silent


def test_the_table_of_layers_is_that_of_the_import_contract() -> None:
    """`tools/layers --write` puts it into the page."""
    script = [sys.executable, str(ROOT / "tools" / "layers")]
    table = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    assert table in (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
