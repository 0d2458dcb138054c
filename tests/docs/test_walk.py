"""The auditor's walk: its files are what their builder makes, and all verifiers say what the page quotes."""

import re
import shutil
from pathlib import Path

import pytest

from support.browser_verifier import judge_with_page
from support.lines import call
from support.packages import Judge, judge_with_python
from support.walk import FOLDER, write

ROOT = Path(__file__).parents[2]


def quoted() -> str:
    """Return what the page says that the command prints."""
    page = (ROOT / "docs/auditors.md").read_text()
    found = re.search(r"^\$ linewitness-verify --policy docs/walk/.*\n((?:.*\n)*?)```$", page, re.MULTILINE)
    assert found
    return found.group(1)


def test_the_files_are_those_that_their_builder_makes(tmp_path: Path) -> None:
    """`python -m support.walk` in the folder tests writes them anew."""
    write(tmp_path)
    for name in ("evidence.zip", "policy.json"):
        assert (FOLDER / name).read_bytes() == (tmp_path / name).read_bytes(), name


@pytest.mark.parametrize("judge", [judge_with_python, judge_with_page])
def test_each_verifier_finds_the_three_problems_that_the_page_quotes(judge: Judge, tmp_path: Path) -> None:
    package = shutil.copy(FOLDER / "evidence.zip", tmp_path)  # the page's judge writes beside it
    verdict = judge(Path(package), (FOLDER / "policy.json").read_bytes())
    assert verdict["status"] == "INCLUDED"
    said = quoted()
    assert verdict["text"] in said
    notes = [f"note: record {note['index']}: {note['text']}\n" for note in verdict["remarks"]]
    assert len(notes) == 2
    assert all(note in said for note in notes)
    [stretch] = verdict["without_capture"]
    assert f"{stretch['since']} to {stretch['until']} (204.000 s), gateway: {stretch['why']}\n" in said


def test_the_command_prints_what_the_page_quotes() -> None:
    result = call("verify", FOLDER / "evidence.zip", "--policy", FOLDER / "policy.json")
    assert result.exit_code == 0
    assert re.sub(r"came \d+ days", "came … days", result.output) == quoted()
