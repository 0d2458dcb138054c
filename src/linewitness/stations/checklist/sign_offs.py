"""Take signatures: the code of a sign-off, then the badges of those who sign."""

from dataclasses import dataclass
from typing import NamedTuple

from linewitness.base.clock import NS_PER_S, Stamp
from linewitness.devices.base import Code
from linewitness.stations.checklist.checklist import Checklist
from linewitness.stations.checklist.counting import unqualified
from linewitness.stations.checklist.options import SignOffRequirement
from linewitness.stations.checklist.requirement_events import NotCounted
from linewitness.stations.checklist.status import RequirementStatus, progress_of
from linewitness.stations.context import StationContext
from linewitness.stations.outcome import StationOutcome
from linewitness.stations.unit.units import HeldUnit


@dataclass(frozen=True, slots=True)
class _Awaited:
    """The sign-off whose code was read, of which unit, and until when badges sign (boot time)."""

    name: str
    unit: str
    until_ns: int


class Badge(NamedTuple):
    """A badge that was read, and who is signed on at the station."""

    code: Code
    operator: str | None


class SignOffs:
    """The sign-offs at one station. A code that was read before a restart is read again."""

    def __init__(self, context: StationContext, checklist: Checklist) -> None:
        """Begin with no code read."""
        self._context = context
        self._checklist = checklist
        self._awaited: _Awaited | None = None

    def find(self, text: str, held: HeldUnit | None) -> RequirementStatus | None:
        """Return the unit's sign-off that has this code, one that is open if there is any."""
        found = [
            status
            for status in (self._checklist.statuses(held) if held is not None else ())
            if isinstance(status.need, SignOffRequirement) and status.need.code == text
        ]
        return next((status for status in found if not status.is_done), found[0] if found else None)

    def is_code(self, text: str) -> bool:
        """Return whether a text is the code of a sign-off of this station, for whichever units."""
        options = self._context.options
        return options is not None and any(
            isinstance(need, SignOffRequirement) and need.code == text for need in options.requires
        )

    def begin(self, status: RequirementStatus, held: HeldUnit, code: Code, outcome: StationOutcome) -> str:
        """Wait for the badges of a sign-off; return what the record of the code says."""
        need = status.need
        assert isinstance(need, SignOffRequirement)  # noqa: S101 (`find` gives no other)
        if status.is_done:
            return f"{need.shown} is signed already"
        if not self._checklist.may_count(held, need, code, outcome):
            return f"{need.shown} is not to be signed yet"
        until_ns = code.received.boottime_ns + int(need.within_s * NS_PER_S)
        self._awaited = _Awaited(need.name, held.serial, until_ns)
        return f"{need.shown}: the badge is read next"

    def awaited(self, held: HeldUnit | None, now: Stamp) -> RequirementStatus | None:
        """Return the sign-off that the next badge signs, None where a badge signs on or off."""
        awaited = self._awaited
        if (
            awaited is None
            or held is None
            or awaited.unit != held.serial
            or now.boottime_ns > awaited.until_ns
        ):
            self._awaited = None
            return None
        for status in self._checklist.statuses(held):
            # Settings that were changed meanwhile may ask for something else under this name.
            if status.need.name == awaited.name and isinstance(status.need, SignOffRequirement):
                return status
        return None

    def sign(self, status: RequirementStatus, held: HeldUnit, badge: Badge, outcome: StationOutcome) -> None:
        """Take a badge as a signature, or refuse it."""
        need, progress = status
        assert isinstance(need, SignOffRequirement)  # noqa: S101 (`begin` waits for no other)
        if why := self._refusal(need, held, badge):
            self._checklist.refuse(held, need, NotCounted(why, badge.code), outcome)
            return
        if not self._checklist.may_count(held, need, badge.code, outcome):
            # What comes first was undone after the code was read.
            self._awaited = None
            return
        person = self._context.badges.person(badge.code.text, "badge")
        outcome.events.append(self._checklist.sign(held, need, person, badge.code))
        if progress.done >= need.people:
            self._awaited = None

    def _refusal(self, need: SignOffRequirement, held: HeldUnit, badge: Badge) -> str:
        options, operator = self._context.options, badge.operator
        person = badge.code.text
        if person in progress_of(held, need).people:
            return f"{person} has signed already: another person signs now"
        if need.second_person and operator is None:
            return "nobody is signed on, so that nobody knows who a second person is"
        if need.second_person and person == operator:
            return f"{person} does the work: another person signs"
        if need.second_person and any(person in each.workers for each in held.progress.values()):
            return f"{person} did some of the work: another person signs"
        if options is not None and options.operator.needed == "qualified":
            lists = self._context.shared.lists
            return unqualified(person, str(self._context.id), lists, badge.code.received)
        return ""
