"""Move gates as the stations order it: after the order is on record, and read back each time."""

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog

from linewitness.base.clock import Clock
from linewitness.base.errors import DeviceRefused, DeviceUnavailable
from linewitness.devices.base import CommandingSession
from linewitness.evidence.format.gateway_event import gateway_event
from linewitness.evidence.format.record import Change
from linewitness.gateway.stations.unit_commands import UnitTelling
from linewitness.journal.journal import Journal
from linewitness.stations.gate.orders import Order, gate_resource
from linewitness.stations.station import Station

log = structlog.get_logger()

#: The life counter of a gate moves this often, and counts up to 32767, which every PLC can hold.
ALIVE_S: Final = 1.0
ALIVE_MODULO: Final = 32_768


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


class GateControl:
    """The gates of one device, and what it is told of the unit at its station."""

    def __init__(
        self,
        device: str,
        orders: GateOrders,
        *,
        journal: Journal,
        clock: Clock,
        telling: UnitTelling | None = None,
    ) -> None:
        """Take the device's id, the orders of all stations, and `telling` where the YAML allows commands."""
        self._device = device
        self._telling = telling
        self._orders = orders
        self._journal = journal
        self._clock = clock
        self._beat = 0

    @property
    def has_commands(self) -> bool:
        """Return whether any station has a gate at this device, or the device is told of units."""
        return self._telling is not None or bool(self._orders.of(self._device))

    async def serve(self, session: CommandingSession) -> None:
        """Keep the gates as ordered while the session lasts; returns when the link breaks.

        The device is told of a unit before its gate opens for it.
        """
        written: dict[str, Order] = {}
        try:
            while True:
                version = self._orders.version
                if self._telling is not None:
                    await self._telling.tell(session)
                for order in self._orders.of(self._device):
                    if written.get(order.station) is not order:
                        await self._write(session, order, again=order.station not in written)
                        written[order.station] = order
                    await self._count_life(session, order)
                await self._orders.moved(version)
        except DeviceUnavailable:
            return

    async def leave(self, session: CommandingSession) -> None:
        """Put every gate into its safe position, because the gateway stops controlling it."""
        for order in self._orders.of(self._device):
            safe = Order(order.station, order.gate, order.gate.safe, "the gateway leaves its safe position")
            try:
                await self._write(session, safe, again=True)
            except DeviceUnavailable:
                return

    async def _write(self, session: CommandingSession, order: Order, *, again: bool) -> None:
        gate = order.gate
        if again:
            await self._record(order, f"{order.reason}: written on a new connection", ())
        value = order.value if gate.point else order.position
        try:
            back = await session.command(gate.point, value)
        except DeviceRefused as error:
            await self._record(order, str(error), (Change("confirmed", None, after=False, status="nok"),))
            log.warning("gate cannot be moved", device=self._device, point=gate.point, why=error.what)
            return
        good = back == value
        changes = (
            Change("read_back", None, back),
            Change("confirmed", None, good, status="ok" if good else "nok"),
        )
        await self._record(order, order.reason, changes)
        if not good:
            log.warning(
                "gate did not move as ordered",
                device=self._device,
                point=gate.point,
                ordered=value,
                read_back=back,
            )

    async def _count_life(self, session: CommandingSession, order: Order) -> None:
        if order.gate.alive is None:
            return
        self._beat = (self._beat + 1) % ALIVE_MODULO
        try:
            await session.command(order.gate.alive, str(self._beat))
        except DeviceRefused as error:
            log.warning("the life counter of a gate cannot be written", device=self._device, why=error.what)

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
