"""Let time pass at the stations: waiting times and conditions end although no device says anything."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

from linewitness.base.clock import Clock, Stamp
from linewitness.gateway.stations.gate_orders import GateOrders
from linewitness.journal.journal import Journal
from linewitness.stations.station import Station

#: Time passes in steps of this long.
TICK_S: Final = 0.25


class StationClock:
    """The one task that tells stations what time it is, where time decides anything."""

    def __init__(
        self,
        stations: Callable[[], Iterable[Station]],
        known_until: Callable[[str, Stamp], Stamp | None],
        *,
        journal: Journal,
        clock: Clock,
        orders: GateOrders,
        show: Callable[[Station, "asyncio.Future[Any]"], None],
    ) -> None:
        """Take the stations as they are at each step, where their orders go, and who shows them.

        `known_until` tells until when a device's points are known.
        """
        self._known_until = known_until
        self._show = show
        self._stations = stations
        self._journal = journal
        self._clock = clock
        self._orders = orders

    async def run(self) -> None:
        """Tell the time until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            for station in list(self._stations()):
                if station.runs_by_time:
                    await self._tell(station)

    async def _tell(self, station: Station) -> None:
        now = self._clock.stamp()
        known = {name: self._known_until(name, now) for name in station.followed}
        outcome = station.tick(now, {name: stamp for name, stamp in known.items() if stamp is not None})
        if not outcome.events and not outcome.state:
            return
        durable = self._journal.submit(outcome.events, state=outcome.state)
        self._show(station, durable)
        await durable
        if outcome.order is not None:
            # Crash here: the order is on record and not written; the next start writes it.
            self._orders.release(outcome.order)
