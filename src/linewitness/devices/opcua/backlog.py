"""Hold deliveries between the network and capture: bounded, in order, and honest about what it drops."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from asyncua import ua

from linewitness.base.clock import Clock, Stamp

LAST_HANDLE: Final = 4_294_967_295
#: The source of gaps in which changes of any point may be missing.
SUBSCRIPTION: Final = "subscription"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notification message: what a server had to say at once."""

    received: Stamp
    subscription: int
    sequence: int
    content: tuple[object, ...]

    @property
    def changes(self) -> int:
        """How many values it holds; a keep-alive holds none."""
        return sum(
            len(part.MonitoredItems) for part in self.content if isinstance(part, ua.DataChangeNotification)
        )

    def below(self, handle: int) -> int:
        """How many values it holds of items whose handles are below this one."""
        return sum(
            change.ClientHandle < handle
            for part in self.content
            if isinstance(part, ua.DataChangeNotification)
            for change in part.MonitoredItems
        )


@dataclass(slots=True)
class Dropped:
    """Deliveries of one subscription that did not fit, one after the other."""

    subscription: int
    first: Stamp
    last: Stamp
    count: int


class Backlog:
    """A queue whose length is counted in changes; what arrives while it is full is dropped and marked."""

    def __init__(self, *, limit: int, clock: Clock) -> None:
        """Take up to `limit` changes."""
        self._limit = limit
        self._clock = clock
        self._held: deque[Delivery | Dropped] = deque()
        self._changes = 0
        self._filled = asyncio.Event()
        self._lost = ""
        #: When each subscription last delivered something, taken out or not.
        self.arrived: dict[int, Stamp] = {}
        #: Handles from here on are heartbeats: losing one of them loses nothing.
        self.heartbeats_from = LAST_HANDLE

    def take(self, result: ua.PublishResult) -> None:
        """Keep one answer of the server. Called by the library between two requests: only enqueues."""
        message = result.NotificationMessage
        delivery = Delivery(
            self._clock.stamp(),
            result.SubscriptionId,
            message.SequenceNumber,
            tuple(message.NotificationData or ()),
        )
        self.arrived[delivery.subscription] = delivery.received
        for part in delivery.content:
            if isinstance(part, ua.StatusChangeNotification):
                self._lost = str(part.Status.name)
        count = delivery.changes
        if count and self._changes + count > self._limit:
            self._drop(delivery)
        else:
            self._held.append(delivery)
            self._changes += count
        self._filled.set()

    def _drop(self, delivery: Delivery) -> None:
        count = delivery.below(self.heartbeats_from)
        last = self._held[-1] if self._held else None
        if isinstance(last, Dropped) and last.subscription == delivery.subscription:
            last.last = delivery.received
            last.count += count
            return
        self._held.append(Dropped(delivery.subscription, delivery.received, delivery.received, count))

    @property
    def lost(self) -> str:
        """Why a subscription ended; empty while all live."""
        return self._lost

    def pop(self) -> Delivery | Dropped | None:
        """Return the oldest delivery, or the mark of what was dropped at this place, or None."""
        if not self._held:
            self._filled.clear()
            return None
        held = self._held.popleft()
        if isinstance(held, Delivery):
            self._changes -= held.changes
        return held

    def waiting(self) -> Iterable[Delivery | Dropped]:
        """Return what is held, oldest first, without taking it out."""
        return tuple(self._held)

    async def filled(self) -> None:
        """Return once there is something to take out."""
        await self._filled.wait()
