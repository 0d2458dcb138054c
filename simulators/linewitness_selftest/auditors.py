"""Processes that judge what is left after a fault, so that all cores of the machine take part."""

import asyncio
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Final, ParamSpec, TypeVar

import structlog

P = ParamSpec("P")
T = TypeVar("T")

#: As many as there are faults at a time.
_PROCESSES: Final = 2


class Auditors:
    """Judge in other processes."""

    def __init__(self, executor: Executor) -> None:
        """Use `running_auditors`."""
        self._executor = executor

    async def ask(self, judge: Callable[P, T], *arguments: P.args, **_: P.kwargs) -> T:
        """Return what a function says of its arguments; both go to another process."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, judge, *arguments)


@contextmanager
def running_auditors() -> Iterator[Auditors]:
    """Start the processes; they end with the block."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(_PROCESSES, mp_context=context, initializer=_begin) as executor:
        for _ in range(_PROCESSES):
            executor.submit(os.getpid)  # they start now, not with the first fault
        yield Auditors(executor)


def _begin() -> None:
    """Leave Ctrl-C to the process that asks, and say nothing but in findings."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
