"""Where deliveries come from: a subscription that the server feeds, or our own polling."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from linewitness.base.clock import NS_PER_MS, NS_PER_S, Clock, Stamp
from linewitness.base.errors import DeviceUnavailable
from linewitness.devices.opcua.backlog import Backlog, Delivery, Dropped
from linewitness.devices.opcua.connection.server import Server
from linewitness.devices.opcua.connection.wire import Client
from linewitness.devices.opcua.monitor import Item, Monitor
from linewitness.devices.opcua.options import OpcUaOptions
from linewitness.devices.polling import PollGrid

#: Why a server ends a subscription (OPC 10000-4, 7.25.4).
_ENDS: Final = {
    "BadShutdown": "it shuts down",
    "BadTimeout": "none of our requests reached it in time",
    "GoodSubscriptionTransferred": "another client has taken it over",
}


class Source(Protocol):
    """What feeds a session."""

    @property
    def refused(self) -> Mapping[int, str]:
        """Why the server refused an item, by its handle."""

    @property
    def heard(self) -> Stamp | None:
        """When the server last delivered something that was taken out."""

    @property
    def known_until(self) -> Stamp | None:
        """Until when all evidence is known: what was taken out before the last `pop` has been yielded."""

    @property
    def grid(self) -> PollGrid | None:
        """The grid of our own polls, None where the server delivers by itself."""

    async def start(self, items: Sequence[Item]) -> None:
        """Begin; what the library raises is passed on."""

    def pop(self) -> Delivery | Dropped | None:
        """Return the oldest delivery, or None."""

    def waiting(self) -> Iterable[Delivery | Dropped]:
        """Return what is still to be taken out, oldest first, without taking it out."""

    async def wait(self, due: float) -> None:
        """Return when there may be something to take out, or at `due` on the loop's clock."""

    def check(self) -> None:
        """Raise DeviceUnavailable where the source is silent or has ended."""

    async def retry_refused(self, items: Sequence[Item]) -> None:
        """Ask again for what was refused."""


class Subscribed:
    """Fed by the server, through subscriptions."""

    grid = None

    def __init__(self, *, client: Client, options: OpcUaOptions, clock: Clock, server: Server) -> None:
        """Subscribe to nothing yet."""
        self._options = options
        self._clock = clock
        self._backlog = Backlog(limit=options.buffer, clock=clock)
        self._monitor = Monitor(client, options, server)
        self._newest: Stamp | None = None
        self._taken: Delivery | None = None
        self.known_until: Stamp | None = None

    @property
    def refused(self) -> Mapping[int, str]:
        """Why the server refused an item, by its handle."""
        return self._monitor.refused

    @property
    def heard(self) -> Stamp | None:
        """When the last delivery arrived that was taken out."""
        return self._newest

    async def start(self, items: Sequence[Item]) -> None:
        """Create the subscriptions."""
        self._backlog.heartbeats_from = len(items)
        await self._monitor.start(items, self._backlog.take)
        # A subscription that never delivers anything is silent from its beginning on.
        for number in (self._monitor.evidence_id, self._monitor.signals_id):
            if number:
                self._backlog.arrived.setdefault(number, self._clock.stamp())
        if self._monitor.evidence_id and any(item.role == "alarm" for item in items):
            await self._monitor.refresh_conditions()

    def pop(self) -> Delivery | Dropped | None:
        """Return the oldest delivery, or None."""
        if self._taken is not None and self._taken.subscription == self._monitor.evidence_id:
            self.known_until = _before(self._taken.received, self._monitor.sampling_ms)
        held = self._backlog.pop()
        self._taken = held if isinstance(held, Delivery) else None
        if self._taken is not None:
            self._newest = self._taken.received
        return held

    def waiting(self) -> Iterable[Delivery | Dropped]:
        """Return what is still to be taken out."""
        return self._backlog.waiting()

    async def wait(self, due: float) -> None:
        """Return with the next delivery, or at `due`."""
        self._raise_if_lost()
        try:
            async with asyncio.timeout_at(due):
                await self._backlog.filled()
        except TimeoutError:
            return

    def _raise_if_lost(self) -> None:
        if self._backlog.lost:
            why = _ENDS.get(self._backlog.lost, self._backlog.lost)
            raise DeviceUnavailable(f"{self._options.endpoint} ended the subscription: {why}")

    def check(self) -> None:
        """Raise DeviceUnavailable where a subscription has been silent for too long."""
        now = self._clock.stamp()
        for heard in self._backlog.arrived.values():
            silent_s = (now.boottime_ns - heard.boottime_ns) / NS_PER_S
            if silent_s > self._monitor.keep_alive_s:
                raise DeviceUnavailable(
                    f"{self._options.endpoint} answers, but its subscription is silent for {silent_s:.0f} s"
                )

    async def retry_refused(self, items: Sequence[Item]) -> None:
        """Ask again for what was refused."""
        waiting = [items[handle] for handle in self._monitor.refused]
        for signals, number in ((False, self._monitor.evidence_id), (True, self._monitor.signals_id)):
            group = [item for item in waiting if item.signals is signals]
            if group and number:
                await self._monitor.add(number, group)


def _before(moment: Stamp, duration_ms: float) -> Stamp:
    duration_ns = int(duration_ms * NS_PER_MS)
    return Stamp(moment.realtime_ns - duration_ns, moment.boottime_ns - duration_ns)
