"""A package has one layout: whatever could be read in two ways is refused, by both verifiers."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from support.browser_verifier import judge_all_with_page
from support.packages import judge_with_python

VECTORS = Path(__file__).parents[2] / "vectors"
BASE = (VECTORS / "container/base.zip").read_bytes()
LINES = (VECTORS / "container/mutants.txt").read_text().splitlines()


def mutant(splices: list[str]) -> bytes:
    data = BASE
    for splice in splices:
        at, length, new = splice.split(":")
        data = data[: int(at)] + bytes.fromhex(new) + data[int(at) + int(length) :]
    return data


def test_there_are_many_and_the_script_writes_them_again(tmp_path: Path) -> None:
    assert len(LINES) >= 200
    script = VECTORS / "container/make.py"
    subprocess.run([sys.executable, script, VECTORS], cwd=tmp_path, check=True)
    assert (tmp_path / "mutants.txt").read_text().splitlines() == LINES


def test_both_verifiers_refuse_all_that_is_not_of_the_one_layout(tmp_path: Path) -> None:
    policy = VECTORS / "policy.json"
    cases: list[tuple[Path, Path]] = []
    wanted: list[tuple[str, str]] = []
    for line in LINES:
        name, what, *splices = line.split(" ")
        path = tmp_path / f"{name}.zip"
        path.write_bytes(mutant(splices))
        cases.append((path, policy))
        wanted.append((name, "REFUSED" if what == "refused" else "COMPLETE"))
    python = [judge_with_python(path, policy.read_bytes())["status"] for path, _ in cases]
    assert different(wanted, python) == []
    page: list[Any] = [verdict["status"] for verdict in judge_all_with_page(cases)]
    assert different(wanted, page) == []


def different(wanted: list[tuple[str, str]], found: list[Any]) -> list[tuple[str, str, str]]:
    return [(name, what, got) for (name, what), got in zip(wanted, found, strict=True) if got != what]
