"""Let a process end when it is asked to."""

import asyncio
import signal
from collections.abc import Iterable
from typing import Final

STOP: Final = (signal.SIGINT, signal.SIGTERM)


def on_signal(signals: Iterable[signal.Signals] = STOP) -> asyncio.Event:
    """Return an event of the running loop that any of these signals sets."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in signals:
        loop.add_signal_handler(number, asked.set)
    return asked


def heed_cancellation() -> None:
    """Raise the cancellation that a TaskGroup dropped because one of its tasks failed at the same moment.

    Before Python 3.13 only the failure comes out of the group, and the request to end is never made again:
    a loop that tries again after failures asks here first.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
