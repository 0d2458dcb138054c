"""Turn what a server delivers into observations: readings for evidence, blocks for the historian."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from asyncua import ua

from linewitness.base.clock import Stamp, to_rfc3339
from linewitness.devices.base import Gap, Observation, Reading, When
from linewitness.devices.opcua.actors import NOBODY, Actors
from linewitness.devices.opcua.backlog import SUBSCRIPTION, Delivery, Dropped
from linewitness.devices.opcua.decoding.evidence import EvidenceColumns
from linewitness.devices.opcua.decoding.signals import TelemetryBlock
from linewitness.devices.opcua.decoding.structures import Layouts
from linewitness.devices.opcua.decoding.times import ClockWitness, LiveTimes, polled, unix_ns
from linewitness.devices.opcua.decoding.values import (
    Value,
    overflowed,
    plain,
    quality,
    status_name,
)
from linewitness.devices.opcua.gaps import Gaps
from linewitness.devices.opcua.monitor import Item
from linewitness.devices.opcua.nodes import listed
from linewitness.devices.opcua.notifications.notices import AlarmNotices
from linewitness.devices.opcua.options import OpcUaOptions
from linewitness.devices.opcua.refusals import NodeRefusals, is_refusal

#: Sequence numbers run from 1 to this and begin again (OPC 10000-4, 7.26).
LAST_SEQUENCE: Final = 4_294_967_295


@dataclass(slots=True)
class Fired:
    """A trigger that asks for a result to be read."""

    item: Item
    value: ua.DataValue
    received: Stamp
    initial: bool


@dataclass(slots=True)
class _Heard:
    """What the last delivery of one subscription was."""

    sequence: int | None = None
    received: Stamp | None = None


class Interpreter:
    """Understand the deliveries of one session, in order."""

    def __init__(
        self, *, options: OpcUaOptions, session_id: str, items: Sequence[Item], contact_ns: int | None
    ) -> None:
        """Begin with nothing delivered; `contact_ns` is when it was last heard before."""
        self._options = options
        self.session_id = session_id
        self._items = items
        self.refusals = NodeRefusals()
        self.contact_ns = contact_ns
        delivery_ms = options.publishing_ms + max(
            (item.sampling_ms * item.queue_size for item in items), default=0
        )
        self._delivery_ms = min(delivery_ms, options.publishing_ms * 10 + 60_000)
        self.witness = self.witness_for(None)
        self.fired: list[Fired] = []
        self.alarms: AlarmNotices | None = None
        self.layouts: Layouts | None = None
        self._actors = Actors(options, items)
        self.gaps = Gaps(options.id, session_id)
        self._columns = EvidenceColumns(options.id, session_id)
        #: Points that were refused before and live now: their next reading says so to the memory.
        self.mended: set[str] = set()
        self.filled: dict[int, set[int]] = {}
        self._contact: tuple[Stamp | None, str] = (None, "")
        self._polled_before: Stamp | None = None
        self._live = LiveTimes()
        self._seen: set[int] = set()
        self._last: dict[int, str | None] = {}
        self._heard: dict[int, _Heard] = {}

    def witness_for(self, offset: Any) -> ClockWitness:
        """Return how to judge stamps with this measured offset."""
        return ClockWitness(
            offset=offset, tolerance_ms=self._options.clock_tolerance_ms, delivery_ms=self._delivery_ms
        )

    def observe(self, delivery: Delivery | Dropped) -> Iterator[Observation]:
        """Yield what one delivery says; triggers are kept in `fired`."""
        if isinstance(delivery, Dropped):
            yield self._dropped(delivery)
            return
        yield from self._missing(delivery)
        self.listen_ahead(delivery)
        self._actors.forget_before(delivery)
        for part in delivery.content:
            if isinstance(part, ua.DataChangeNotification):
                yield from self._changes(part.MonitoredItems, delivery.received)
            elif isinstance(part, ua.EventNotificationList):
                yield from self._alarms_of(part.Events, delivery.received)

    def take_fired(self) -> list[Fired]:
        """Return the triggers that fired since the last time, in their order."""
        fired, self.fired = self.fired, []
        return fired

    def listen_ahead(self, delivery: Delivery) -> None:
        """Take over who wrote what from a delivery, before the changes themselves are looked at."""
        self._actors.take_audit(delivery)

    def _alarms_of(self, events: Sequence[Any], received: Stamp) -> Iterator[Observation]:
        for event in events:
            item = self._items[event.ClientHandle]
            if item.role == "alarm" and self.alarms is not None:
                yield from self.alarms.take(item, event.EventFields, received, self.witness)

    def _changes(self, changes: Sequence[Any], received: Stamp) -> Iterator[Observation]:
        block = TelemetryBlock()
        self._take_tags(changes)
        for change in changes:
            handle = change.ClientHandle
            if handle >= len(self._items):
                continue  # the heartbeat: that it came is all it says
            item = self._items[handle]
            if self.refusals.why or is_refusal(change.Value.StatusCode):
                name = item.point.id if item.point else item.text
                self.refusals.note(name, item.text, change.Value.StatusCode)
            if item.role == "telemetry":
                if not (self.filled and self._is_told(item, change.Value)):
                    self._add(block, item, change.Value, received)
            elif item.role == "change":
                if found := self._evidence(item, change.Value, received):
                    yield from found
            elif item.role == "trigger":
                self.fired.append(Fired(item, change.Value, received, handle not in self._seen))
                self._seen.add(handle)
        yield from self._columns.take()
        yield from self._signals(block, received)

    def _take_tags(self, changes: Sequence[Any]) -> None:
        for change in changes:
            if change.ClientHandle < len(self._items):
                item = self._items[change.ClientHandle]
                if item.role == "operator":
                    self._actors.take_tag(item, change.Value)

    def told(self, variant: ua.Variant | None) -> Value:
        """Return what a variant says, its structures by field."""
        return plain(self.layouts.unfold(variant) if self.layouts else variant)

    def _evidence(self, item: Item, value: ua.DataValue, received: Stamp) -> Sequence[Observation]:
        """Collect a good value in columns; return what is anything else, after those that came before."""
        handle = item.handle
        if self.filled and self._is_told(item, value):
            self._seen.add(handle)
            return ()
        initial = handle not in self._seen
        if self._options.mode == "poll":
            known = None if initial else self._polled_before
            when = polled(received, value, since=known, offset_ms=self.witness.at(received).offset_ms)
            self._seen.add(handle)
        elif not initial:
            when = self._live.when(self.witness, value, received)
        else:
            when = self.witness.initial(value, received, self.contact_ns)
            self._seen.add(handle)
        named = not initial and self._actors.may_know(item)
        told = None if named else self.told(value.Value)
        if named or isinstance(told, Mapping) or value.StatusCode is None or value.StatusCode.value:
            return (*self._columns.take(), *self._singly(item, value, received, when, initial=initial))
        before = self._columns.before(received, initial=initial)
        point = item.point.id if item.point else item.text
        self._columns.add(point, told, when, self._remember(item, point, when, received))
        return before

    def _singly(
        self, item: Item, value: ua.DataValue, received: Stamp, when: When, *, initial: bool
    ) -> Iterator[Observation]:
        if overflowed(value.StatusCode):
            yield self.gaps.overflow(item, value, received, when, first=self._last.get(item.handle))
        yield self.reading(item, value, received, when, initial=initial)

    def _remember(self, item: Item, point: str, when: When, received: Stamp) -> dict[str, str | None]:
        """Return what the driver remembers of a value, so that history is read from it on."""
        if received is not self._contact[0]:
            self._contact = (received, to_rfc3339(received.realtime_ns))
        remember: dict[str, str | None] = {"contact": self._contact[1]}
        if self.mended and point in self.mended:
            self.mended.discard(point)
            remember[f"refused.{point}"] = None
        if when.device_time is not None:
            remember[f"seen.{point}"] = self._last[item.handle] = when.device_time
        return remember

    def reading(
        self,
        item: Item,
        value: ua.DataValue,
        received: Stamp,
        when: When,
        *,
        backfilled: bool = False,
        initial: bool = False,
    ) -> Reading:
        """Return a reading that the driver remembers."""
        point = item.point.id if item.point else item.text
        remember = self._remember(item, point, when, received)
        who, by = NOBODY if backfilled or initial else self._actors.who(item, value)
        return Reading(
            device=self._options.id,
            session_id=self.session_id,
            received=received,
            when=when,
            remember=remember,
            backfilled=backfilled,
            point=point,
            value=self.told(value.Value),
            quality=quality(value.StatusCode),
            status=status_name(value.StatusCode),
            operator=who,
            operator_by=by,
            initial=initial,
        )

    def _is_told(self, item: Item, value: Any) -> bool:
        """Whether a live value came out of the history already."""
        stamp = value.SourceTimestamp or value.ServerTimestamp
        return stamp is not None and unix_ns(stamp) in self.filled.get(item.handle, ())

    def _add(self, block: TelemetryBlock, item: Item, value: Any, received: Stamp) -> None:
        name = item.point.id if item.point else item.text
        shift_ns = self.witness.at(received).shift_ns
        block.add(name, value, told=self.told, arrived_ns=received.realtime_ns, shift_ns=shift_ns)

    def _signals(self, block: TelemetryBlock, received: Stamp) -> Iterator[Observation]:
        if block.overflowed:
            yield self.gaps.between(
                source="telemetry",
                first=None,
                last=received,
                received=received,
                reason=f"the server's queue overflowed for {listed(block.overflowed)}",
            )
        if block.points:
            yield block.signals(device=self._options.id, session_id=self.session_id, received=received)

    def _missing(self, delivery: Delivery) -> Iterator[Observation]:
        """Yield a gap where notification messages are missing between the last one and this."""
        heard = self._heard.setdefault(delivery.subscription, _Heard())
        if heard.sequence is not None:
            expected = 1 if heard.sequence == LAST_SEQUENCE else heard.sequence + 1
            missing = delivery.sequence - expected
            if missing > 0:
                yield self.gaps.between(
                    source=SUBSCRIPTION,
                    first=heard.received,
                    last=delivery.received,
                    received=delivery.received,
                    reason=f"notification messages {expected} to {delivery.sequence - 1} did not arrive",
                )
        self._polled_before = heard.received
        # A keep-alive carries the number of the next message and uses none up.
        heard.sequence = delivery.sequence if delivery.content else delivery.sequence - 1
        heard.received = delivery.received

    def _dropped(self, dropped: Dropped) -> Gap:
        # The messages dropped were heard: their numbers are not missing as well.
        self._heard[dropped.subscription] = _Heard()
        return self.gaps.between(
            source=SUBSCRIPTION,
            first=dropped.first,
            last=dropped.last,
            received=dropped.last,
            count=dropped.count,
            reason="more changes arrived than the buffer holds",
        )
