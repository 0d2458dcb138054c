"""The lists that others own: lots, calibrations, qualifications and routes, as last taken over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal

from linewitness.base.clock import NS_PER_S
from linewitness.base.mappings import EMPTY

ListName = Literal["lots", "calibrations", "qualifications", "routes"]

#: Every list that a YAML can name.
LIST_NAMES: Final[tuple[ListName, ...]] = ("lots", "calibrations", "qualifications", "routes")
#: The station of a qualification that is good for all stations.
ANY_STATION: Final = "*"


@dataclass(frozen=True, slots=True)
class Lot:
    """One lot of a part: whether it may be used, until which day (inclusive, UTC), and who supplied it."""

    part: str
    lot: str
    blocked: bool = False
    reason: str = ""
    expiry: date | None = None
    supplier: str = ""


@dataclass(frozen=True, slots=True)
class ListState:
    """How good one list is: `digest` of its file, since when it holds, and how old it may become.

    `as_of_ns` is Unix time: when its owner issued it, or when its file was written. `max_age_s` is None where
    it counts for ever. `only_listed` says that a lot that is not in the list is refused.
    """

    name: ListName
    digest: str
    as_of_ns: int
    max_age_s: float | None = None
    only_listed: bool = False

    def age_s(self, now_ns: int) -> float:
        """Return how old the list is at a Unix time; never less than 0."""
        return max(0, now_ns - self.as_of_ns) / NS_PER_S

    def is_stale(self, now_ns: int) -> bool:
        """Return whether the list is too old to count."""
        return self.max_age_s is not None and self.age_s(now_ns) > self.max_age_s


@dataclass(frozen=True, slots=True)
class ListBook:
    """All lists of a line as last taken over. A list that the YAML does not name has no state here.

    `lots` by (part, lot); `calibrations` by tool, which is a device's id or a tool's serial number: the last
    day on which it is calibrated; `qualifications` by (person, station), with ANY_STATION for all: the last
    day; `routes` by product: the stations in their order. All days are UTC and inclusive.
    """

    states: Mapping[ListName, ListState] = field(default_factory=lambda: EMPTY)
    lots: Mapping[tuple[str, str], Lot] = field(default_factory=lambda: EMPTY)
    calibrations: Mapping[str, date] = field(default_factory=lambda: EMPTY)
    qualifications: Mapping[tuple[str, str], date] = field(default_factory=lambda: EMPTY)
    routes: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: EMPTY)

    def has(self, name: ListName) -> bool:
        """Return whether the YAML names this list and it was taken over."""
        return name in self.states

    def unusable(self, name: ListName, now_ns: int) -> str | None:
        """Return why a list cannot be asked at a Unix time, None where it can."""
        state = self.states.get(name)
        if state is None:
            return f"there is no list of {name}"
        if state.is_stale(now_ns):
            return f"the list of {name} is {state.age_s(now_ns) / 3600:.0f} h old, which is too old"
        return None

    def qualified_until(self, person: str, station: str) -> date | None:
        """Return the last day on which a person may work at a station, None where the list has none."""
        days = [
            day
            for place in (station, ANY_STATION)
            if (day := self.qualifications.get((person, place))) is not None
        ]
        return max(days, default=None)


NO_LISTS: Final = ListBook()
