"""`linewitness store run`: one process, or a supervisor with its workers."""

import asyncio
import functools
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import structlog

from linewitness.base.clock import SystemClock
from linewitness.base.secrets import refuse_exposed
from linewitness.base.watchdog import supervised
from linewitness.config.files import secret_files
from linewitness.store.service import print_ready, run_until_signalled
from linewitness.store.work import StoreWork
from linewitness.store.workers.supervisor import WorkerSupervisor

if TYPE_CHECKING:
    from linewitness.base.log_limits import LogFigures
    from linewitness.store.options import AuditStoreOptions


def serve(options: "AuditStoreOptions", worker: int | None, log: "Callable[[], LogFigures]") -> None:
    """Serve all gateways, or those of one worker, in this process."""
    if worker is not None:
        options = options.of_worker(worker)
        structlog.contextvars.bind_contextvars(worker=worker)
    refuse_exposed(secret_files(options))
    work = StoreWork()

    async def run() -> None:
        async with supervised(work.loops, status=lambda: _sentence(work.sentence, log)):
            await run_until_signalled(options, clock=SystemClock(), work=work, worker=worker)

    asyncio.run(run())


def supervise(
    options: "AuditStoreOptions", arguments: Sequence[str], log: "Callable[[], LogFigures]"
) -> None:
    """Serve with workers, which are started with these arguments and their number."""
    for number in range(options.workers):
        refuse_exposed(secret_files(options.of_worker(number)))
    program = (sys.executable, "-m", "linewitness", "store", "run", *arguments, "--worker")

    async def run() -> None:
        supervisor = WorkerSupervisor([(*program, str(number)) for number in range(options.workers)])
        async with supervised(supervisor.loops, status=lambda: _sentence(supervisor.sentence, log)):
            await supervisor.run_until_signalled(functools.partial(print_ready, options.mqtt.url))

    asyncio.run(run())


def _sentence(sentence: str, log: "Callable[[], LogFigures]") -> str:
    return "; ".join(filter(None, (sentence, log().sentence)))
