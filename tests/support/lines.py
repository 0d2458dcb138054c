"""A line's YAML for tests of the command line: one scanner that nobody has to answer for."""

import asyncio
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from linewitness.cli import app

YAML = """\
version: 1
line:
  tenant: acme
  plant: ber-01
  line: line-02
  gateway: gw-02
  origin: acme.example/ber-01/line-02/{generation}
journal:
  directory: journal
{journal}
devices:
  - id: scanner-1
    driver: scanner
    host: 127.0.0.1
    port: 9
{more}
"""


def write_line(folder: Path, *, generation: int = 1, journal: str = "", more: str = "") -> Path:
    """Write the YAML of a line whose journal is `journal` beside it; the texts are further settings."""
    file = folder / "line.yaml"
    file.write_text(YAML.format(generation=generation, journal=journal, more=more))
    return file


def call(*arguments: object) -> Any:
    """Run one command in this process; `.exit_code`, `.output`, `.exception` say what came of it."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


async def prepare(*arguments: object) -> str:
    """Run a command that a test needs done before it begins, in this process; return what it printed.

    A process of its own costs a second of the processor.
    """
    done = await asyncio.to_thread(call, *arguments)
    assert done.exit_code == 0, f"{done.output}{done.exception!r}"
    output: str = done.output
    return output
