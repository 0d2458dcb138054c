"""The newest picture of each station, and who is to be told of the next one."""

import asyncio
from collections.abc import Callable, Collection
from typing import Final, Self

from linewitness.stations.view import StationView

#: Half of the connections that the status page serves: health and metrics are answered all the same.
MAX_VIEWERS: Final = 16


class TooManyViewers(Exception):
    """As many screens as there may be look already."""


class StationBoard:
    """The newest picture of each station. A viewer that is slow misses pictures, and gets the newest one."""

    def __init__(self) -> None:
        """Begin without pictures."""
        self._views: dict[str, StationView] = {}
        self._viewers: set[StationChanges] = set()
        #: Called when somebody begins to look: pictures may be older while nobody does.
        self.on_look: Callable[[], None] = lambda: None

    @property
    def stations(self) -> tuple[StationView, ...]:
        """The pictures of all stations, by their ids."""
        return tuple(self._views[name] for name in sorted(self._views))

    @property
    def viewers(self) -> int:
        """How many look now."""
        return len(self._viewers)

    def view(self, station: str) -> StationView | None:
        """Return the newest picture of a station, None where there is none."""
        return self._views.get(station)

    def publish(self, view: StationView) -> None:
        """Show a picture; nobody is told of one that is as the last."""
        if self._views.get(view.station) != view:
            self._views[view.station] = view
            self._wake(view.station)

    def keep(self, stations: Collection[str]) -> None:
        """Forget all stations but these: the settings do not name them any more."""
        for gone in self._views.keys() - set(stations):
            del self._views[gone]
            self._wake(gone)

    def changes(self, station: str) -> "StationChanges":
        """Return the pictures of a station from now on; TooManyViewers if as many as may look do so."""
        if len(self._viewers) >= MAX_VIEWERS:
            raise TooManyViewers
        changes = StationChanges(self, station)
        self._viewers.add(changes)
        self.on_look()
        return changes

    def leave(self, viewer: "StationChanges") -> None:
        """Let another one look instead."""
        self._viewers.discard(viewer)

    def _wake(self, station: str) -> None:
        for viewer in self._viewers:
            if viewer.station == station:
                viewer.wake()


class StationChanges:
    """The pictures of one station for one viewer: the newest one, then each newer one. To be closed.

    It ends when the station is no more. Waiting for the next picture may be cancelled and begun again.
    """

    def __init__(self, board: StationBoard, station: str) -> None:
        """Take the board and the station's id."""
        self.station = station
        self._board = board
        self._shown: StationView | None = None
        self._news = asyncio.Event()

    def __aiter__(self) -> Self:
        """Return the viewer itself."""
        return self

    async def __anext__(self) -> StationView:
        """Wait until the newest picture is another than the one returned last."""
        while (view := self._board.view(self.station)) is not None:
            if view is not self._shown:
                self._shown = view
                return view
            self._news.clear()
            await self._news.wait()
        raise StopAsyncIteration

    def wake(self) -> None:
        """Let the viewer look again."""
        self._news.set()

    def close(self) -> None:
        """Make room for another viewer."""
        self._board.leave(self)
