"""What the line learns when a unit comes to a station and leaves it: attempts, variant, route, exceptions."""

from typing import Final

from linewitness.base.clock import Stamp
from linewitness.devices.base import Observation
from linewitness.evidence.format.record import Change
from linewitness.stations.checklist.progress import ClockMoment, Progress
from linewitness.stations.checklist.requirement_events import Cause
from linewitness.stations.checklist.status import covers, unmet
from linewitness.stations.context import StationContext
from linewitness.stations.genealogy.known_units import Ending, Variant
from linewitness.stations.options import StationOptions
from linewitness.stations.orders import StationOrder, variant_changes
from linewitness.stations.outcome import StationOutcome
from linewitness.stations.people.reasons import GivenReason
from linewitness.stations.unit.units import HeldUnit, variant_in

#: How a visit ended of a unit that is still held here, while another station took out what it had got here.
REOPENED: Final[Ending] = "incomplete"


class Visits:
    """The visits of units to one station, where its settings ask for more than results."""

    def __init__(self, context: StationContext, order: StationOrder) -> None:
        """Take what the parts of the station share."""
        self._context = context
        self._order = order

    def recall(self, held: HeldUnit) -> None:
        """Know again, after a restart, what the line remembers of the unit."""
        if self._context.tracks:
            held.known = self._context.shared.units.hold(held.serial, str(self._context.id))

    def was_elsewhere(self, held: HeldUnit) -> bool:
        """Return whether the unit that this station holds was read at another one since."""
        return self._context.tracks and held.known is not None and held.known.station != self._context.id

    def arrive(self, held: HeldUnit, cause: Cause, outcome: StationOutcome) -> None:
        """Begin a visit: its attempt, its variant, and what is wrong with its being here."""
        options = self._context.options
        if options is None or not self._context.tracks:
            return
        shared, here = self._context.shared, str(self._context.id)
        known = held.known = shared.units.hold(held.serial, here)
        visit = known.visit(here)
        visit.attempts += 1
        held.attempt = visit.attempts
        held.entered = shared.moment(cause if isinstance(cause, Stamp) else cause.received)
        # A waiting time at another station begins with what this visit has, not with an earlier one.
        visit.done_at = {}
        if options.rework == "open" and visit.progress:
            held.progress = {name: Progress.load(each) for name, each in visit.progress.items()}
        self._take_variant(held, cause, outcome)
        if known.station not in ("", here) and not known.visit(known.station).ending:
            why = f"it is at {known.station} as well"
            self._exception(cause, held, "unit_at_two_stations", why, outcome)
        if known.scrapped:
            self._exception(cause, held, "scrapped_unit", f"it is scrap: {known.scrapped}", outcome)
        if options.route and (skipped := self._skipped(held)):
            why = f"it did not pass {', '.join(skipped)}"
            self._exception(cause, held, "station_skipped", why, outcome)
        known.station, visit.ending = here, ""
        outcome.state.update(shared.units.put(known))

    def _take_variant(self, held: HeldUnit, cause: Cause, outcome: StationOutcome) -> None:
        """Take product, order and batch from the serial number, the station's order, or earlier stations."""
        options, known = self._context.options, held.known
        if options is None or known is None:
            return
        sources = [variant_in(held.serial, options.unit), self._order.variant, known.variant]
        chosen = Variant(*(next(filter(None, values), "") for values in zip(*sources, strict=True)))
        if known.variant.product and chosen.product != known.variant.product:
            why = f"it was product {known.variant.product} and is {chosen.product} here"
            self._exception(cause, held, "product_conflict", why, outcome)
        held.variant = known.variant = chosen

    def change_variant(self, held: HeldUnit, cause: Observation, outcome: StationOutcome) -> bool:
        """Let another order change what the unit that stands here needs; what it has had stays.

        Return whether anything is another than before.
        """
        if held.known is None or not self._context.tracks:
            return False
        before = held.variant
        self._take_variant(held, cause, outcome)
        if held.variant == before:
            return False
        outcome.state.update(self._context.shared.units.put(held.known))
        outcome.events.append(
            self._context.event_by(
                cause,
                kind="order.changed",
                actor=self._context.actor(cause.device),
                resource=self._context.unit_resource(held.serial),
                reason=f"{held.serial} stands there, and needs what the new order needs",
                changes=variant_changes(before, held.variant),
            )
        )
        return True

    def note_readiness(self, held: HeldUnit, outcome: StationOutcome) -> None:
        """Let the stations that follow know whether the unit may come to them.

        Where units move in step, it is read there before the next unit is read here. One that was read
        there too early counts as well: it stays here until another one is read.
        """
        options, known = self._context.options, held.known
        if options is None or known is None:
            return
        ending = _ending(held, options, unmet(held, options))
        visit = known.visit(str(self._context.id))
        now: Ending = "" if ending == "incomplete" else ending
        if visit.ending not in (now, REOPENED):
            visit.ending, visit.done_at = now, _done_at(held)
            outcome.state.update(self._context.shared.units.put(known))

    def depart(self, held: HeldUnit, cause: Cause, outcome: StationOutcome) -> None:
        """End a visit: how the unit leaves, and an exception if that is not as it should be."""
        options, known = self._context.options, held.known
        if options is None or known is None:
            return
        lacking = unmet(held, options)
        ending = _ending(held, options, lacking)
        visit = known.visit(str(self._context.id))
        visit.progress = {}
        if visit.ending != REOPENED:
            visit.ending, visit.done_at = ending, _done_at(held)
        if options.rework == "open" and lacking:
            visit.progress = {name: progress.dump() for name, progress in held.progress.items()}
        if known.station == self._context.id:
            known.station = ""
        self._context.shared.units.release(known, str(self._context.id))
        outcome.state.update(self._context.shared.units.put(known))
        if ending == "incomplete":
            self._exception(cause, held, "left_incomplete", f"it lacks {'; '.join(lacking)}", outcome)

    def scrap(
        self, held: HeldUnit, observation: Observation, reason: GivenReason, outcome: StationOutcome
    ) -> None:
        """Close a unit for good."""
        if held.known is None:
            return
        held.known.scrapped = reason.words
        outcome.state.update(self._context.shared.units.put(held.known))
        outcome.events.append(
            self._context.event(
                observation,
                kind="unit.scrapped",
                resource=self._context.unit_resource(held.serial),
                reason=reason.words,
                changes=(Change("reason_code", None, reason.code), Change("reason", None, reason.text)),
            )
        )

    def entered_changes(self, held: HeldUnit) -> tuple[Change, ...]:
        """Return what `unit.entered` says of the visit."""
        if held.known is None:
            return ()
        named = zip(("product", "order", "batch"), held.variant, strict=True)
        return (
            Change("attempt", None, held.attempt),
            *(Change(name, None, value) for name, value in named if value),
        )

    def _skipped(self, held: HeldUnit) -> list[str]:
        """Return the stations of the unit's route before this one that it did not leave as it should.

        What it had at other lines, and where results alone are asked for, nobody here knows.
        """
        route = self._context.shared.lists.routes.get(held.variant.product, ())
        here = str(self._context.id)
        if here not in route or held.known is None:
            return []
        visits = held.known.visits
        passed = {name for name, visit in visits.items() if visit.ending in ("complete", "overridden")}
        before = self._context.badges.watching.intersection(route[: route.index(here)])
        return [station for station in route if station in before and station not in passed]

    def _exception(
        self, cause: Observation | Stamp, held: HeldUnit, code: str, why: str, outcome: StationOutcome
    ) -> None:
        reason = f"{held.serial}: {why}"
        resource = self._context.unit_resource(held.serial)
        outcome.events.append(self._context.exception(cause, code, reason, resource))
        outcome.refusals.append(reason)


def _ending(held: HeldUnit, options: StationOptions, lacking: list[str]) -> Ending:
    """Return how the unit leaves if it leaves now."""
    if held.known is not None and held.known.scrapped:
        return "scrapped"
    if not lacking:
        return "complete"
    return "overridden" if covers(held, options) else "incomplete"


def _done_at(held: HeldUnit) -> dict[str, ClockMoment]:
    return {
        name: progress.done_at for name, progress in held.progress.items() if progress.done_at is not None
    }
