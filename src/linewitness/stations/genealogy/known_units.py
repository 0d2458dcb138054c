"""The units that the line remembers: their product, their visits to stations, and what is built into them."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, NamedTuple

import orjson

from linewitness.stations.checklist.progress import ClockMoment

#: Under which keys of the journal's state units are kept.
PREFIX: Final = "unit/"
#: Units that are remembered where the settings say nothing.
REMEMBERED: Final = 10_000

Ending = Literal["", "complete", "incomplete", "overridden", "scrapped"]


class Variant(NamedTuple):
    """Product, order and batch of a unit; empty where nobody said."""

    product: str = ""
    order: str = ""
    batch: str = ""


NO_VARIANT: Final = Variant()


@dataclass(slots=True)
class Component:
    """A piece or an amount of material that is in a unit, and the record that says so."""

    requirement: str
    station: str
    part: str
    serial: str = ""
    lot: str = ""
    quantity: str = "1"
    position: str = ""
    supplier: str = ""
    expiry: str = ""
    event_id: str = ""


@dataclass(slots=True)
class Visit:
    """What a station knows of a unit: how often it came, how it left, and when each requirement was done."""

    attempts: int = 0
    ending: Ending = ""
    done_at: dict[str, ClockMoment] = field(default_factory=dict)
    #: What was done when it left, where what was open then is all that it needs when it comes back.
    progress: dict[str, Any] = field(default_factory=dict)

    def dump(self) -> dict[str, Any]:
        """Return it as JSON knows it."""
        done_at = {name: list(moment) for name, moment in self.done_at.items()}
        return {
            "attempts": self.attempts,
            "ending": self.ending,
            "done_at": done_at,
            "progress": self.progress,
        }


@dataclass(slots=True)
class KnownUnit:
    """One unit. `station` is where it is, empty where it is at none; `scrapped` says why it is scrap."""

    serial: str
    variant: Variant = NO_VARIANT
    station: str = ""
    scrapped: str = ""
    visits: dict[str, Visit] = field(default_factory=dict)
    components: list[Component] = field(default_factory=list)

    def visit(self, station: str) -> Visit:
        """Return what a station knows of it; the first time, nothing."""
        return self.visits.setdefault(station, Visit())

    def installed(self, station: str, requirement: str, part: str) -> list[Component]:
        """Return what is in it by one requirement of one station; other settings may ask for another part."""
        wanted = (station, requirement, part)
        return [each for each in self.components if (each.station, each.requirement, each.part) == wanted]

    def dump(self, touched: int) -> str:
        """Return the durable form; `touched` is larger the later the unit was touched last."""
        return orjson.dumps(
            {
                "touched": touched,
                "variant": list(self.variant),
                "station": self.station,
                "scrapped": self.scrapped,
                "visits": {name: visit.dump() for name, visit in self.visits.items()},
                "components": [asdict(each) for each in self.components],
            }
        ).decode()

    @classmethod
    def load(cls, serial: str, text: str) -> "KnownUnit":
        """Return what `dump` wrote."""
        stored = orjson.loads(text)
        return cls(
            serial,
            Variant(*stored["variant"]),
            stored["station"],
            stored["scrapped"],
            {name: _visit(each) for name, each in stored["visits"].items()},
            [Component(**each) for each in stored["components"]],
        )


def _visit(stored: Mapping[str, Any]) -> Visit:
    done_at = {name: ClockMoment(*moment) for name, moment in stored["done_at"].items()}
    return Visit(stored["attempts"], stored["ending"], done_at, stored["progress"])


class KnownUnits:
    """The units of a line, the one that was touched last at the end; where there are too many, the oldest go.

    A unit that is at a station, or that a station still holds, is never forgotten. Rows stay as text until
    somebody asks for the unit.
    """

    def __init__(self, state: Mapping[str, str], *, most: int = REMEMBERED) -> None:
        """Begin with the state as last committed."""
        self._most = most
        stored = [
            (orjson.loads(text)["touched"], key.removeprefix(PREFIX), text)
            for key, text in state.items()
            if key.startswith(PREFIX)
        ]
        stored.sort()
        self._rows = {serial: text for _, serial, text in stored}
        self._touched = stored[-1][0] if stored else 0
        self._holders = dict(self._all_holders())
        #: Units that a station holds: all stations share what is known of them.
        self._here: dict[str, KnownUnit] = {}
        self._held_at: dict[str, set[str]] = {}

    def __len__(self) -> int:
        """Return how many units are remembered."""
        return len(self._rows)

    def remember_at_most(self, most: int) -> None:
        """Take another limit; what is above it is forgotten with the next units."""
        self._most = most

    def find(self, serial: str) -> KnownUnit | None:
        """Return a unit that is remembered, None for any other."""
        if (here := self._here.get(serial)) is not None:
            return here
        text = self._rows.get(serial)
        return None if text is None else KnownUnit.load(serial, text)

    def get(self, serial: str) -> KnownUnit:
        """Return a unit, a new one where it is not remembered."""
        return self.find(serial) or KnownUnit(serial)

    def hold(self, serial: str, station: str) -> KnownUnit:
        """Return a unit that a station holds from now on: all that hold it share what is known of it."""
        unit = self._here[serial] = self.get(serial)
        self._held_at.setdefault(serial, set()).add(station)
        return unit

    def release(self, unit: KnownUnit, station: str) -> None:
        """Learn that a station does not hold a unit any more."""
        held_at = self._held_at.get(unit.serial, set())
        held_at.discard(station)
        if not held_at:
            self._held_at.pop(unit.serial, None)
            self._here.pop(unit.serial, None)

    def put(self, unit: KnownUnit) -> dict[str, str | None]:
        """Keep what changed about a unit; return the state to store with the record that says so."""
        self._touched += 1
        before = self._rows.pop(unit.serial, None)
        if before is not None:
            for component in KnownUnit.load(unit.serial, before).components:
                if component.serial:
                    self._holders.pop((component.part, component.serial), None)
        for component in unit.components:
            if component.serial:
                self._holders[component.part, component.serial] = unit.serial
        text = self._rows[unit.serial] = unit.dump(self._touched)
        return {PREFIX + unit.serial: text, **{PREFIX + serial: None for serial in self._forget()}}

    def holder_of(self, part: str, serial: str) -> str | None:
        """Return the unit in which a serialized component is, None where it is in none that is remembered."""
        return self._holders.get((part, serial))

    def _forget(self) -> list[str]:
        """Forget the units that were not touched for longest, if there are too many."""
        excess = len(self._rows) - self._most
        if excess <= 0:
            return []
        forgotten = []
        for serial, text in self._rows.items():
            unit = KnownUnit.load(serial, text)
            if not unit.station and serial not in self._here:
                forgotten.append(unit)
            if len(forgotten) == excess:
                break
        for unit in forgotten:
            del self._rows[unit.serial]
            for component in unit.components:
                if self._holders.get((component.part, component.serial)) == unit.serial:
                    del self._holders[component.part, component.serial]
        return [unit.serial for unit in forgotten]

    def _all_holders(self) -> Iterator[tuple[tuple[str, str], str]]:
        for serial, text in self._rows.items():
            for component in KnownUnit.load(serial, text).components:
                if component.serial:
                    yield (component.part, component.serial), serial
