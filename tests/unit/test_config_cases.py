"""Each folder of `config_cases` is a mistake that somebody made, and what they are told."""

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from linewitness.config import ConfigurationErrors, load

pytestmark = pytest.mark.heavy

CASES = sorted((Path(__file__).parent / "config_cases").iterdir())


def told(case: Path) -> str:
    """Return what is said of a case, its file named without its folder."""
    with pytest.raises(ConfigurationErrors) as caught:
        load(case / "config.yaml")
    return str(caught.value).replace(f"{case}/", "") + "\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_mistake_is_answered_with_its_place_and_a_hint(case: Path) -> None:
    assert told(case) == (case / "error.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_secrets_are_never_repeated(case: Path) -> None:
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        message = told(case)
    assert "hunter2" not in message + output.getvalue()
