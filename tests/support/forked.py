"""A gateway that is forked from a process which has loaded its code already, so that it starts at once.

What runs is `linewitness run` from its first line on, in a process of its own: journal, keys, drivers, log.
Only the second that Python takes for its imports is spent once, so that kills meet the gateway's own work.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from linewitness.demo.plant import Plant, Process
from support.present import present

_PROGRAM = """
import os, signal, sys
from pathlib import Path
import linewitness.base.line_writer, linewitness.gateway.app, linewitness.cli, linewitness.cli.logs
from linewitness.config import load

line, log = sys.argv[1:]
load(Path(line))
pid = None
for command in iter(sys.stdin.readline, ""):
    if command == "start\\n":
        pid = os.fork()
        if pid == 0:
            for number in (1, 2):
                os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT), number)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            sys.argv = ["linewitness", "run", line]
            code = 70
            try:
                linewitness.cli.main()
            except SystemExit as end:
                code = int(end.code or 0)
            finally:
                linewitness.base.line_writer.flush_all(2)
                sys.stdout.flush()
                os._exit(code)
        print(pid, flush=True)
    else:
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class ForkedProcess(Process):
    """Takes the place of `plant.gateway`. Its pid stays its own until `wait` has told how it ended."""

    def __init__(self, plant: Plant, mother: asyncio.subprocess.Process) -> None:
        super().__init__("gateway", plant.folder, "run", str(plant.line_file))
        self._mother = mother
        self._pid = 0
        self._code: int | None = None
        self._said_before = 0

    async def start(self) -> None:
        await self.wait()
        self._said_before = self.log.stat().st_size if self.log.exists() else 0
        self._pid, self._code = int(await self._ask(b"start\n")), None

    async def _ask(self, command: bytes) -> bytes:
        present(self._mother.stdin).write(command)
        async with asyncio.timeout(60):
            answer = await present(self._mother.stdout).readline()
        assert answer, "the process that forks gateways ended"
        return answer

    @property
    def running(self) -> bool:
        if not self._pid or self._code is not None:
            return False
        return Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"

    @property
    def pid(self) -> int:
        return self._pid

    def said(self) -> str:
        """Return what it wrote since it was started last."""
        with self.log.open() as file:
            file.seek(self._said_before)
            return file.read()

    async def wait(self) -> int:
        """Wait for its end and return its exit code; minus the signal's number where one ended it."""
        if self._pid and self._code is None:
            while self.running:  # noqa: ASYNC110 (the mother would wait, and could fork no more)
                await asyncio.sleep(0.005)
            self._code = int(await self._ask(b"wait\n"))
        return self._code or 0

    async def _end(self, number: int) -> None:
        if self._pid and self._code is None:
            os.kill(self._pid, number)  # ended or not, nobody else can have this number yet
            await self.wait()

    def ask_to_stop(self) -> None:
        """Send SIGTERM, and do not wait."""
        os.kill(self._pid, signal.SIGTERM)


@asynccontextmanager
async def forked_gateway(plant: Plant) -> AsyncIterator[Any]:
    """Let the plant's gateway be forked, for the time of a block."""
    mother = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PROGRAM, str(plant.line_file), str(plant.folder / "gateway.log")),
        cwd=plant.folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    plain, plant.gateway = plant.gateway, ForkedProcess(plant, mother)
    try:
        yield plant.gateway
    finally:
        await plant.gateway.kill()
        plant.gateway = plain
        with contextlib.suppress(ProcessLookupError):
            mother.kill()
        await mother.wait()
