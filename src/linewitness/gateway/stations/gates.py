"""Move gates as the stations order it: after the order is on record, and read back each time."""

import asyncio
import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from linewitness.base.clock import Clock, monotonic
from linewitness.base.errors import DeviceError, DeviceUnavailable
from linewitness.devices.base import CommandingSession
from linewitness.evidence.format.gateway_event import gateway_event
from linewitness.evidence.format.record import Change
from linewitness.gateway.availability import DeviceStatusSink
from linewitness.gateway.stations.gate_orders import GateOrders
from linewitness.gateway.stations.unit_commands import UnitTelling
from linewitness.journal.journal import Journal
from linewitness.stations.gate.orders import Order, gate_resource

log = structlog.get_logger()

#: The life counter of a gate counts up to 32767, which every PLC can hold.
ALIVE_MODULO: Final = 32_768
#: What a device did not do is tried again after so long at first, and so long at most, in seconds.
RETRY_S: Final = 1.0
LONGEST_RETRY_S: Final = 30.0
#: What was written and reads back as something else is not repeated: it may be a pulse.
NEVER: Final = math.inf
#: What the gates of a device may take, in seconds, to reach their safe position when the gateway stops.
LEAVE_S: Final = 3.0


@dataclass(slots=True)
class _Failure:
    """An order that did not take effect: why, and when it is tried again on the loop's clock."""

    order: Order
    why: str
    due: float
    pause_s: float = RETRY_S

    @property
    def is_answered(self) -> bool:
        """Whether the device did read something back; then the order is not repeated."""
        return self.due == NEVER

    def again(self, why: str) -> None:
        """Note that it failed once more, and wait longer before the next time."""
        self.pause_s = min(2 * self.pause_s, LONGEST_RETRY_S)
        self.why, self.due = why, monotonic() + self.pause_s


class GateControl:
    """The gates of one device, and what it is told of the unit at its station."""

    def __init__(
        self,
        device: str,
        orders: GateOrders,
        *,
        journal: Journal,
        clock: Clock,
        health: DeviceStatusSink,
        telling: UnitTelling | None = None,
    ) -> None:
        """Take the device's id, the orders of all stations, and `telling` where the YAML allows commands."""
        self._device = device
        self._telling = telling
        self._orders = orders
        self._journal = journal
        self._clock = clock
        self._health = health
        self._beat = 0
        #: The life counters that could not be written last.
        self._stalled: set[str] = set()
        self._turn = asyncio.Lock()
        self._leaving = False
        #: By station: what was sent in this session, and what did not take effect.
        self._sent: dict[str, Order] = {}
        self._failures: dict[str, _Failure] = {}

    async def serve(self, session: CommandingSession) -> None:
        """Keep the gates as ordered while the session lasts, until cancelled or `leave` is called.

        The device is told of a unit before its gate opens for it. A request without an answer ends nothing:
        the session may go on all the same, and what was not done is tried again. Without a gate this waits:
        the settings may bring one.
        """
        self._sent.clear()
        # What was read back belongs to the connection before: this one begins with a record of its own.
        self._failures = {name: each for name, each in self._failures.items() if not each.is_answered}
        while not self._leaving:
            version = self._orders.version
            if self._telling is not None:
                with suppress(DeviceUnavailable):  # it is on record and shown
                    await self._telling.tell(session)
            orders = self._orders.of(self._device)
            await self._give_up(session, orders)
            for order in orders:
                async with self._turn:
                    # A command takes its time: what was ordered meanwhile has its turn in the next round.
                    if self._is_due(order) and self._counts(order):
                        await self._bring(session, order, is_new=order.station not in self._sent)
                    if not self._leaving:
                        await self._count_life(session, order)
            self._show(orders)
            await self._orders.moved(version, beats=bool(orders) or self._telling is not None)

    async def leave(self, session: CommandingSession) -> None:
        """Put every gate into its safe position, because the gateway stops controlling it.

        What is under way ends first, and nothing is written after it. One gate whose device does not answer
        keeps no other gate from its safe position.
        """
        self._leaving = True
        left = [
            _safe(order, "the gateway leaves its safe position") for order in self._orders.of(self._device)
        ]
        try:
            async with asyncio.timeout(LEAVE_S), self._turn:
                while left:
                    await self._record(left[0], left[0].reason, ())
                    await self._write(session, left[0])
                    left.pop(0)
        except TimeoutError:
            for order in left:
                await self._failed(order, DeviceUnavailable("no answer came before the gateway stopped"))

    async def _give_up(self, session: CommandingSession, orders: Iterable[Order]) -> None:
        """Put gates into their safe position that the settings do not name any more."""
        places = {order.station: order.gate.point for order in orders}
        for station, order in list(self._sent.items()):
            if station in places and places[station] == order.gate.point:
                continue
            del self._sent[station]
            self._failures.pop(station, None)
            async with self._turn:
                if not self._leaving:
                    safe = _safe(order, "the settings do not name this gate any more")
                    await self._record(safe, safe.reason, ())
                    await self._write(session, safe)
            self._failures.pop(station, None)

    def _counts(self, order: Order) -> bool:
        return self._orders.is_newest(order) and not self._leaving

    def _is_due(self, order: Order) -> bool:
        """Whether an order is to be written now: a new one, one of a new session, one that failed."""
        failure = self._failures.get(order.station)
        is_sent = self._sent.get(order.station) is order
        return not is_sent or (failure is not None and failure.due <= monotonic())

    async def _bring(self, session: CommandingSession, order: Order, *, is_new: bool) -> None:
        """Write an order, after it is on record that it is written again on a new connection."""
        if is_new and self._failure_of(order) is None:
            await self._record(order, f"{order.reason}: written on a new connection", ())
            if not self._counts(order):  # the commit took its time, as on a full disk
                why = "it was not written: the gate was ordered anew before the record was durable"
                await self._record(order, why, (_not_confirmed(),))
                return
        self._sent[order.station] = order
        await self._write(session, order)

    async def _write(self, session: CommandingSession, order: Order) -> None:
        """Write an order, read it back, and put on record what came of it."""
        value = order.value if order.gate.point else order.position
        try:
            back = await session.command(order.gate.point, value)
        except DeviceError as error:
            await self._failed(order, error)
        else:
            await self._answered(order, value, back)

    def _failure_of(self, order: Order) -> _Failure | None:
        failure = self._failures.get(order.station)
        return failure if failure is not None and failure.order is order else None

    async def _failed(self, order: Order, error: DeviceError) -> None:
        """Try an order again later; put the first failure on record."""
        if (failure := self._failure_of(order)) is not None:
            failure.again(str(error))
            return
        self._failures[order.station] = _Failure(order, str(error), monotonic() + RETRY_S)
        await self._record(order, str(error), (_not_confirmed(),))
        log.warning("gate cannot be moved", device=self._device, point=order.gate.point, why=error.what)

    async def _answered(self, order: Order, value: str, back: str | None) -> None:
        """Put on record what a gate's point says after it was written."""
        self._failures.pop(order.station, None)
        good = back == value
        changes = (
            Change("read_back", None, back),
            Change("confirmed", None, good, status="ok" if good else "nok"),
        )
        await self._record(order, order.reason, changes)
        if good:
            return
        why = f"{value} was written, and {back} read back"
        self._failures[order.station] = _Failure(order, why, NEVER)
        log.warning(
            "gate did not move as ordered",
            device=self._device,
            point=order.gate.point,
            ordered=value,
            read_back=back,
        )

    def _show(self, orders: Iterable[Order]) -> None:
        """Show which gates are not where they should be."""
        stations = sorted({order.station for order in orders} & self._failures.keys())
        wrong = [f"{station}: {self._failures[station].why}" for station in stations]
        self._health.unmoved(self._device, "; ".join(wrong))

    async def _count_life(self, session: CommandingSession, order: Order) -> None:
        if order.gate.alive is None:
            return
        self._beat = (self._beat + 1) % ALIVE_MODULO
        try:
            await session.command(order.gate.alive, str(self._beat))
        except DeviceError as error:
            if order.gate.alive not in self._stalled:
                why = error.what
                log.warning("the life counter of a gate cannot be written", device=self._device, why=why)
            self._stalled.add(order.gate.alive)
        else:
            self._stalled.discard(order.gate.alive)

    async def _record(self, order: Order, reason: str, changes: tuple[Change, ...]) -> None:
        event = gateway_event(
            f"gate.{order.position}",
            self._clock.stamp().realtime_ns,
            resource=gate_resource(order, None),
            reason=reason,
            changes=(Change("position", None, order.position), *changes),
            context={"device_id": self._device, "station_id": order.station},
        )
        await self._journal.submit([event])


def _safe(order: Order, why: str) -> Order:
    """Return the order of a gate's safe position."""
    return Order(order.station, order.gate, order.gate.safe, why, order.number)


def _not_confirmed() -> Change:
    return Change("confirmed", None, after=False, status="nok")
