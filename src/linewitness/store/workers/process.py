"""One worker as its supervisor sees it: a process that says how it is, as it would say it to systemd."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import structlog

from linewitness.base.errors import ExitCode
from linewitness.store.workers.worker import SUBSCRIBED

#: Workers are looked at this often.
LOOK_S: Final = 5.0
#: After so many looks without a word from it a worker hangs. Looks are counted, not seconds: while the
#: machine is suspended none is taken.
HANG_LOOKS: Final = 12
#: Before its first word it gets longer: a slow machine takes its time to start a program.
START_LOOKS: Final = 60
#: A worker that was asked to stop gets this long; systemd waits longer for all of us.
STOP_S: Final = 30.0

_log = structlog.get_logger(__name__)


class WorkerProcess:
    """One worker, from one start to its end, again and again."""

    def __init__(
        self,
        number: int,
        command: Sequence[str],
        *,
        look_s: float = LOOK_S,
        told: Callable[[], object] = lambda: None,
    ) -> None:
        """Take how it is started; `told` is called when it says something new."""
        self.number = number
        #: What it said of itself, or what became of it.
        self.state = "starts"
        #: It is subscribed to the messages of its gateways.
        self.serving = False
        self.pid: int | None = None
        self._command = command
        self._look_s = look_s
        self._told = told
        self._silent = 0
        self._heard = False

    async def live(self, folder: Path) -> int:
        """Start it and wait for its end; return its exit code, or the signal that ended it as a negative.

        It is heard in a folder that only we can use. Who cancels this asks it to stop, and waits for that.
        """
        self.state, self._silent, self._heard = "starts", 0, False
        address = folder / f"worker-{self.number}"
        with self._listening(address):
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,  # it ends when this closes: nobody is left behind
                stdout=asyncio.subprocess.DEVNULL,
                env=self._environment(address),
            )
            self.pid = process.pid
            try:
                return await self._watched(process)
            finally:
                await _ended(process)
                self.pid, self.serving = None, False

    async def _watched(self, process: asyncio.subprocess.Process) -> int:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_s):
                    return await process.wait()
            self._silent += 1
            if self._silent == (HANG_LOOKS if self._heard else START_LOOKS):
                _log.error("a worker hangs: it is killed", worker=self.number, last=self.state)
                process.kill()

    def _environment(self, address: Path) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if name != "WATCHDOG_PID"}
        period = round(HANG_LOOKS * self._look_s * 1_000_000)
        return {**ours, "NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": str(period)}

    @contextmanager
    def _listening(self, address: Path) -> Iterator[None]:
        """Hear what the worker says while it lives."""
        loop = asyncio.get_running_loop()
        address.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as ear:
            ear.bind(str(address))
            loop.add_reader(ear, self._hear, ear)
            try:
                yield
            finally:
                loop.remove_reader(ear)
                address.unlink(missing_ok=True)

    def _hear(self, ear: socket.socket) -> None:
        with suppress(BlockingIOError):
            said = ear.recv(65_536).decode(errors="replace").split("\n")
            before = self.state, self.serving
            for name, _, value in (line.partition("=") for line in said):
                if name == "WATCHDOG":
                    self._silent, self._heard = 0, True
                elif name == "STATUS":
                    self.state = value
                elif name == SUBSCRIBED:
                    self.serving = True
            if before != (self.state, self.serving):
                self._told()


def words(code: int) -> str:
    """Return how a process ended, for operators."""
    return f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"


def is_final(code: int) -> bool:
    """Say whether another start would end in the same way."""
    return code == ExitCode.CONFIGURATION


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Ask a process to stop, if it has not, and do not wait for ever."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
