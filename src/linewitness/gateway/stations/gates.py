"""Move gates as the stations order it: after the order is on record, and read back each time."""

import asyncio
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
from linewitness.gateway.stations.unit_commands import UnitTelling
from linewitness.journal.journal import Journal
from linewitness.stations.gate.orders import Order, gate_resource
from linewitness.stations.station import Station

log = structlog.get_logger()

#: The life counter of a gate moves this often, and counts up to 32767, which every PLC can hold.
ALIVE_S: Final = 1.0
ALIVE_MODULO: Final = 32_768
#: What a device did not do is tried again after so long at first, and so long at most, in seconds.
RETRY_S: Final = 1.0
LONGEST_RETRY_S: Final = 30.0


class GateOrders:
    """The newest orders of all stations that are on record, by station. Level, not edge."""

    def __init__(self) -> None:
        """Begin without orders."""
        self._orders: dict[str, Order] = {}
        self._moved = asyncio.Event()
        self.version = 0

    def begin(self, stations: Iterable[Station]) -> None:
        """Take what the stations order at the start or after a change of the configuration."""
        orders = [station.order() for station in stations]
        self._orders = {order.station: order for order in orders if order is not None}
        self.wake()

    def release(self, order: Order) -> None:
        """Take an order whose event is durable."""
        self._orders[order.station] = order
        self.wake()

    def of(self, device: str) -> list[Order]:
        """Return the orders for the gates of one device."""
        return [order for order in self._orders.values() if order.gate.device == device]

    async def moved(self, version: int) -> None:
        """Wait until the orders are newer than `version`, or for one beat of the life counter."""
        if self.version != version:
            return
        try:
            async with asyncio.timeout(ALIVE_S):
                await self._moved.wait()
        except TimeoutError:
            return

    def wake(self) -> None:
        """Let devices look at what their stations want now."""
        self.version += 1
        event, self._moved = self._moved, asyncio.Event()
        event.set()


@dataclass(slots=True)
class _Failure:
    """An order that did not take effect: why, and when it is tried again on the loop's clock."""

    order: Order
    why: str
    due: float
    pause_s: float = RETRY_S

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
        self._is_alive = True
        #: By station: what was sent in this session, and what did not take effect.
        self._sent: dict[str, Order] = {}
        self._failures: dict[str, _Failure] = {}

    @property
    def has_commands(self) -> bool:
        """Return whether any station has a gate at this device, or the device is told of units."""
        return self._telling is not None or bool(self._orders.of(self._device))

    async def serve(self, session: CommandingSession) -> None:
        """Keep the gates as ordered while the session lasts, until cancelled.

        The device is told of a unit before its gate opens for it. A request without an answer ends nothing:
        the session may go on all the same, and what was not done is tried again.
        """
        self._sent.clear()
        while True:
            version = self._orders.version
            if self._telling is not None:
                with suppress(DeviceUnavailable):  # it is on record and shown
                    await self._telling.tell(session)
            orders = self._orders.of(self._device)
            for order in orders:
                if self._is_due(order):
                    await self._bring(session, order, is_new=order.station not in self._sent)
                await self._count_life(session, order)
            self._show(orders)
            await self._orders.moved(version)

    async def leave(self, session: CommandingSession) -> None:
        """Put every gate into its safe position, because the gateway stops controlling it."""
        for order in self._orders.of(self._device):
            safe = Order(order.station, order.gate, order.gate.safe, "the gateway leaves its safe position")
            if not await self._bring(session, safe, is_new=True):
                return

    def _is_due(self, order: Order) -> bool:
        """Whether an order is to be written now: a new one, one of a new session, one that failed."""
        failure = self._failures.get(order.station)
        is_sent = self._sent.get(order.station) is order
        return not is_sent or (failure is not None and failure.due <= monotonic())

    async def _bring(self, session: CommandingSession, order: Order, *, is_new: bool) -> bool:
        """Write an order, read it back, and put on record what came of it; False where nobody answered."""
        failure = self._failures.get(order.station)
        if failure is not None and failure.order is not order:
            failure = None
        if is_new and failure is None:
            await self._record(order, f"{order.reason}: written on a new connection", ())
        self._sent[order.station] = order
        value = order.value if order.gate.point else order.position
        try:
            back = await session.command(order.gate.point, value)
        except DeviceError as error:
            await self._failed(order, failure, error)
            return not isinstance(error, DeviceUnavailable)
        await self._answered(order, value, back)
        return True

    async def _failed(self, order: Order, failure: _Failure | None, error: DeviceError) -> None:
        """Try an order again later; put the first failure on record."""
        if failure is not None:
            failure.again(str(error))
            return
        self._failures[order.station] = _Failure(order, str(error), monotonic() + RETRY_S)
        await self._record(order, str(error), (Change("confirmed", None, after=False, status="nok"),))
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
        # This is not repeated: what was written may be a pulse.
        why = f"{value} was written, and {back} read back"
        self._failures[order.station] = _Failure(order, why, float("inf"))
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
            if self._is_alive:
                why = error.what
                log.warning("the life counter of a gate cannot be written", device=self._device, why=why)
            self._is_alive = False
        else:
            self._is_alive = True

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
