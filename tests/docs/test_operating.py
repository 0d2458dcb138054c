"""The operator's page knows every alarm, every metric and every exit code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from linewitness.base.errors import ExitCode
from linewitness.status import metric_names
from linewitness.status.metric_names import Metric
from linewitness.status.problems.problem import ProblemCode

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")


def alarms() -> Iterator[Any]:
    """Yield the text of every warning and error that the program logs."""
    for file in (ROOT / "src" / "linewitness").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("warning", "error")
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in ("log", "_log")
                and node.args
            ):
                yield from (
                    inner.value
                    for inner in ast.walk(node.args[0])
                    if isinstance(inner, ast.Constant) and isinstance(inner.value, str)
                )


def test_every_alarm_says_what_to_do() -> None:
    found = set(alarms())
    assert len(found) > 15
    assert not sorted(text for text in found if f"`{text}`" not in PAGE)


def test_every_metric_is_described() -> None:
    names = {value.name for value in vars(metric_names).values() if isinstance(value, Metric)}
    missing = [name for name in names if not re.search(rf"`{name}(_total|_info)?`", PAGE)]
    assert not missing


def test_every_code_of_a_problem_is_described() -> None:
    codes = get_args(ProblemCode)
    assert len(codes) > 5
    assert not [code for code in codes if f"| `{code}` |" not in PAGE]


def test_every_exit_code_is_explained() -> None:
    assert not [code for code in ExitCode if f"| {int(code)} |" not in PAGE]


def test_every_test_that_the_table_of_faults_names_is_there() -> None:
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+/test_\w+\.py)`", page))
    assert len(named) > 10
    assert not [name for name in sorted(named) if not (ROOT / "tests" / name).exists()]
