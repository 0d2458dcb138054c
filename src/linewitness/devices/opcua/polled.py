"""Feed an OPC UA session by our own polling: nodes are read on a grid, evidence first."""

import asyncio
import math
from collections import deque
from collections.abc import Iterable, Sequence
from decimal import Decimal

from asyncua import ua

from linewitness.base.clock import Clock, Stamp, monotonic
from linewitness.devices.giving_way import TelemetryAdmission
from linewitness.devices.opcua.backlog import Delivery, Dropped
from linewitness.devices.opcua.connection.failures import spoken
from linewitness.devices.opcua.connection.server import Server, batches, read
from linewitness.devices.opcua.connection.wire import Client
from linewitness.devices.opcua.decoding.values import status_name
from linewitness.devices.opcua.monitor import Item
from linewitness.devices.opcua.options import OpcUaOptions
from linewitness.devices.opcua.refusals import is_refusal
from linewitness.devices.polling import PollGrid


class Polled:
    """Fed by reading all nodes in a fixed rhythm; evidence is passed on where it changed."""

    def __init__(self, *, client: Client, options: OpcUaOptions, clock: Clock, server: Server) -> None:
        """Read nothing yet."""
        self._client = client
        self._options = options
        self._clock = clock
        self._server = server
        #: What is asked in one request: evidence first, then signals in turns.
        self._evidence: list[list[Item]] = []
        self._signals: deque[list[Item]] = deque()
        self._round: deque[list[Item]] = deque()
        self._held: list[Delivery] = []
        self._last: dict[int, tuple[object, int]] = {}
        self.grid = PollGrid(period_s=options.poll_ms / 1000, clock=clock)
        self._admission = TelemetryAdmission(self.grid, has_evidence=False)
        self._due = -math.inf
        self._sequence = 0
        self.refused: dict[int, str] = {}
        self.heard: Stamp | None = None
        self.known_until: Stamp | None = None
        self._begun: Stamp | None = None

    async def start(self, items: Sequence[Item]) -> None:
        """Read all nodes once, which shows what the server refuses."""
        evidence: list[Item] = []
        signals: list[Item] = []
        for item in items:
            if item.node is None:
                self.refused[item.handle] = "the server has no such namespace"
            elif item.role in {"alarm", "audit"}:
                self.refused[item.handle] = "alarms and audit events need mode: subscribe"
            else:
                (signals if item.role == "telemetry" else evidence).append(item)
        self._plan(evidence, signals)
        self.grid.advance()
        self._begin()
        while self._round:
            await self._ask()

    def _plan(self, evidence: list[Item], signals: list[Item]) -> None:
        """Divide the nodes into requests; what fits into one goes in one."""
        limit = self._server.nodes_per_read
        if len(evidence) + len(signals) <= limit:
            evidence, signals = evidence + signals, []
        self._evidence = [list(batch) for batch in batches(evidence, limit)]
        self._signals = deque(list(batch) for batch in batches(signals, limit))
        self._admission = TelemetryAdmission(self.grid, has_evidence=bool(evidence))

    def pop(self) -> Delivery | None:
        """Return what the last poll found, or None."""
        if not self._held:
            if not any(items in self._evidence for items in self._round):
                self.known_until = self._begun
            return None
        self.heard = self._held[0].received
        return self._held.pop(0)

    def waiting(self) -> Iterable[Delivery | Dropped]:
        """Return what is still to be taken out."""
        return tuple(self._held)

    async def wait(self, due: float) -> None:
        """Make the next request when it is time to, or return at `due`."""
        if not self._round:
            now = monotonic()
            if self._due > now:
                await asyncio.sleep(max(0.0, min(self._due, due) - now))
            if monotonic() < self._due:
                return
            self._begin()
        with spoken(self._options):
            await self._ask()

    def _begin(self) -> None:
        """Begin a round at its tick."""
        self.grid.begin()
        self._begun = self._clock.stamp()
        self._admission.begin()
        self._round.extend((*self._evidence, *self._signals))

    async def _ask(self) -> None:
        """Make one request of the round; what it finds is taken out before the next one."""
        if self._round:
            await self._ask_for(self._round.popleft())
        if not self._round:
            self._due = self.grid.advance()

    async def _ask_for(self, items: list[Item]) -> None:
        if self._signals and items is self._signals[0]:
            if not self._admission.admits():
                self._round.clear()
                return
            self._signals.rotate(-1)
        with self._admission.asking():
            nodes = [item.node for item in items if item.node is not None]
            values = await read(self._client, nodes, limit=self._server.nodes_per_read)
        stamp = self._clock.stamp()
        found: list[ua.MonitoredItemNotification] = []
        for item, value in zip(items, values, strict=True):
            if is_refusal(value.StatusCode):
                self.refused[item.handle] = status_name(value.StatusCode)
                # It had a value: that it has none is news, or it would be taken for what is still so.
                if item.role == "change" and self._last.pop(item.handle, None) is not None:
                    found.append(ua.MonitoredItemNotification(ClientHandle=item.handle, Value=value))
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
