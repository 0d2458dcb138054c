"""Let the unit's checklist follow each observation and the time, and remember what was refused lately."""

from collections import deque
from dataclasses import replace
from typing import Final

from linewitness.base.clock import Stamp
from linewitness.devices.base import Result
from linewitness.evidence.format.record import Resource
from linewitness.stations.checklist.counting import CountedResult, tool_of
from linewitness.stations.checklist.requirement_events import Cause
from linewitness.stations.outcome import StationOutcome
from linewitness.stations.parts import StationParts
from linewitness.stations.unit.units import HeldUnit, Override
from linewitness.stations.view import NoteView

#: Refusals that the screen shows.
MOST_NOTES: Final = 5


class StationWork:
    """What is done for the unit at one station, and what does not count."""

    def __init__(self, parts: StationParts) -> None:
        """Take the parts of the station."""
        self._parts = parts
        self._unit: HeldUnit | None = parts.units.held
        #: Whether nothing was counted since the unit was judged last, and the override that it had then.
        self._judged = False
        self._override: Override | None = None
        #: What was refused lately, the newest first; of the unit that is here.
        self.notes: deque[NoteView] = deque(maxlen=MOST_NOTES)

    def count(self, counted: CountedResult, unit: str | None, outcome: StationOutcome) -> None:
        """Put a result on record, and count it for the unit at the station if it is that unit's."""
        parts = self._parts
        tracks = parts.context.tracks
        if tracks:
            named = replace(counted.event, event_id=parts.context.mint(counted.result.received))
            counted = replace(counted, event=named)
        outcome.events.append(counted.event)
        held = parts.units.count(counted.result, unit)
        if held is None:
            return
        self._judged = False
        if tracks:
            self._watch_tool(held, counted.result, outcome)
        if parts.context.badges.watching:
            self._watch_operator(held, counted, outcome)
        parts.checklist.count(held, counted, outcome)

    def settle(self, cause: Cause, outcome: StationOutcome) -> bool:
        """Judge the requirements of the unit that is known to be here, and store what changed about it.

        Return whether anything can have changed.
        """
        if self._is_settled(cause, outcome):
            return False
        self._judged = False
        units, checklist = self._parts.units, self._parts.checklist
        held = units.held
        if held is None:
            self._judged = True
        elif units.serial is not None:
            self._parts.materials.supply(held, cause, outcome)
            checklist.settle(held, cause, outcome)
            self._parts.visits.note_readiness(held, outcome)
            self._judged, self._override = True, held.override
        else:
            checklist.interrupt(held)
        units.store(outcome)
        self._note(cause, outcome)
        return True

    def _is_settled(self, cause: Cause, outcome: StationOutcome) -> bool:
        """Return whether nothing can have changed: results alone decide, and none was counted.

        A station that only counts results must not pay for checklists with each code and each value.
        """
        held = self._parts.units.held
        return (
            self._judged
            and held is self._unit
            and (held is None or held.override is self._override)
            and not outcome.refusals
            and not isinstance(cause, Stamp)
            and not self._parts.context.tracks
        )

    def _note(self, cause: Cause, outcome: StationOutcome) -> None:
        if self._parts.units.held is not self._unit:
            self._unit = self._parts.units.held
            self.notes.clear()
        stamp = cause if isinstance(cause, Stamp) else cause.received
        for text in outcome.refusals:
            self.notes.appendleft(NoteView(at_ns=stamp.realtime_ns, text=text))

    def _watch_tool(self, held: HeldUnit, result: Result, outcome: StationOutcome) -> None:
        """Put on record that another tool makes the results of the same unit."""
        serial = tool_of(result)
        if serial is None:
            return
        before = held.tools.get(result.device)
        held.tools[result.device] = serial
        if before not in (None, serial):
            why = f"{held.serial}: tool {before} was replaced by {serial} at {result.device} during its work"
            resource = Resource("tool", serial, ("unit", held.serial))
            outcome.events.append(self._parts.context.exception(result, "tool_swapped", why, resource))

    def _watch_operator(self, held: HeldUnit, counted: CountedResult, outcome: StationOutcome) -> None:
        """Put on record that one operator works at two stations within a time in which nobody can walk."""
        context = self._parts.context
        options = context.options
        result, operator = counted.result, counted.operator
        if operator is None or options is None:
            return
        now = context.shared.moment(result.received)
        before = context.badges.see(operator, str(context.id), now)
        # A restart must not hide that somebody was elsewhere a moment ago.
        outcome.state.update(context.badges.noted(operator))
        walk_s = options.operator.walk_s
        if before is None or walk_s is None or before[1] >= walk_s:
            return
        why = f"{operator} worked at {before[0]} {before[1]:.0f} s before: nobody walks that fast"
        resource = Resource("operator", operator, ("unit", held.serial))
        outcome.events.append(context.exception(result, "impossible_walk", why, resource))
