"""Wait for a condition, never for a time."""

import asyncio
from collections.abc import Awaitable, Callable

#: Long enough for a machine that has much else to do; a condition that holds ends the wait at once.
WAIT_S = 60.0
LOOK_S = 0.01


async def until(
    condition: Callable[[], object],
    what: str | Callable[[], object] = "a condition",
    *,
    timeout_s: float = WAIT_S,
) -> None:
    """Wait until a condition holds; AssertionError names the one that did not."""
    try:
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 (a test looks from outside; nothing tells it)
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        raise AssertionError(f"waited {timeout_s:g} s for {what() if callable(what) else what}") from None


async def until_answer(ask: Callable[[], Awaitable[object]], wanted: object) -> None:
    """Wait until another process gives this answer; AssertionError shows the last one."""
    answer: object = None
    try:
        async with asyncio.timeout(WAIT_S):
            while (answer := await ask()) != wanted:  # noqa: ASYNC110 (as above)
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        raise AssertionError(
            f"waited {WAIT_S:g} s for {wanted!r}, and the last answer is {answer!r}"
        ) from None


async def until_listening(port: int) -> None:
    """Wait until something on this machine takes connections at a port."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(LOOK_S)
                continue
            writer.close()
            return
