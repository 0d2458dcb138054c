"""Take components out of the unit, whichever station of the line built them in."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from linewitness.base.clock import NS_PER_S, Stamp
from linewitness.devices.base import Code
from linewitness.evidence.format.record import Resource
from linewitness.stations.checklist import requirement_events
from linewitness.stations.checklist.checklist import Checklist
from linewitness.stations.checklist.options import ComponentRequirement
from linewitness.stations.checklist.requirement_events import Undone
from linewitness.stations.checklist.status import following, progress_of
from linewitness.stations.context import StationContext
from linewitness.stations.genealogy.components import Components, ReadPart, component_changes
from linewitness.stations.genealogy.known_units import Component, KnownUnit
from linewitness.stations.genealogy.part_codes import PartCode, read_part
from linewitness.stations.outcome import StationOutcome
from linewitness.stations.people.reasons import GivenReason
from linewitness.stations.unit.units import HeldUnit


@dataclass(frozen=True, slots=True)
class _Removal:
    """The code for taking out was read: why, of which unit, and until when a component's code says which."""

    reason: GivenReason
    unit: str
    until_ns: int

    def is_for(self, held: HeldUnit, now: Stamp) -> bool:
        """Return whether a component that is read now is to be taken out of this unit."""
        return self.unit == held.serial and now.boottime_ns <= self.until_ns


class _ReadHere(NamedTuple):
    """What a code says as that of a part of one station."""

    station: str
    read: ReadPart

    def inside(self, known: KnownUnit) -> Component | None:
        """Return the component of a unit that this is, the last one where there are several of a lot."""
        part, loaded = self.read.part, self.read.need.source == "loaded"
        same = [each for each in known.components if _is(each, part, loaded=loaded)]
        return same[-1] if same else None


class Removals:
    """What is taken out of units at one station."""

    def __init__(self, context: StationContext, checklist: Checklist, components: Components) -> None:
        """Begin with nothing to be taken out."""
        self._context = context
        self._here = str(context.id)
        self._checklist = checklist
        self._components = components
        self._removal: _Removal | None = None

    def begin(self, reason: GivenReason, held: HeldUnit, code: Code) -> str:
        """Wait for the code of the component that is taken out; return what the record of this code says."""
        within_s = self._context.options.codes.within_s if self._context.options else 0
        until_ns = code.received.boottime_ns + int(within_s * NS_PER_S)
        self._removal = _Removal(reason, held.serial, until_ns)
        return f"the component that is read next is taken out: {reason.words}"

    def take(self, code: Code, held: HeldUnit | None, outcome: StationOutcome, *, may_be_unit: bool) -> bool:
        """Take out the component whose code was read, if that was said before; return whether it is one.

        A code that may be the name of a unit is one, unless it is that of a component in this unit or has
        the form of our own parts: who reads the next unit has changed his mind.
        """
        removal = self._removal
        if removal is None:
            return False
        if held is None or held.known is None or not removal.is_for(held, code.received):
            self._removal = None
            return False
        readings = list(self._readings(code))
        for reading in readings:
            component = reading.inside(held.known)
            if component is not None:
                self._removal = None
                self._take_out(reading, component, held, removal, outcome)
                return True
        readings = [each for each in readings if each.station == self._here or not may_be_unit]
        if readings:
            self._removal = None
            why = f"it is not in {held.serial}: nothing was taken out"
            self._components.refuse(readings[0].read, held, why, outcome)
        return bool(readings)

    def _readings(self, code: Code) -> Iterator[_ReadHere]:
        """Yield what a code says, as that of our own parts first."""
        for need, part in self._components.read(code.device, code.text):
            if need.source == "read":
                yield _ReadHere(self._here, ReadPart(need, part, code))
        for station, options in self._context.shared.stations.items():
            # Another station's part is read with the reader that is here.
            for need in options.components if station != self._here else ():
                theirs = read_part(code.text, need)
                if theirs is not None:
                    yield _ReadHere(station, ReadPart(need, theirs, code))

    def _take_out(
        self,
        reading: _ReadHere,
        component: Component,
        held: HeldUnit,
        removal: _Removal,
        outcome: StationOutcome,
    ) -> None:
        """Take a component out of the unit; what was done after it begins anew."""
        need, part, code = reading.read
        known = held.known
        if known is None:
            return
        name = f"{part.part}/{component.serial or component.lot}"
        # The very one: pieces of a lot are alike.
        known.components = [each for each in known.components if each is not component]
        held.take_out(name)
        outcome.events.append(
            self._context.event_by(
                code,
                kind="component.removed",
                actor=self._context.actor(code.device),
                resource=Resource("component", name, ("unit", held.serial)),
                reason=removal.reason.words,
                changes=tuple(component_changes(component, gone=True)),
            )
        )
        if component.station != self._here:
            self._open_again(component, held, known, code, outcome)
        outcome.state.update(self._context.shared.units.put(known))
        if component.station == self._here:
            if component.requirement == need.name:
                progress_of(held, need).wrong = f"{part.part} {part.name} was taken out"
            self._checklist.begin_anew(held, component.requirement, code, outcome)

    def _open_again(
        self, component: Component, held: HeldUnit, known: KnownUnit, code: Code, outcome: StationOutcome
    ) -> None:
        """Let the unit lack at its station what was taken out here, and what was done after it there."""
        visit, station = known.visits.get(component.station), component.station
        options = self._context.shared.stations.get(station)
        wanted = following(component.requirement, options)
        if visit is None or not visit.ending or not wanted:
            return  # the unit has not left there as it should: that station sees it by itself
        if visit.ending in ("complete", "overridden"):
            visit.ending = "incomplete"
        for need in wanted:
            visit.progress.pop(need.name, None)
            if visit.done_at.pop(need.name, None) is None:
                continue
            left = 0
            if isinstance(need, ComponentRequirement):
                left = len(known.installed(station, need.name, need.part))
            why = f"{component.part} {component.serial or component.lot} was taken out at {self._here}"
            if need.name != component.requirement:
                why = f"what comes before it was undone: {why}"
            outcome.events.append(
                requirement_events.undone(
                    self._context, held, Undone(f"{station}/{need.name}", why, left, need.wanted), code
                )
            )


def _is(component: Component, part: PartCode, *, loaded: bool) -> bool:
    """Return whether a code is that of a component; of a lot that was loaded, a reel's number is its lot."""
    named = ("", part.lot or part.serial) if loaded else (part.serial, part.lot or component.lot)
    return (component.part, component.serial, component.lot) == (part.part, *named)
