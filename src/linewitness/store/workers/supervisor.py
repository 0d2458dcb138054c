"""Keep the workers of a store alive: start them, look after them, start again what ends, and stop all."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Never

import structlog

from linewitness.base.errors import ConfigurationError
from linewitness.base.failures import deciding
from linewitness.base.retry import Backoff
from linewitness.base.stopping import on_signal
from linewitness.base.watchdog import COMMIT_S, Loop, tell_systemd
from linewitness.store.workers.process import LOOK_S, WorkerProcess, is_final, words

#: A worker that ends again and again is started at most this often.
LONGEST_PAUSE_S: Final = 60.0

_log = structlog.get_logger(__name__)


class WorkerSupervisor:
    """The workers of one store."""

    def __init__(self, commands: Sequence[Sequence[str]], *, look_s: float = LOOK_S) -> None:
        """Take how each worker is started."""
        self.workers = [
            WorkerProcess(number, command, look_s=look_s, told=self._told)
            for number, command in enumerate(commands)
        ]
        #: All workers were subscribed at one time.
        self.ready = asyncio.Event()
        self._look_s = look_s
        self._looks = 0

    @property
    def sentence(self) -> str:
        """What `systemctl status` shows."""
        serving = sum(worker.serving for worker in self.workers)
        parts = [f"{serving} of {len(self.workers)} workers serve their gateways"]
        return "; ".join(parts + [f"worker {worker.number}: {worker.state}" for worker in self.workers])

    def loops(self) -> Iterator[Loop]:
        """Yield what the watchdog looks at."""
        yield Loop("look after workers", COMMIT_S, lambda: self._looks)

    async def run(self) -> None:
        """Keep all workers alive until cancelled, which stops them; ConfigurationError if one cannot run."""
        _log.info("store started with workers", workers=len(self.workers))
        try:
            with TemporaryDirectory(prefix="linewitness-") as folder:
                await self._keep_all(Path(folder))
        except BaseExceptionGroup as group:
            raise deciding(group, retried=()) from group

    async def run_until_signalled(self, announce: Callable[[], None]) -> None:
        """Keep them until SIGTERM or SIGINT; `announce` is called once all are subscribed."""
        stop = on_signal()
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(self.run(), name="store:workers"),
                    tasks.create_task(self._announce(announce), name="store:ready"),
                ]
                await stop.wait()
                for task in running:
                    task.cancel()
        except BaseExceptionGroup as group:
            raise deciding(group, retried=()) from group

    async def _announce(self, announce: Callable[[], None]) -> None:
        await self.ready.wait()
        announce()

    async def _keep_all(self, folder: Path) -> Never:
        async with asyncio.TaskGroup() as tasks:
            for worker in self.workers:
                tasks.create_task(self._keep(worker, folder), name=f"store:worker-{worker.number}")
            while True:
                self._looks += 1
                await asyncio.sleep(self._look_s)

    async def _keep(self, worker: WorkerProcess, folder: Path) -> Never:
        backoff = Backoff(cap_s=LONGEST_PAUSE_S, steady_s=LONGEST_PAUSE_S)
        while True:
            backoff.succeeded()
            code = await worker.live(folder)
            if is_final(code):
                raise ConfigurationError(
                    f"worker {worker.number} {words(code)}", hint="its last lines in the log say why"
                )
            pause_s = backoff.next_s()
            worker.state = f"{words(code)}, started again"
            _log.error(
                "a worker ended: its gateways wait until it is started again",
                worker=worker.number,
                how=words(code),
                pause_s=round(pause_s, 1),
            )
            self._told()
            await asyncio.sleep(pause_s)

    def _told(self) -> None:
        tell_systemd(f"STATUS={self.sentence}")
        if all(worker.serving for worker in self.workers):
            self.ready.set()
