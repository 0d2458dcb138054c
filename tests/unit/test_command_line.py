"""The command line as a whole: its version and the help of each command."""

import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from linewitness.cli import app
from support.present import present

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).parents[2]
RUN = CliRunner()
COMMANDS = [command.name or present(command.callback).__name__ for command in app.registered_commands]
GROUPS = [group.name for group in app.registered_groups]


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    done = RUN.invoke(app, ["--version"])
    assert done.exit_code == 0
    assert done.stdout == f"linewitness {project['version']}\n"


def test_the_version_needs_no_command_and_runs_none() -> None:
    done = RUN.invoke(app, ["--version", "check", "there-is-no-such-file.yaml"])
    assert done.exit_code == 0
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("command", [*COMMANDS, *GROUPS])
def test_every_command_explains_itself(command: str) -> None:
    done = RUN.invoke(app, [command, "--help"])
    assert done.exit_code == 0
    assert f"Usage: linewitness {command} " in done.stdout
