"""Stop on a signal, also in the middle of an attempt that is repeated."""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterable
from typing import Any, Final, TypeVar

T = TypeVar("T")

STOP: Final = (signal.SIGINT, signal.SIGTERM)


def on_signal(signals: Iterable[signal.Signals] = STOP) -> asyncio.Event:
    """Return an event of the running loop that any of these signals sets."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in signals:
        loop.add_signal_handler(number, asked.set)
    return asked


async def attempted(
    work: Coroutine[Any, Any, T], *, retried: type[Exception] | tuple[type[Exception], ...]
) -> T:
    """Do one attempt of a loop that tries again after `retried`, in a task of its own.

    Where an attempt fails at the very moment at which the loop is asked to end, a TaskGroup inside lets
    the failure out and drops the request, which is never made again. And where a part of it fails while
    the group waits for its end, Python before 3.13 leaves a request behind that nobody made. In a task of
    its own the attempt can do neither to the loop. Other failures than `retried` outweigh the request.
    """
    task = asyncio.get_running_loop().create_task(work)
    try:
        await asyncio.wait([task])
        return task.result()
    except asyncio.CancelledError:
        task.cancel()
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled() and not isinstance(task.exception(), retried):
            task.result()
        raise
    finally:
        del task  # its failure knows this frame: a circle that would live until the next search for such
