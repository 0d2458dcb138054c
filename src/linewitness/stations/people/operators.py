"""Who works at which station of the line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

import orjson

from linewitness.evidence.format.record import Actor
from linewitness.stations.checklist.progress import ClockMoment

#: Under which keys of the journal's state it is kept where operators worked last.
PREFIX: Final = "seen/"
#: Operators whose last result is remembered: a reader may invent badges without end.
MOST_SEEN: Final = 1000


@dataclass(slots=True)
class Badges:
    """Which operator is signed on where; all stations of a line share it, so one badge at two is seen."""

    at: dict[str, str] = field(default_factory=dict)
    #: Stations whose operator a tag of a PLC names.
    by_tag: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)
    #: Stations that ask for more than results: where there is one, the whole line's people are watched.
    watching: set[str] = field(default_factory=set)
    #: Where each operator's last result was made, and when.
    seen: dict[str, tuple[str, ClockMoment]] = field(default_factory=dict)

    def recall(self, state: Mapping[str, str]) -> None:
        """Know again where operators worked last, from the state as last committed."""
        stored = [
            (key.removeprefix(PREFIX), *orjson.loads(text))
            for key, text in state.items()
            if key.startswith(PREFIX)
        ]
        stored.sort(key=itemgetter(2))
        self.seen = {operator: (station, ClockMoment(*moment)) for operator, station, *moment in stored}

    def see(self, operator: str, station: str, now: ClockMoment) -> tuple[str, float] | None:
        """Note that an operator works here; return the station of before and the seconds since.

        Nothing is returned where nobody can say how long it is ago: over a restart of the machine whose clock
        was set back.
        """
        before = self.seen.pop(operator, None)
        self.seen[operator] = (station, now)
        if before is None or before[0] == station:
            return None
        if before[1].boot_id != now.boot_id and not before[1].is_by(now):
            return None
        return before[0], before[1].elapsed_s(now)

    def noted(self, operator: str) -> Mapping[str, str | None]:
        """Return the state to store of where an operator worked last; forget those who are too many."""
        station, moment = self.seen[operator]
        changes: dict[str, str | None] = {PREFIX + operator: orjson.dumps([station, *moment]).decode()}
        while len(self.seen) > MOST_SEEN:
            gone = next(iter(self.seen))
            del self.seen[gone]
            changes[PREFIX + gone] = None
        return changes

    def others(self, operator: str, station: str) -> list[str]:
        """Return the other stations where this operator is signed on."""
        return sorted(place for place, who in self.at.items() if who == operator and place != station)

    def actor(self, station: str | None, device: str) -> Actor:
        """Return the actor for a device's observation: the operator signed on, or the device."""
        operator = self.at.get(station) if station is not None else None
        if operator is None:
            return Actor("device", device)
        return self.person(operator, self.method(station))

    def method(self, station: str | None) -> str:
        """Return how the operator of a station is known: `tag` or `badge`."""
        return "tag" if station in self.by_tag else "badge"

    def person(self, operator: str, auth_method: str) -> Actor:
        """Return an operator as an actor; ids are pseudonymous, a name only where configured."""
        return Actor("user", operator, display_name=self.names.get(operator), auth_method=auth_method)
