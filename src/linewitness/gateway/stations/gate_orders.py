"""What the gates of a line should be now: the newest orders that are on record."""

import asyncio
from collections.abc import Iterable
from typing import Final

from linewitness.stations.gate.orders import Order
from linewitness.stations.station import Station

#: The life counter of a gate moves this often, and what failed is looked at this often, in seconds.
ALIVE_S: Final = 1.0


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
        """Take an order whose event is durable.

        The devices of a station wait for the disk one by one, so an order may come here after one that was
        decided later, or after the settings took its gate away: it counts no longer.
        """
        newest = self._orders.get(order.station)
        if newest is not None and newest.number < order.number:
            self._orders[order.station] = order
            self.wake()

    def is_newest(self, order: Order) -> bool:
        """Return whether nothing was ordered of its gate since."""
        return self._orders.get(order.station) is order

    def of(self, device: str) -> list[Order]:
        """Return the orders for the gates of one device."""
        return [order for order in self._orders.values() if order.gate.device == device]

    async def moved(self, version: int, *, beats: bool) -> None:
        """Wait until the orders are newer than `version`, or for one beat of the life counter."""
        if self.version != version:
            return
        try:
            async with asyncio.timeout(ALIVE_S if beats else None):
                await self._moved.wait()
        except TimeoutError:
            return

    def wake(self) -> None:
        """Let devices look at what their stations want now."""
        self.version += 1
        event, self._moved = self._moved, asyncio.Event()
        event.set()
