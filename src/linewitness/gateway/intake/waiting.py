"""What was taken from a device and waits for its commit: bounded by the observations that it holds."""

import asyncio
from collections import deque

from linewitness.base.errors import DeviceError
from linewitness.gateway.intake.intake import QueuedObservation


class WaitingObservations:
    """A queue of what was taken, in order, and of the end of the session; one task puts, one takes.

    A group of values counts as many observations as it holds.
    """

    def __init__(self, most: int) -> None:
        """Let `put` wait while so many observations are held."""
        self._most = most
        self._held = 0
        self._items: deque[QueuedObservation | DeviceError] = deque()
        self._filled = asyncio.Event()
        self._room = asyncio.Event()

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._items

    async def put(self, item: QueuedObservation | DeviceError) -> None:
        """Append an item as soon as there is room."""
        while self._held >= self._most:
            self._room.clear()
            await self._room.wait()
        self._held += _weight(item)
        self._items.append(item)
        self._filled.set()

    async def get(self) -> QueuedObservation | DeviceError:
        """Wait for the oldest item, and take it."""
        while not self._items:
            self._filled.clear()
            await self._filled.wait()
        return self.take()

    def take(self) -> QueuedObservation | DeviceError:
        """Take the oldest item, which must be there."""
        item = self._items.popleft()
        self._held -= _weight(item)
        self._room.set()
        return item


def _weight(item: QueuedObservation | DeviceError) -> int:
    return max(1, item.count) if isinstance(item, QueuedObservation) else 1
