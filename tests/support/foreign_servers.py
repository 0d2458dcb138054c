"""Devices of other makers: a process of its own each, whose values a test changes over its stdin."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.npm import installed
from support.present import present

FOREIGN = Path(__file__).parents[1] / "foreign"
#: A server in JavaScript takes seconds to start on a machine that has other work.
ANSWER_S = 60.0


class ForeignServer:
    """A running server, and a line to it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Use `served` instead."""
        self.port = 0
        self._process = process

    def tell(self, text: str) -> None:
        """Send one line."""
        present(self._process.stdin).write(f"{text}\n".encode())

    async def line(self) -> str:
        """Return the next line that it prints; AssertionError if it ended instead."""
        async with asyncio.timeout(ANSWER_S):
            found = await present(self._process.stdout).readline()
        assert found, "the foreign server ended"
        return found.decode().strip()

    async def ask(self, text: str) -> str:
        """Send one line, and return the answer."""
        self.tell(text)
        return await self.line()


@contextlib.asynccontextmanager
async def served(*command: str) -> AsyncIterator[ForeignServer]:
    """Start a server that prints its port first, and end it with its stdin."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        server = ForeignServer(process)
        server.port = int(await server.line())
        yield server
    finally:
        present(process.stdin).close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                await process.wait()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def in_node(part: str) -> tuple[str, str]:
    """Return the command of a part in JavaScript, whose packages are installed first."""
    return "node", str(installed(FOREIGN / part) / "server.js")


def compiled(part: str, folder: Path, package: str) -> str:
    """Compile a part in C against a package that pkg-config knows, and return the program."""
    program = folder / part
    flags = _output("pkg-config", "--cflags", "--libs", package).split()
    _output("gcc", "-Wall", "-Werror", "-o", str(program), str(FOREIGN / part / "server.c"), *flags)
    return str(program)


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command)}: {done.stderr.strip()}; `make packages` installs what it needs")
    return done.stdout
