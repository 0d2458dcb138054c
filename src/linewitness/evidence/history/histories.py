"""Collect the device history records of units from records, in one pass and in bounded memory."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from linewitness.evidence.format.record import unit_of
from linewitness.evidence.history.checklist import UnitChecklist, checklist_of
from linewitness.evidence.history.components import Genealogy, words_of
from linewitness.evidence.history.values import INSTALLED, LEFT, REFUSED, REMOVED, Place, actor_of

#: Units that are followed, and events of each; what is beyond them is counted.
MAX_UNITS: Final = 500
MAX_EVENTS: Final = 200
#: Checklists and components that are kept, over all units.
MAX_PARTS: Final = 2000
#: Records that may turn out to have met a requirement: the newest ones.
MAX_REMEMBERED: Final = 20_000

#: What is listed beside the checklist, with what it means.
EVENTS: Final = {
    REFUSED: "component refused",
    "requirement.refused": "not counted",
    "gate.overridden": "let pass",
    "unit.scrapped": "scrapped",
    "requirement.signed": "signed",
    "exception.raised": "exception",
}


class Meeting(NamedTuple):
    """A record that met a requirement: its place, who did it and when."""

    sequence_no: Place
    by: str
    at: str


class UnitEvent(NamedTuple):
    """A refusal, an override, a sign-off or an exception."""

    sequence_no: Place
    at: str
    what: str
    about: str
    by: str
    reason: str


@dataclass(slots=True)
class DeviceHistory:
    """All that the records say of one unit, attempts in their order; `unit` is empty for what is of none."""

    unit: str
    checklists: list[tuple[UnitChecklist, dict[str, Meeting]]] = field(default_factory=list)
    genealogy: Genealogy = field(default_factory=Genealogy)
    events: list[UnitEvent] = field(default_factory=list)

    @property
    def chains(self) -> dict[str, str]:
        """For each station its attempts as one chain."""
        found: dict[str, list[str]] = {}
        for checklist, _ in self.checklists:
            found.setdefault(checklist.station, []).append(checklist.heading)
        return {station: " → ".join(attempts) for station, attempts in found.items()}


class DeviceHistories:
    """Follow records in their order; `all` are the units' histories, in the order of their first record.

    `left_out` counts the records that were not kept. `forgot` says whether a record that met a requirement
    may have been among so many others that it is not remembered.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._found: dict[str, DeviceHistory] = {}
        self._remembered: OrderedDict[str, Meeting] = OrderedDict()
        self._parts = 0
        self.left_out = 0
        self.forgot = False

    @property
    def all(self) -> list[DeviceHistory]:
        """The histories of units; then, without a unit, what is of none."""
        return sorted(self._found.values(), key=lambda one: not one.unit)

    def add(self, members: dict[str, Any]) -> None:
        """Take the next parsed record."""
        kind, unit = members["kind"], unit_of(members)
        if kind == LEFT and unit is not None:
            self._leave(unit, members)
        elif kind in (INSTALLED, REMOVED) and unit is not None:
            history = self._of(unit)
            if history is not None and self._has_room():
                history.genealogy.take(members)
        elif kind in EVENTS:
            self._tell(kind, unit or "", members)
        self._remember(members)

    def _leave(self, unit: str, members: dict[str, Any]) -> None:
        checklist = checklist_of(members)
        if checklist is None:
            return
        history = self._of(unit)
        if history is None or not self._has_room(1 + len(checklist.requirements)):
            return
        named = {each for one in checklist.requirements for each in one.met_by}
        history.checklists.append(
            (checklist, {each: self._remembered[each] for each in named if each in self._remembered})
        )

    def _tell(self, kind: str, unit: str, members: dict[str, Any]) -> None:
        history = self._of(unit)
        if history is None:
            return
        if len(history.events) >= MAX_EVENTS:
            self.left_out += 1
            return
        resource = members["resource"]
        about = words_of(members) or f"{resource['type']} {resource['id']}"
        history.events.append(
            UnitEvent(
                members["sequence_no"],
                members["occurred_at"],
                EVENTS[kind],
                about,
                actor_of(members),
                members["reason"],
            )
        )

    def _of(self, unit: str) -> DeviceHistory | None:
        """Return a unit's history, None where there are too many others."""
        if unit not in self._found:
            if len(self._found) >= MAX_UNITS:
                self.left_out += 1
                return None
            self._found[unit] = DeviceHistory(unit)
        return self._found[unit]

    def _has_room(self, parts: int = 1) -> bool:
        """Return whether so many more rows are kept; count the record where they are not."""
        if self._parts + parts > MAX_PARTS:
            self.left_out += 1
            return False
        self._parts += parts
        return True

    def _remember(self, members: dict[str, Any]) -> None:
        self._remembered[members["event_id"]] = Meeting(
            members["sequence_no"], actor_of(members), members["occurred_at"]
        )
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
            self.forgot = True
