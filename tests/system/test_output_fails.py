"""Commands whose output cannot be written end with a code of their own, never with that of BROKEN."""

import asyncio
import os
import shlex
import sys
from pathlib import Path

import pytest

from linewitness.base.errors import ExitCode
from support.lines import prepare, write_line


@pytest.fixture
async def line(tmp_path: Path) -> Path:
    file = write_line(tmp_path)
    await prepare("init", file)
    return file


async def shell(line: Path, command: str, **environment: str) -> int:
    """Run a command of `linewitness` in the shell, `{line}` being the YAML; return its exit code."""
    text = command.format(line=shlex.quote(str(line)))
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", f"{sys.executable} -m linewitness {text}",
        env=os.environ | environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    async with asyncio.timeout(60):
        return await process.wait()


@pytest.mark.parametrize(
    "command",
    [
        "check {line} > /dev/full",
        "--version > /dev/full",
        "check {line}.is-not-there 2> /dev/full",
        "verify {line} > /dev/full",
        "export {line} --ndjson > /dev/full",
        "init {line} 2> /dev/full",
        "verify {line} | true; exit ${{PIPESTATUS[0]}}",
        "export {line} --ndjson | true; exit ${{PIPESTATUS[0]}}",
    ],
)
async def test_a_command_whose_output_cannot_be_written_says_so_by_its_exit_code(
    line: Path, command: str
) -> None:
    assert await shell(line, command) == ExitCode.OUTPUT


async def test_it_is_the_same_without_buffers_as_under_systemd(line: Path) -> None:
    for command in ("check {line} > /dev/full", "verify {line} > /dev/full", "init {line} 2> /dev/full"):
        assert await shell(line, command, PYTHONUNBUFFERED="1") == ExitCode.OUTPUT


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("check {line} 2> /dev/full", ExitCode.OK),
        ("verify {line} 2> /dev/full", ExitCode.OK),
        ("verify {line} >&- 2>&-", ExitCode.OK),
        ("check {line}.is-not-there >&- 2>&-", ExitCode.CONFIGURATION),
        ("init {line} >&- 2>&-", ExitCode.JOURNAL),
    ],
)
async def test_output_that_is_not_needed_or_not_wanted_changes_no_exit_code(
    line: Path, command: str, code: ExitCode
) -> None:
    assert await shell(line, command) == code
