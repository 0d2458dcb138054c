"""Look at all that is kept once a day, a little at a time, so that damage is known before it is needed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, NoReturn

from linewitness.base.errors import LinewitnessError

#: Not while a service starts.
FIRST_S: Final = 15 * 60.0
EVERY_S: Final = 24 * 3600.0

#: One look at a small part of it; returns what is damaged there, a sentence, or the empty string.
Look = Callable[[], Awaitable[str]]


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


async def damage_in(looks: AsyncIterator[Look], *, pause_s: float) -> list[str]:
    """Take all looks with a pause after each, and return what is damaged, each sentence once."""
    damage: list[str] = []
    async for look in looks:
        try:
            found = await look()
        except (
            LinewitnessError
        ) as error:  # a disk that cannot read it back is no better than one that changed it
            found = error.what
        if found and found not in damage:
            damage.append(found)
        await asyncio.sleep(pause_s)
    return damage
