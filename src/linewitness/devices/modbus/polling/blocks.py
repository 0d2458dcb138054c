"""Turn the bytes of one block into what is new: readings for evidence, signals for telemetry. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from linewitness.base.clock import NS_PER_MS, NS_PER_S, Stamp, to_rfc3339
from linewitness.base.mappings import EMPTY
from linewitness.devices.base import (
    Observation,
    Quality,
    Reading,
    Readings,
    Scalar,
    Signals,
    When,
)
from linewitness.devices.modbus.points import ModbusPoint, Order
from linewitness.devices.modbus.polling.columns import Columns, TelemetryDecoder
from linewitness.devices.modbus.polling.decode import Decoded, bad, decoder, place_of, slice_of
from linewitness.devices.modbus.polling.integers import integer_column
from linewitness.devices.modbus.polling.on_change import ChangeFilter
from linewitness.devices.modbus.polling.plan import RegisterBlock
from linewitness.devices.together import MOST_READINGS


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Whose values these are, and after how long those that do not change are sent again."""

    device: str
    session_id: str
    order: Order
    repeat_ns: int = 600 * NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """When a request left and when its answer came."""

    sent: Stamp
    received: Stamp

    def sampled(self) -> When:
        """Return when the values were read: between request and answer."""
        half_ns = (self.received.boottime_ns - self.sent.boottime_ns) // 2
        return When(
            occurred_ns=self.received.realtime_ns - half_ns, occurred_from="poll", unc_ms=_ms(half_ns)
        )

    def contact(self) -> dict[str, str | None]:
        """Return what is remembered with what was read: that the device was there."""
        return {"contact": to_rfc3339(self.sent.realtime_ns)}

    def changed(self, last_read: Stamp | None) -> When:
        """Return when a change happened: anywhere since the last read, so half of that is its uncertainty.

        Where it is not known when the value was last read, nothing can be said of the uncertainty.
        """
        if last_read is None:
            sampled = self.sampled()
            return When(occurred_ns=sampled.occurred_ns, occurred_from="poll", unc_ms=None)
        half_ns = (self.received.boottime_ns - last_read.boottime_ns) // 2
        return When(
            occurred_ns=self.received.realtime_ns - half_ns, occurred_from="poll", unc_ms=_ms(half_ns)
        )


def _ms(nanoseconds: int) -> int:
    return -(-nanoseconds // NS_PER_MS)


class EvidencePoint:
    """One evidence point and what was last said of it in this session."""

    def __init__(self, point: ModbusPoint, order: Order) -> None:
        """Say what the point is and how the device orders bytes."""
        self.point = point
        self._order = order
        #: Compiled when it is needed: what is read in a column needs none.
        self._decode: Callable[[bytes], Decoded] | None = None
        self._banded = point.deadband is not None
        #: The bytes that were read last; None where there were none.
        self.raw: bytes | None = None
        self._told: Decoded | None = None

    def take(self, raw: bytes) -> Decoded | None:
        """Return the value if it or its quality is not what was last said."""
        if raw == self.raw:
            return None
        self.raw = raw
        if self._decode is None:
            self._decode = decoder(self.point, self._order)
        return self._if_new(self._decode(raw))

    def take_failure(self, status: str) -> Decoded | None:
        """Return that there is no value, if that was not said yet."""
        self.raw = None
        return self._if_new(bad(status))

    def _if_new(self, decoded: Decoded) -> Decoded | None:
        if decoded == self._told or (self._banded and self._is_within_deadband(decoded)):
            return None
        self._told = decoded
        return decoded

    def _is_within_deadband(self, decoded: Decoded) -> bool:
        told, band = self._told, self.point.deadband
        if band is None or told is None or told.quality is not decoded.quality is not Quality.GOOD:
            return False
        if not isinstance(told.value, str) or not isinstance(decoded.value, str):
            return False
        return abs(Decimal(decoded.value) - Decimal(told.value)) < band


class BlockState:
    """A block with the decoders of its points, and when it was last read."""

    def __init__(
        self,
        block: RegisterBlock[ModbusPoint],
        origin: Origin,
        known: dict[str, EvidencePoint],
        *,
        last_read: Stamp | None,
    ) -> None:
        """Prepare a block; `known` keeps evidence points over the splitting of blocks."""
        self.block = block
        self.last_read = last_read
        self.retry_at: float | None = None
        #: Why the device does not give these registers; None before they were asked for, empty where it does.
        self.refusal: str | None = None
        self._origin = origin
        evidence = [point for point in block.points if point.record == "change"]
        self._integers = integer_column(block, evidence, origin.order)
        #: Nothing was said of any of its points, or all was said by the column.
        self._by_column = self._integers is not None and not any(point.id in known for point in evidence)
        self._evidence = [
            (known.setdefault(point.id, EvidencePoint(point, origin.order)), place_of(point, block.first))
            for point in evidence
        ]
        self._data: bytes | None = None
        telemetry = [point for point in block.points if point.record == "telemetry"]
        always = [point for point in telemetry if not point.sent_on_change]
        changing = [point for point in telemetry if point.sent_on_change]
        self._telemetry = TelemetryDecoder(always, first=block.first, count=block.count, order=origin.order)
        self._on_change = (
            ChangeFilter(
                changing,
                first=block.first,
                count=block.count,
                order=origin.order,
                repeat_ns=origin.repeat_ns,
            )
            if changing
            else None
        )

    @property
    def has_evidence(self) -> bool:
        """Whether one of its points is evidence; the others are signals alone."""
        return bool(self._evidence)

    def take(self, data: bytes, trip: Trip) -> Iterator[Observation]:
        """Yield what the block's bytes say that is new."""
        when = trip.changed(self.last_read) if self._evidence else None
        initial = self._data is None
        # The device may have filled its answer at any moment after the request was sent.
        self.last_read = trip.sent
        if when is not None and data != self._data:
            self._data = data
            if self._integers is not None and self._by_column:
                changed = self._integers.take(data)
                yield from self._together(*changed, trip, when, trip.contact(), initial=initial)
            else:
                yield from self._news(data, trip, when, initial=initial)
                if self._integers is not None:
                    self._integers.begin(data)
                    self._by_column = True
        if self._telemetry.points:
            yield self._signals(trip, self._telemetry.points, self._telemetry.decode(data))
        if self._on_change is not None and (new := self._on_change.take(data, trip.received.boottime_ns)):
            yield self._signals(trip, *new)

    def _news(self, data: bytes, trip: Trip, when: When, *, initial: bool) -> Iterator[Observation]:
        """Yield the evidence points that changed, those that are good and no mapping together."""
        contact = trip.contact()
        points: list[str] = []
        values: list[Scalar] = []
        for evidence, place in self._evidence:
            raw = slice_of(evidence.point, self.block.first, data) if place is None else data[place]
            if raw == evidence.raw or (decoded := evidence.take(raw)) is None:
                continue
            value, quality, _ = decoded
            if quality is Quality.GOOD and not isinstance(value, Mapping):
                points.append(evidence.point.id)
                values.append(value)
                continue
            yield from self._together(tuple(points), tuple(values), trip, when, contact, initial=initial)
            points, values = [], []
            yield self._reading(
                evidence.point.id, decoded, trip, when, raw=raw, remember=contact, initial=initial
            )
        yield from self._together(tuple(points), tuple(values), trip, when, contact, initial=initial)

    def _together(
        self,
        points: tuple[str, ...],
        values: tuple[Scalar, ...],
        trip: Trip,
        when: When,
        remember: Mapping[str, str | None],
        *,
        initial: bool,
    ) -> Iterator[Observation]:
        for at in range(0, len(points), MOST_READINGS):
            part = slice(at, at + MOST_READINGS)
            if len(points[part]) == 1:
                decoded = Decoded(values[at])
                yield self._reading(points[at], decoded, trip, when, remember=remember, initial=initial)
            else:
                yield Readings(
                    device=self._origin.device,
                    session_id=self._origin.session_id,
                    received=trip.received,
                    when=when,
                    remember=remember,
                    points=points[part],
                    values=values[part],
                    initial=initial,
                )

    def settle(self) -> None:
        """Let each point know what was last said of it: another block may go on with it."""
        self._by_column = False
        if self._integers is not None and (data := self._integers.forget()):
            for evidence, place in self._evidence:
                evidence.take(data[place or slice(0)])

    def take_failure(self, words: str, trip: Trip) -> Iterator[Observation]:
        """Yield that the block's points have no value now, where that is new."""
        when = trip.changed(self.last_read)
        self.settle()
        self._data = None
        for evidence, _ in self._evidence:
            point = evidence.point
            status = f"{words}, at {point.table} {point.address}"
            if (decoded := evidence.take_failure(status)) is not None:
                yield self._reading(point.id, decoded, trip, when)
        count = len(self._telemetry.points)
        if count:
            columns = Columns((None,) * count, dict.fromkeys(range(count), words))
            yield self._signals(trip, self._telemetry.points, columns)
        now_ns = trip.received.boottime_ns
        if self._on_change is not None and (new := self._on_change.take_failure(words, now_ns)):
            yield self._signals(trip, *new)

    def _signals(self, trip: Trip, points: tuple[str, ...], columns: Columns) -> Signals:
        return Signals(
            device=self._origin.device,
            session_id=self._origin.session_id,
            received=trip.received,
            when=trip.sampled(),
            points=points,
            values=columns.values,
            statuses=columns.statuses,
        )

    def _reading(
        self,
        point: str,
        decoded: Decoded,
        trip: Trip,
        when: When,
        *,
        raw: bytes | None = None,
        remember: Mapping[str, str | None] = EMPTY,
        initial: bool = False,
    ) -> Reading:
        return Reading(
            device=self._origin.device,
            session_id=self._origin.session_id,
            received=trip.received,
            when=when,
            raw=raw if decoded.quality is not Quality.GOOD else None,
            remember=remember,
            point=point,
            value=decoded.value,
            quality=decoded.quality,
            status=decoded.status,
            initial=initial,
        )
