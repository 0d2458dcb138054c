"""Say what happened while nobody listened: from history where there is one, as a gap where there is none."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Final

from asyncua import ua

from linewitness.base.clock import NS_PER_S, Stamp
from linewitness.devices.base import Observation
from linewitness.devices.opcua.backfill.history import History, keepers
from linewitness.devices.opcua.backlog import SUBSCRIPTION
from linewitness.devices.opcua.connection.failures import spoken
from linewitness.devices.opcua.conversation import Conversation
from linewitness.devices.opcua.decoding.signals import TelemetryBlock
from linewitness.devices.opcua.decoding.times import from_verbatim, moment_of, unix_ns
from linewitness.devices.opcua.monitor import Item
from linewitness.devices.opcua.nodes import listed

#: How long before the catching up began the subscription may have started to deliver.
OVERLAP_NS: Final = 30 * NS_PER_S


class CatchUp:
    """Report, at the beginning of a session, what happened since the last contact."""

    def __init__(self, conversation: Conversation) -> None:
        """Keep what is needed; nothing is asked yet."""
        self._client = conversation.client
        self._options = conversation.options
        self._clock = conversation.clock
        self._server = conversation.server
        self._interpreter = conversation.interpreter
        self._recall = conversation.recall
        self._began_ns = 0

    async def since(self, contact: Stamp, items: Sequence[Item]) -> AsyncGenerator[Observation, None]:
        """Yield what history tells since the last contact, then a gap for the points that have none."""
        listened = [item for item in items if item.role in {"change", "telemetry", "alarm"}]
        data = [item for item in listened if item.role != "alarm"]
        told: set[int] = set()
        if self._options.history and data:
            async with aclosing(self._history(contact, data, told)) as history:
                async for observation in history:
                    yield observation
        untold = [item.point.id for item in listened if item.handle not in told and item.point is not None]
        if untold:
            now = self._clock.stamp()
            yield self._interpreter.gaps.between(
                source=SUBSCRIPTION,
                first=contact,
                last=now,
                received=now,
                reason=f"nobody listened, and the server keeps no history of {listed(untold)}",
            )

    async def _history(
        self, contact: Stamp, items: Sequence[Item], told: set[int]
    ) -> AsyncGenerator[Observation, None]:
        with spoken(self._options):
            kept = await keepers(self._client, items, self._server)
            told |= kept
            history = History(self._client, self._server)
            offset = self._interpreter.witness.offset
            ahead_ns = offset.ahead_ns if offset else 0
            self._began_ns = self._clock.stamp().realtime_ns + ahead_ns - OVERLAP_NS
            until = moment_of(self._clock.stamp().realtime_ns + ahead_ns + NS_PER_S)
            since = {
                item.handle: await self._start(item, contact, ahead_ns)
                for item in items
                if item.handle in kept
            }
            async with aclosing(history.between(since, items, until)) as batches:
                async for found in batches:
                    for observation in self._tell(found):
                        yield observation
        told -= set(history.refused)

    async def _start(self, item: Item, contact: Stamp, ahead_ns: int) -> datetime:
        """Return from when on an item's history is news: after the last value that was recorded of it."""
        seen = await self._recall.get(f"seen.{item.point.id}") if item.point else None
        if seen is not None and item.role == "change":
            return moment_of(from_verbatim(seen))
        return moment_of(contact.realtime_ns + ahead_ns)

    def _tell(self, found: Sequence[tuple[Item, ua.DataValue]]) -> Iterator[Observation]:
        received = self._clock.stamp()
        witness = self._interpreter.witness.at(received)
        block = TelemetryBlock()
        for item, value in found:
            stamp = value.SourceTimestamp or value.ServerTimestamp
            if stamp is not None:
                self._remember_told(item, unix_ns(stamp))
            if item.role == "telemetry":
                block.add(
                    item.point.id if item.point else item.text,
                    value,
                    told=self._interpreter.told,
                    arrived_ns=received.realtime_ns,
                    shift_ns=witness.shift_ns,
                )
                continue
            when = witness.historic(value, received)
            yield self._interpreter.reading(item, value, received, when, backfilled=True)
        if block.points:
            yield block.signals(
                device=self._options.id,
                session_id=self._interpreter.session_id,
                received=received,
                backfilled=True,
            )

    def _remember_told(self, item: Item, stamp_ns: int) -> None:
        """Keep the stamps that the subscription may deliver as well: the newest, and those since it began."""
        told = self._interpreter.filled.setdefault(item.handle, set())
        if told and max(told) < self._began_ns:
            told.clear()
        told.add(stamp_ns)
