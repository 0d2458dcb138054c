"""What has been observed and not been taken yet."""

import asyncio
from typing import Final

from linewitness.devices.base import Observation
from linewitness.errors import DeviceError

#: Stored results are not fetched while so many observations wait; live ones always find room.
ENOUGH: Final = 100


class Outbox:
    """A queue that never makes the caller wait: what is remembered keeps the order in which it came to be."""

    def __init__(self) -> None:
        """Start empty."""
        self._queue: asyncio.Queue[Observation | DeviceError] = asyncio.Queue()
        self._room = asyncio.Event()
        self._room.set()

    def put(self, item: Observation | DeviceError) -> None:
        """Add an observation, or why there will be no more."""
        self._queue.put_nowait(item)
        if self._queue.qsize() >= ENOUGH:
            self._room.clear()

    async def get(self) -> Observation | DeviceError:
        """Wait for the next one."""
        item = await self._queue.get()
        if self._queue.qsize() < ENOUGH:
            self._room.set()
        return item

    async def room(self) -> None:
        """Wait until stored results may be fetched again."""
        await self._room.wait()
