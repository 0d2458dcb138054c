"""Calls that may hang for ever, in threads that do not keep the process."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def in_daemon_thread(call: Callable[[], T], name: str) -> T:
    """Return what a blocking call returns, or raise what it raises.

    Who is cancelled leaves the thread behind; unlike those of an executor it does not hold up the end of the
    process.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def succeed(result: T) -> None:
        if not done.cancelled():
            done.set_result(result)

    def fail(error: Exception) -> None:
        if not done.cancelled():
            done.set_exception(error)

    def work() -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            try:
                result = call()
            except Exception as error:  # noqa: BLE001 (it is raised where the call is waited for)
                loop.call_soon_threadsafe(fail, error)
            else:
                loop.call_soon_threadsafe(succeed, result)

    threading.Thread(target=work, name=name, daemon=True).start()
    return await done


async def uninterrupted(work: asyncio.Future[T]) -> T:
    """Wait for a thread's work to its end, also when cancelled: the caller must know the outcome."""
    cancelled = False
    while True:
        try:
            done = await asyncio.shield(work)
        except asyncio.CancelledError:
            if work.cancelled():
                raise
            cancelled = True
            continue
        if cancelled:
            asyncio.current_task().cancel()  # type: ignore[union-attr]  # inside a coroutine there is a task
        return done
