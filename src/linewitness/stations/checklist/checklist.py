"""Follow what the unit at a station needs: count what counts, refuse what does not, record each change."""

from collections.abc import Callable, Mapping
from typing import Final

from linewitness.base.clock import Stamp
from linewitness.devices.base import Observation, Reading
from linewitness.evidence.format.record import Actor, Event
from linewitness.stations.checklist import counting, judging, requirement_events
from linewitness.stations.checklist.counting import CountedResult
from linewitness.stations.checklist.judging import JudgedState
from linewitness.stations.checklist.live_values import LiveValues
from linewitness.stations.checklist.options import ComponentRequirement, ResultRequirement, SignOffRequirement
from linewitness.stations.checklist.progress import Progress
from linewitness.stations.checklist.requirement_events import Cause, NotCounted
from linewitness.stations.checklist.requirements import Requirement
from linewitness.stations.checklist.status import (
    RequirementStatus,
    comes_after,
    progress_of,
    statuses_of,
)
from linewitness.stations.checklist.timed_options import (
    AfterRequirement,
    CheckRequirement,
    ConditionRequirement,
    WaitRequirement,
)
from linewitness.stations.context import StationContext
from linewitness.stations.outcome import StationOutcome
from linewitness.stations.unit.units import HeldUnit
from linewitness.stations.values.changes import state_key

#: Requirements that are done by how often something was done.
_COUNTED: Final = (ResultRequirement, SignOffRequirement, ComponentRequirement)

#: Takes a requirement that is done now: material that is used with it is consumed.
Done = Callable[[HeldUnit, RequirementStatus, Cause, StationOutcome], None]


class Checklist:
    """What the units at one station need. Holds nothing of a unit: that is `HeldUnit.progress`."""

    def __init__(self, context: StationContext) -> None:
        """Take what the parts of the station share."""
        self._context = context
        self.live = LiveValues()
        #: Points that are watched since the settings changed, and said nothing since.
        self._unread: set[str] = set()
        #: Called with each requirement that becomes done.
        self.on_done: Done = lambda *_: None

    @property
    def points(self) -> frozenset[str]:
        """The points whose values requirements need, as device/point."""
        options = self._context.options
        if options is None:
            return frozenset()
        return frozenset(
            need.point
            for need in options.requires
            if isinstance(need, ConditionRequirement | CheckRequirement)
        )

    @property
    def runs_by_time(self) -> bool:
        """Whether time alone can change what a unit here has."""
        if self._unread:
            return True
        options = self._context.options
        timed = (ConditionRequirement, WaitRequirement)
        return options is not None and any(isinstance(need, timed) for need in options.requires)

    def statuses(self, held: HeldUnit) -> tuple[RequirementStatus, ...]:
        """Return the requirements of this unit."""
        return statuses_of(held, self._context.options)

    def take(self, reading: Reading) -> None:
        """Learn what a point says now."""
        if f"{reading.device}/{reading.point}" in self.points:
            self.live.take(reading, self._context.shared.moment(reading.received))

    @property
    def followed(self) -> frozenset[str]:
        """The devices of these points."""
        return frozenset(point.partition("/")[0] for point in self.points)

    def hear(self, known_until: Mapping[str, Stamp]) -> None:
        """Learn until when all that the points of these devices said was taken."""
        for device, stamp in known_until.items():
            self.live.hear(device, self._context.shared.moment(stamp))
        for name in [each for each in self._unread if each.partition("/")[0] in known_until]:
            self._unread.discard(name)
            device, _, point = name.partition("/")
            last = self._context.shared.last.get(state_key(device, point))
            if last is not None and last.is_plain and self.live.get(name) is None:
                self.live.recall(name, last.values[""], self._context.shared.moment(known_until[device]))

    def watch_anew(self, before: frozenset[str]) -> None:
        """Go on with other points than `before`: of a session that goes on, each was said already."""
        self._unread |= self.points - before

    def lose(self, device: str) -> None:
        """Learn that a session ended: the next one says all values anew."""
        self.live.lose(device)
        self._unread = {name for name in self._unread if name.partition("/")[0] != device}

    def doubt(self, missing: Observation) -> None:
        """Learn that something of a device is missing: values may have been among it."""
        self.live.doubt(missing.device, self._context.shared.moment(missing.received))

    def count(self, held: HeldUnit, counted: CountedResult, outcome: StationOutcome) -> None:
        """Count a result of the unit towards the requirements that ask for it."""
        result, options = counted.result, self._context.options
        for need in options.requires if options is not None else ():
            if not isinstance(need, ResultRequirement) or not counting.concerns(need, result):
                continue
            progress = progress_of(held, need)
            beyond = counting.outside(need, counted.measured) if result.ok else ""
            if not result.ok or beyond:
                progress.not_ok += 1
                progress.failed = True
                progress.wrong = beyond or "the last result is not ok"
            elif why := self._refusal_of(held, need, counted):
                self.refuse(held, need, NotCounted(why, result, counted.event.event_id), outcome)
            elif self.may_count(held, need, result, outcome, by=counted.event.event_id):
                progress.done += 1
                progress.failed, progress.wrong = False, ""
                progress.out_of_order |= bool(counting.made_before_its_turn(need, result, held))
                progress.work(counted.operator)
                progress.note(counted.event.event_id)

    def _refusal_of(self, held: HeldUnit, need: ResultRequirement, counted: CountedResult) -> str:
        options, lists = self._context.options, self._context.shared.lists
        if options is None or not options.is_tracking:
            return ""
        now = counted.result.received
        why = counting.late_refusal(need, counted.result, held)
        why = why or counting.tool_refusal(counted.result, options.tools, lists, now)
        return why or counting.person_refusal(counted.operator, options, lists, now)

    def may_count(
        self,
        held: HeldUnit,
        need: Requirement,
        cause: Cause,
        outcome: StationOutcome,
        *,
        by: str | None = None,
    ) -> bool:
        """Return whether a requirement's turn has come; otherwise refuse, or note that it came too soon."""
        first = self.comes_first(held, need)
        if not first:
            return True
        if need.out_of_order == "record":
            progress_of(held, need).out_of_order = True
            return True
        why = f"out of order: {', '.join(first)} comes first"
        self.refuse(held, need, NotCounted(why, cause, by), outcome)
        return False

    def comes_first(self, held: HeldUnit, need: Requirement) -> list[str]:
        """Return what people call the requirements that must be done first and are not."""
        if not need.after:
            return []
        return [
            status.need.shown
            for status in self.statuses(held)
            if status.need.name in need.after and not status.is_done
        ]

    def refuse(self, held: HeldUnit, need: Requirement, refusal: NotCounted, outcome: StationOutcome) -> None:
        """Put on record that something does not count, and why."""
        progress_of(held, need).wrong = refusal.why
        outcome.events.append(requirement_events.refused(self._context, held, need, refusal))
        outcome.refusals.append(f"{need.shown}: {refusal.why}")

    def interrupt(self, held: HeldUnit) -> None:
        """Let conditions begin anew: it is not known whether the unit is here."""
        for need, progress in self.statuses(held):
            if isinstance(need, ConditionRequirement) and progress.state == "missing":
                progress.since = None
                if need.until is not None and judging.start_of(need.since, held) is not None:
                    progress.state, progress.wrong = "not_met", "it was not known whether the unit was here"

    def settle(self, held: HeldUnit, cause: Cause, outcome: StationOutcome) -> None:
        """Judge every requirement anew until nothing changes; put each change on record."""
        statuses = self.statuses(held)
        for _ in range(len(statuses) + 1):
            changed = False
            for status in statuses:
                changed |= self._settle_one(held, status, cause, outcome)
            if not changed:
                return
            statuses = self.statuses(held)

    def _settle_one(
        self, held: HeldUnit, status: RequirementStatus, cause: Cause, outcome: StationOutcome
    ) -> bool:
        need, progress = status
        stamp = cause if isinstance(cause, Stamp) else cause.received
        finding = self._judged(held, need, progress, stamp)
        progress.wrong = finding.wrong
        if finding.state == progress.state:
            return False
        if finding.state == "done" and not isinstance(need, _COUNTED):
            # What is not counted cannot be refused when it comes: it is noted when it is found to be so.
            progress.out_of_order = bool(self.comes_first(held, need))
        before, progress.state = progress.state, finding.state
        progress.done_at = self._context.shared.moment(stamp) if finding.state == "done" else None
        if need.has_records:
            outcome.events.append(requirement_events.changed(self._context, held, status, before, cause))
        if before == "done" and isinstance(need, ComponentRequirement):
            self.begin_anew(held, need.name, cause, outcome)
        if finding.state == "done":
            self.on_done(held, status, cause, outcome)
        return True

    def _judged(self, held: HeldUnit, need: Requirement, progress: Progress, stamp: Stamp) -> JudgedState:
        if isinstance(need, ComponentRequirement):
            self._look_inside(held, need, progress)
        if isinstance(need, _COUNTED):
            return judging.judge_count(need, progress)
        if progress.state == "missing" and self.comes_first(held, need) and need.out_of_order == "refuse":
            return JudgedState("missing")
        if isinstance(need, AfterRequirement):
            return judging.judge_after(need, progress, held, self._station_before(held))
        if isinstance(need, CheckRequirement):
            return judging.judge_check(need, progress, held, self.live)
        now = self._context.shared.moment(stamp)
        if isinstance(need, ConditionRequirement):
            return judging.judge_condition(need, progress, held, self.live, now)
        return judging.judge_wait(need, progress, held, now)

    def _look_inside(self, held: HeldUnit, need: ComponentRequirement, progress: Progress) -> None:
        """Take from what is in the unit how far a component is: it counts where it is, not what was read."""
        if held.known is not None:
            here = str(self._context.id)
            inside = held.known.installed(here, need.name, need.part)
            left = held.known.station != here and held.known.visit(here).ending
            if left and len(inside) < progress.done:
                return  # taken out at another station, which says so: it had it when it left here
            progress.done = len(inside)
            progress.met_by, progress.left_out = [], 0
            for each in inside:
                progress.note(each.event_id or None)

    def _station_before(self, held: HeldUnit) -> str | None:
        """Return the station before this one in the route of the unit's product."""
        route = self._context.shared.lists.routes.get(held.variant.product, ())
        here = str(self._context.id)
        position = route.index(here) if here in route else 0
        return route[position - 1] if position else None

    def begin_anew(self, held: HeldUnit, name: str, cause: Cause, outcome: StationOutcome) -> None:
        """Let begin anew what was done after something that is not so any more; its records stay."""
        for status in self.statuses(held):
            need, progress = status
            if not comes_after(name, need) or not (progress.done or progress.state != "missing"):
                continue
            if not isinstance(need, ComponentRequirement):
                fresh = Progress(need.definition, not_ok=progress.not_ok)
                held.progress = {**held.progress, need.name: fresh}
                fresh.wrong = "what comes before it was undone"
                if progress.state != "missing" and need.has_records:
                    again = RequirementStatus(need, fresh)
                    outcome.events.append(
                        requirement_events.changed(self._context, held, again, progress.state, cause)
                    )
            self.begin_anew(held, need.name, cause, outcome)

    def sign(
        self, held: HeldUnit, need: SignOffRequirement, person: Actor, observation: Observation
    ) -> Event:
        """Count a person's signature, and return its record."""
        progress = progress_of(held, need)
        progress.people.append(person.id)
        progress.done += 1
        progress.wrong = ""
        event = requirement_events.signed(self._context, held, need, person, observation)
        progress.note(event.event_id)
        return event
