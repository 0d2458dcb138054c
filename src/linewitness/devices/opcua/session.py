"""One connection to one server: deliveries in, observations out, until it is gone or silent."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

from linewitness.clock import NS_PER_S, Clock, Stamp, from_rfc3339, monotonic
from linewitness.devices.base import Memory, Observation
from linewitness.devices.opcua.backlog import Backlog, Delivery
from linewitness.devices.opcua.client import spoken
from linewitness.devices.opcua.interpret import Interpreter
from linewitness.devices.opcua.monitor import Item, Monitor
from linewitness.devices.opcua.options import OpcUaOptions
from linewitness.devices.opcua.server import CURRENT_TIME, Server, read, server_time
from linewitness.devices.opcua.times import ServerClock
from linewitness.devices.opcua.wire import Client
from linewitness.errors import DeviceUnavailable

#: How often a node that the server refused is asked for again: a PLC program may have been loaded since.
RETRY_REFUSED_S: Final = 60.0


class OpcUaSession:
    """A subscribed session. `start` is called once, before `observations`."""

    def __init__(
        self,
        *,
        client: Client,
        options: OpcUaOptions,
        clock: Clock,
        session_id: str,
        server: Server,
        items: Sequence[Item],
        memory: Memory,
        contact: Stamp | None,
    ) -> None:
        """Keep what the session works with; `contact` is the last sign of life seen by this process."""
        self._client = client
        self._options = options
        self._clock = clock
        self._session_id = session_id
        self._server = server
        self._items = items
        self._memory = memory
        self._contact = contact
        self._backlog = Backlog(limit=options.buffer, clock=clock)
        self._monitor = Monitor(client, options, server)
        self._server_clock = ServerClock()
        self._interpreter = Interpreter(
            options=options,
            session_id=session_id,
            items=items,
            contact_ns=contact.realtime_ns if contact else None,
        )
        self._heard: dict[int, Stamp] = {}

    @property
    def session_id(self) -> str:
        """Name of this connection."""
        return self._session_id

    @property
    def identity(self) -> Mapping[str, str]:
        """What the server said about itself, and which points it refused."""
        refused = {
            f"refused.{self._items[handle].place}": f"{self._items[handle].text}: {why}"
            for handle, why in self._monitor.refused.items()
        }
        return {**self._server.identity, **refused}

    @property
    def refused(self) -> Mapping[str, str]:
        """Why the server refused what the YAML asks for, by its place in the YAML."""
        return {self._items[handle].place: why for handle, why in self._monitor.refused.items()}

    @property
    def contact(self) -> Stamp | None:
        """When the server last gave a sign of life."""
        return self._contact

    @property
    def clock_offset_ms(self) -> int | None:
        """How far the server's clock is ahead of ours."""
        return self._interpreter.witness.offset_ms

    async def start(self) -> None:
        """Subscribe; DeviceUnavailable or DeviceRefused where the server lets us not."""
        with spoken(self._options.endpoint):
            await self._measure_clock()
            await self._monitor.start(self._items, self._backlog.take)

    async def observations(self) -> AsyncIterator[Observation]:
        """Yield what was missed, then what the server delivers; ends with DeviceUnavailable."""
        for observation in await self._opening():
            yield observation
        pause = min(self._options.silence_s / 2, 5.0)
        due, retry = monotonic() + pause, monotonic() + RETRY_REFUSED_S
        while True:
            if monotonic() >= due:
                await self._watch()
                due = monotonic() + pause
            if self._monitor.refused and monotonic() >= retry:
                await self._retry_refused()
                retry = monotonic() + RETRY_REFUSED_S
            held = self._backlog.pop()
            if held is None:
                self._raise_if_lost()
                await self._wait(due)
                continue
            if isinstance(held, Delivery):
                self._heard[held.subscription] = self._contact = held.received
            for observation in self._interpreter.observe(held):
                yield observation

    async def _opening(self) -> list[Observation]:
        """Return what is to be said before anything live: what was missed and what is refused."""
        stamp = self._clock.stamp()
        said: list[Observation] = []
        since = self._contact
        if since is None and (known := await self._memory.get("contact")) is not None:
            since = Stamp(from_rfc3339(known), 0)
        if since is not None:
            said.append(
                self._interpreter.gap(
                    source="subscription",
                    first=since,
                    last=stamp,
                    received=stamp,
                    reason="nothing was heard while the connection was down, and the server keeps no history",
                )
            )
        said += await self._refusals(stamp)
        return said

    async def _refusals(self, stamp: Stamp) -> list[Observation]:
        """Return a gap for each point that is refused now and was not before, or for another reason."""
        said: list[Observation] = []
        known = await self._memory.items("refused.")
        for handle, why in sorted(self._monitor.refused.items()):
            item = self._items[handle]
            name = item.point.id if item.point else item.text
            if known.get(f"refused.{name}") != why:
                said.append(
                    self._interpreter.gap(
                        source=name,
                        first=stamp,
                        last=stamp,
                        received=stamp,
                        reason=f"{item.place}: the server refused {item.text}: {why}",
                        remember={f"refused.{name}": why},
                    )
                )
        return said

    async def _wait(self, due: float) -> None:
        try:
            async with asyncio.timeout_at(due):
                await self._backlog.filled()
        except TimeoutError:
            return

    def _raise_if_lost(self) -> None:
        if self._backlog.lost:
            raise DeviceUnavailable(f"{self._options.endpoint} ended the subscription: {self._backlog.lost}")

    async def _watch(self) -> None:
        """Look whether server and subscriptions still live, and what time the server has."""
        with spoken(self._options.endpoint):
            await self._measure_clock()
        now = self._clock.stamp()
        for subscription in (self._monitor.evidence_id, self._monitor.signals_id):
            if not subscription:
                continue
            heard = self._heard.setdefault(subscription, now)
            silent_s = (now.boottime_ns - heard.boottime_ns) / NS_PER_S
            if silent_s > self._monitor.keep_alive_s:
                raise DeviceUnavailable(
                    f"{self._options.endpoint} answers, but its subscription is silent for {silent_s:.0f} s"
                )

    async def _measure_clock(self) -> None:
        asked = self._clock.stamp()
        value = (await read(self._client, [CURRENT_TIME], limit=1))[0]
        moment = server_time(value)
        if moment is not None:
            best = self._server_clock.measure(asked=asked, answered=self._clock.stamp(), server=moment)
            self._interpreter.witness = self._interpreter.witness_for(best)

    async def _retry_refused(self) -> None:
        waiting = [self._items[handle] for handle in self._monitor.refused]
        with spoken(self._options.endpoint):
            for signals, subscription in (
                (False, self._monitor.evidence_id),
                (True, self._monitor.signals_id),
            ):
                group = [item for item in waiting if item.signals is signals]
                if group and subscription:
                    await self._monitor.add(subscription, group)
