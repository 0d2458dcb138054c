"""Where deliveries come from: a subscription that the server feeds, or our own polling."""

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final, Protocol

from asyncua import ua

from linewitness.base.clock import NS_PER_S, Clock, Stamp, monotonic
from linewitness.base.errors import DeviceUnavailable
from linewitness.devices.opcua.backlog import Backlog, Delivery, Dropped
from linewitness.devices.opcua.connection.failures import spoken
from linewitness.devices.opcua.connection.server import Server, read
from linewitness.devices.opcua.connection.wire import Client
from linewitness.devices.opcua.decoding.values import status_name
from linewitness.devices.opcua.monitor import Item, Monitor
from linewitness.devices.opcua.options import OpcUaOptions
from linewitness.devices.opcua.refusals import is_refusal
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
        held = self._backlog.pop()
        if isinstance(held, Delivery):
            self._newest = held.received
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


class Polled:
    """Fed by reading all nodes in a fixed rhythm; evidence is passed on where it changed."""

    def __init__(self, *, client: Client, options: OpcUaOptions, clock: Clock, server: Server) -> None:
        """Read nothing yet."""
        self._client = client
        self._options = options
        self._clock = clock
        self._server = server
        self._items: list[Item] = []
        self._held: list[Delivery] = []
        self._last: dict[int, tuple[object, int]] = {}
        self.grid = PollGrid(period_s=options.poll_ms / 1000, clock=clock)
        self._due = -math.inf
        self._sequence = 0
        self.refused: dict[int, str] = {}
        self.heard: Stamp | None = None

    async def start(self, items: Sequence[Item]) -> None:
        """Read all nodes once, which shows what the server refuses."""
        for item in items:
            if item.node is None:
                self.refused[item.handle] = "the server has no such namespace"
            elif item.role in {"alarm", "audit"}:
                self.refused[item.handle] = "alarms and audit events need mode: subscribe"
            else:
                self._items.append(item)
        self.grid.advance()
        await self._poll()

    def pop(self) -> Delivery | None:
        """Return what the last poll found, or None."""
        if not self._held:
            return None
        self.heard = self._held[0].received
        return self._held.pop(0)

    def waiting(self) -> Iterable[Delivery | Dropped]:
        """Return what is still to be taken out."""
        return tuple(self._held)

    async def wait(self, due: float) -> None:
        """Poll when it is time to, or return at `due`."""
        now = monotonic()
        if self._due > now:
            await asyncio.sleep(max(0.0, min(self._due, due) - now))
        if monotonic() >= self._due:
            with spoken(self._options):
                await self._poll()

    async def _poll(self) -> None:
        self.grid.begin()
        nodes = [item.node for item in self._items if item.node is not None]
        with self.grid.asking():
            values = await read(self._client, nodes, limit=self._server.nodes_per_read)
        self._due = self.grid.advance()
        stamp = self._clock.stamp()
        found: list[ua.MonitoredItemNotification] = []
        for item, value in zip(self._items, values, strict=True):
            if is_refusal(value.StatusCode):
                self.refused[item.handle] = status_name(value.StatusCode)
                continue
            self.refused.pop(item.handle, None)
            if self._is_news(item, value):
                found.append(ua.MonitoredItemNotification(ClientHandle=item.handle, Value=value))
        notification = ua.DataChangeNotification()
        notification.MonitoredItems = found
        self._sequence += 1
        self._held.append(Delivery(stamp, 0, self._sequence, (notification,)))

    def _is_news(self, item: Item, value: ua.DataValue) -> bool:
        deadband = item.point.deadband if item.point is not None else None
        if item.role == "telemetry" and deadband is None:
            return True
        state = (
            value.Value.Value if value.Value else None,
            value.StatusCode.value if value.StatusCode else 0,
        )
        known = self._last.get(item.handle)
        if known is not None and known[1] == state[1] and _is_near(known[0], state[0], deadband):
            return False
        self._last[item.handle] = state
        return True

    def check(self) -> None:
        """Do nothing: polling ends by an answer that does not come, which `wait` raises."""

    async def retry_refused(self, items: Sequence[Item]) -> None:
        """Refused nodes are asked for at each poll."""


def _is_near(told: object, now: object, deadband: Decimal | None) -> bool:
    """Whether a value is the one that was told last, or within the deadband of it (OPC 10000-8, 7.2.2)."""
    if told == now or deadband is None:
        return told == now
    if isinstance(told, list) and isinstance(now, list):
        pairs = zip(told, now, strict=False)
        return len(told) == len(now) and all(_is_near(old, new, deadband) for old, new in pairs)
    if isinstance(told, bool) or not (isinstance(told, int | float) and isinstance(now, int | float)):
        return False
    return abs(now - told) <= deadband
