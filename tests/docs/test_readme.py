"""The documents: every link leads somewhere, every command exists, every example is accepted."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from linewitness.devices.table import BUNDLED

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
COMMAND = re.compile(r"(?:^|[`\s(])linewitness ([a-z]+)(?: ([a-z][a-z-]*))?")


def help_of(*arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "linewitness", *arguments, "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout if done.returncode == 0 else None


@pytest.fixture(scope="module")
def commands() -> dict[str, Any]:
    """All commands, and for groups their commands."""
    found = {}
    for line in help_of().split("Commands:")[1].splitlines():
        if match := re.match(r"  ([a-z]+)", line):
            inner = help_of(match[1])
            below = inner.split("Commands:")[1] if "Commands:" in inner else ""
            found[match[1]] = set(re.findall(r"^  ([a-z-]+)", below, re.MULTILINE))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    broken = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_is_named_exists(page: Path, commands: dict[str, Any]) -> None:
    text = page.read_text(encoding="utf-8")
    unknown = []
    for name, below in COMMAND.findall(text):
        if name not in commands or (commands[name] and below and below not in commands[name]):
            unknown.append(f"{name} {below}".strip())
    assert not unknown


@pytest.mark.parametrize(
    "target", re.findall(r"^    make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE)
)
def test_what_the_readme_makes_is_in_the_makefile(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_every_package_of_the_architecture_table_exists() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| \d+ \| `([a-z_]+/)`", text, re.MULTILINE)
    assert named
    for name in named:
        assert (ROOT / "src" / "linewitness" / name).is_dir(), name


def test_every_driver_has_its_page_and_its_sample() -> None:
    for spec in BUNDLED:
        assert (ROOT / "docs" / "drivers" / f"{spec.name}.md").exists()
        assert (ROOT / "src" / "linewitness" / "devices" / spec.name / "sample.yaml").exists()
