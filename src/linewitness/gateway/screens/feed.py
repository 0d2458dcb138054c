"""Feed the screens of the stations: pictures of what is on the disk, and of nothing before that."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NoReturn, Protocol, runtime_checkable

from linewitness.base.clock import Clock, Stamp
from linewitness.stations.view import StationView
from linewitness.status.stations.board import StationBoard

#: A picture also changes because time passes: it is looked for so often.
LOOK_S: Final = 1.0

Durable = asyncio.Future[Any]


@runtime_checkable
class Pictured(Protocol):
    """A station that can be shown."""

    def view(self, now: Stamp) -> StationView:
        """Return the station as it is now, whether that is durable or not."""


@dataclass(slots=True, eq=False)
class _Followed:
    """A station, what of it is on its way to the disk, and a picture that waits for a part of that.

    `failed` says that what it holds will never be durable.
    """

    station: Pictured
    in_flight: set[Durable] = field(default_factory=set)
    picture: StationView | None = None
    awaited: set[Durable] = field(default_factory=set)
    failed: bool = False


class ScreenFeed:
    """Show stations as they are on record.

    A station is ahead of the disk while its events wait for their commit. It is shown as it is when nothing
    of it waits. Where something always does, a picture is drawn in between, and shown when all that it
    holds is durable. While nobody looks, once a second is enough: a picture costs about as much as an event.
    """

    def __init__(self, board: StationBoard, *, settled: Callable[[], Durable], clock: Clock) -> None:
        """Take where pictures go. `settled` returns what ends when all that is queued now is durable."""
        self._board = board
        self._settled = settled
        self._clock = clock
        self._followed: dict[object, _Followed] = {}
        self._held = False
        board.on_look = self.look

    @contextmanager
    def held(self) -> Iterator[None]:
        """Show nothing for the time of a block, in which stations change and their events are queued."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def begin(self, stations: Mapping[str, object]) -> None:
        """Follow these stations from now on, and no others; show those of which nothing waits."""
        self._board.keep(stations.keys())
        self._followed = {
            station: self._followed.get(station) or _Followed(station)
            for station in stations.values()
            if isinstance(station, Pictured)
        }
        self.look()

    def follow(self, station: object, durable: Durable) -> None:
        """Learn that a station has changed, and what ends when that is durable."""
        followed = self._followed.get(station)
        if followed is not None and durable not in followed.in_flight:
            self._wait_for(followed, durable)

    def look(self) -> None:
        """Show all stations as they are now; those of which something waits, when that is on the disk."""
        for followed in self._followed.values():
            if not followed.in_flight:
                self._show(followed)
            elif followed.picture is None:
                self._draw(followed)

    async def run(self) -> NoReturn:
        """Show what changes because time passes, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def _wait_for(self, followed: _Followed, durable: Durable) -> None:
        overlapping = bool(followed.in_flight)
        followed.in_flight.add(durable)
        if overlapping and followed.picture is None and self._board.viewers:
            self._draw(followed)
        durable.add_done_callback(partial(self._committed, followed))

    def _committed(self, followed: _Followed, durable: Durable) -> None:
        if durable.cancelled():
            # Who waited was cancelled, and the commit goes on: what is queued behind it tells its end.
            self._wait_for(followed, self._settled())
        elif durable.exception() is not None:
            followed.failed = True
        followed.in_flight.discard(durable)
        followed.awaited.discard(durable)
        if not followed.in_flight:
            wanted = self._board.viewers or followed.picture is not None
            followed.picture = None
            if wanted:
                self._show(followed)
        elif followed.picture is not None and not followed.awaited:
            self._show(followed, followed.picture)
            followed.picture = None
            if self._board.viewers:
                self._draw(followed)

    def _draw(self, followed: _Followed) -> None:
        followed.picture = followed.station.view(self._clock.stamp())
        followed.awaited = set(followed.in_flight)

    def _show(self, followed: _Followed, picture: StationView | None = None) -> None:
        if self._held or followed.failed or followed not in self._followed.values():
            return
        self._board.publish(picture or followed.station.view(self._clock.stamp()))
