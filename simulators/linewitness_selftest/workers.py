"""Processes for jobs on a journal, that cost milliseconds to start and can be killed, watched and failed."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from linewitness.base.errors import LinewitnessError
from linewitness_selftest.jobs import TOLD
from linewitness_selftest.results import ToldResults

KILLED: Final = -signal.SIGKILL
_LOOK_S: Final = 0.01


class SelftestFailed(LinewitnessError):
    """The selftest itself could not go on; this says nothing of the journal."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a job's process ended: its exit code, or minus the signal; and what it said."""

    code: int
    said: str

    def __str__(self) -> str:
        return f"exit code {self.code}, {' '.join(self.said.split())[-300:]}"


class Worker:
    """One process that forks for each job; use `running_worker`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Take the server's process."""
        self._process = process

    async def run(
        self, job: str, folder: Path, *, kill_after_s: float | None = None, **arguments: Any
    ) -> Ended:
        """Do a job in a folder, to its end or until it is killed."""
        await self.fork(job, folder, **arguments)
        return await self.release(kill_after_s=kill_after_s)

    async def make(self, job: str, folder: Path, **arguments: Any) -> None:
        """Do a job that must end well in a folder, which is made where it is not there yet."""
        await asyncio.to_thread(folder.mkdir, exist_ok=True)
        ended = await self.run(job, folder, **arguments)
        if ended.code != 0:
            raise SelftestFailed(f"no journal could be made: {ended}")

    async def run_until(
        self, job: str, folder: Path, reached: Callable[[ToldResults], bool], **arguments: Any
    ) -> Ended:
        """Do a job in a folder until the ledger of what was confirmed says that it may be killed."""
        pid = await self.fork(job, folder, **arguments)
        with ToldResults(folder / TOLD) as told:
            async with asyncio.TaskGroup() as group:
                ending = group.create_task(self.release(), name="job")
                while not (ending.done() or reached(told)):  # noqa: ASYNC110 (memory gives no sign)
                    await asyncio.sleep(_LOOK_S)
                if not ending.done():
                    os.kill(pid, signal.SIGKILL)
        return ending.result()

    async def fork(self, job: str, folder: Path, **arguments: Any) -> int:
        """Make a process for a job, which waits, and return its id."""
        self._tell({"job": job, "folder": str(folder), "arguments": arguments})
        return int((await self._answer())["pid"])

    async def release(self, *, kill_after_s: float | None = None) -> Ended:
        """Let the process do its job, and wait for its end."""
        self._tell({"kill_after_s": kill_after_s})
        answer = await self._answer()
        return Ended(answer["code"], answer["said"])

    def _tell(self, members: dict[str, Any]) -> None:
        if self._process.stdin is None:
            raise SelftestFailed("the selftest's process has no input")
        self._process.stdin.write(json.dumps(members).encode() + b"\n")

    async def _answer(self) -> dict[str, Any]:
        line = await self._process.stdout.readline() if self._process.stdout else b""
        if not line:
            raise SelftestFailed(
                "a process of the selftest ended by itself", hint="look for messages of the kernel: dmesg"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer


@asynccontextmanager
async def running_worker() -> AsyncIterator[Worker]:
    """Start a worker; it and its jobs end with the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "linewitness_selftest.worker"),
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the selftest, which ends its workers itself
    )
    try:
        yield Worker(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
