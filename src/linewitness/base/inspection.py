"""Inspect stored data once a day, a little at a time, in a thread that delays neither the loop nor a stop."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Final, NoReturn, Self, TypeVar

from linewitness.base.errors import LinewitnessError

#: Not while a service starts.
FIRST_S: Final = 15 * 60.0
EVERY_S: Final = 24 * 3600.0
#: After so many instructions of its virtual machine (a few milliseconds) SQLite asks whether to go on.
INSTRUCTIONS: Final = 100_000

T = TypeVar("T")

#: One look at a small part of it; returns what is damaged there, a sentence, or the empty string.
Look = Callable[[], Awaitable[str]]


class InspectionThread:
    """One thread for the queries of an inspection; leaving it waits for nothing.

    A query that runs or begins after that is interrupted. `close` runs in the thread after the last query.
    """

    def __init__(self, *, close: Callable[[], object] = lambda: None) -> None:
        """Take what closes the connection; the thread starts with the first query."""
        self._close = close
        self._executor = ThreadPoolExecutor(1, "inspection")
        self._left = Event()

    def __enter__(self) -> Self:
        """Return the thread."""
        return self

    def __exit__(self, *_: object) -> None:
        """Interrupt the query that runs, and close after it."""
        self._left.set()
        self._executor.submit(self._close)
        self._executor.shutdown(wait=False)

    async def run(self, query: Callable[[], T]) -> T:
        """Run a query in the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, query)

    @property
    def is_left(self) -> bool:
        """Whether nobody waits for a query any more."""
        return self._left.is_set()

    def guard(self, connection: sqlite3.Connection) -> None:
        """Let SQLite ask during each query whether to end it: one that starts late is interrupted as well."""
        connection.set_progress_handler(self._left.is_set, INSTRUCTIONS)


async def daily(
    inspect: Callable[[], Awaitable[list[str]]], *, tell: Callable[[list[str]], object]
) -> NoReturn:
    """Inspect for ever; `tell` is given what is damaged after each round, or an empty list."""
    await asyncio.sleep(FIRST_S)
    while True:
        try:
            damage = await inspect()
        except LinewitnessError as error:
            damage = [error.what]
        tell(damage)
        await asyncio.sleep(EVERY_S)


async def damage_in(
    looks: AsyncIterator[Look], *, pause_s: float, raised: tuple[type[LinewitnessError], ...] = ()
) -> list[str]:
    """Take all looks with a pause after each, and return what is damaged, each sentence once.

    An error is damage as well, but for those that are `raised`: they say nothing of what is stored.
    """
    damage: list[str] = []
    async for look in looks:
        try:
            found = await look()
        except raised:
            raise
        except LinewitnessError as error:
            # A disk that cannot read the data back is no better than one that changed them.
            found = error.what
        if found and found not in damage:
            damage.append(found)
        await asyncio.sleep(pause_s)
    return damage
