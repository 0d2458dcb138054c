"""What has been pushed or observed and not been taken yet."""

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from linewitness.base.errors import DeviceError
from linewitness.devices.base import Observation

#: Stored results are not fetched while so many observations wait; live ones always find room.
ENOUGH: Final = 100
#: A controller pushes one telegram of a kind and waits. One with so many unconfirmed waits for nothing.
MAX_PUSHES: Final = 1_000
MAX_PUSHED_BYTES: Final = 8 * 1024 * 1024
#: Pushes become observations at once; these wait while the journal commits, or cannot.
MAX_OBSERVATIONS: Final = 2_000
MAX_OBSERVED_BYTES: Final = 16 * 1024 * 1024

Item = TypeVar("Item")


class BoundedQueue(Generic[Item]):
    """A queue that never makes the caller wait; it says when it is full, and the caller ends the session.

    Nothing in it is dropped: what came before the end is committed all the same.
    """

    def __init__(self, *, most: int, most_bytes: int, bytes_of: Callable[[Item], int]) -> None:
        """Start empty; full is at `most` items, or at `most_bytes` of what came from the network."""
        self._queue: asyncio.Queue[Item] = asyncio.Queue()
        self._most, self._most_bytes = most, most_bytes
        self._bytes_of = bytes_of
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether more waits than ever waits behind a controller that keeps to the protocol."""
        return self._queue.qsize() >= self._most or self._bytes >= self._most_bytes

    def put(self, item: Item) -> None:
        """Add one more, even if it is full: the reason why it ends must find room as well."""
        self._queue.put_nowait(item)
        self._bytes += self._bytes_of(item)

    async def get(self) -> Item:
        """Wait for the next one."""
        item = await self._queue.get()
        self._bytes -= self._bytes_of(item)
        return item

    def __len__(self) -> int:
        return self._queue.qsize()


class ObservationQueue(BoundedQueue[Observation | DeviceError]):
    """Observations in the order in which they came to be: what is remembered with them depends on it."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__(most=MAX_OBSERVATIONS, most_bytes=MAX_OBSERVED_BYTES, bytes_of=_raw_bytes)
        #: Before that nobody takes observations: who waits for room then waits for ever.
        self._is_read = False
        self._room = asyncio.Event()
        self._room.set()

    def put(self, item: Observation | DeviceError) -> None:
        """Add an observation, or why there will be no more."""
        super().put(item)
        if len(self) >= ENOUGH:
            self._room.clear()

    async def get(self) -> Observation | DeviceError:
        """Wait for the next one."""
        self._is_read = True
        item = await super().get()
        if len(self) < ENOUGH:
            self._room.set()
        return item

    async def room(self) -> None:
        """Wait until stored results may be fetched again; not while nobody has begun to read."""
        if self._is_read:
            await self._room.wait()


def _raw_bytes(item: Observation | DeviceError) -> int:
    return len(item.raw or b"") if isinstance(item, Observation) else 0
