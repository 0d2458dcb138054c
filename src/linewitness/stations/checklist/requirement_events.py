"""The records of requirements: what changed, what was refused, who signed."""

from typing import Final, NamedTuple

from linewitness.base.clock import Stamp
from linewitness.devices.base import Observation
from linewitness.evidence.format.record import Actor, Change, Event, Resource
from linewitness.stations.checklist.options import SignOffRequirement
from linewitness.stations.checklist.requirements import Requirement
from linewitness.stations.checklist.status import RequirementStatus
from linewitness.stations.context import StationContext
from linewitness.stations.unit.units import HeldUnit

#: What causes a change: an observation, or the passing of time.
Cause = Observation | Stamp

#: Why a requirement changed from one state to another, where nothing more is known.
_REASONS: Final = {
    ("missing", "done"): "{title} is done",
    ("not_met", "done"): "{title} is done",
    ("missing", "not_met"): "{title} is not met",
    ("done", "not_met"): "{title} is not met any more",
    ("done", "missing"): "{title} is not done any more",
    ("not_met", "missing"): "{title} goes on",
}


class NotCounted(NamedTuple):
    """Why something does not count, what caused it, and the id of the record that does not count."""

    why: str
    cause: Cause
    by: str | None = None


class Undone(NamedTuple):
    """A requirement of another station, as STATION/ID, that is not done any more: why, and how far it is."""

    place: str
    why: str
    done: int
    wanted: int


def changed(
    context: StationContext, held: HeldUnit, status: RequirementStatus, before: str, cause: Cause
) -> Event:
    """Return the record of a requirement that is in another state than `before`."""
    need, progress = status
    state = "ok" if progress.state == "done" else "nok"
    changes = [
        Change("state", before, progress.state, status=state),
        Change("done", None, progress.done, low=str(need.wanted)),
    ]
    if progress.met_by:
        changes.append(Change("met_by", None, " ".join(progress.met_by)))
    if progress.out_of_order:
        changes.append(Change("out_of_order", None, after=True))
    return context.event_by(
        cause,
        kind="requirement.changed",
        resource=_resource(context, need, held),
        reason=progress.wrong or _REASONS[before, progress.state].format(title=need.shown),
        changes=tuple(changes),
    )


def undone(context: StationContext, held: HeldUnit, what: Undone, cause: Cause) -> Event:
    """Return the record of a requirement of another station that is not done any more."""
    return context.event_by(
        cause,
        kind="requirement.changed",
        resource=Resource("requirement", what.place, ("unit", held.serial)),
        reason=what.why,
        changes=(
            Change("state", "done", "missing", status="nok"),
            Change("done", None, what.done, low=str(what.wanted)),
        ),
    )


def refused(context: StationContext, held: HeldUnit, need: Requirement, refusal: NotCounted) -> Event:
    """Return the record of something that does not count."""
    return context.event_by(
        refusal.cause,
        kind="requirement.refused",
        resource=_resource(context, need, held),
        reason=refusal.why,
        changes=(Change("refused", None, refusal.by),) if refusal.by is not None else (),
    )


def signed(
    context: StationContext, held: HeldUnit, need: SignOffRequirement, person: Actor, observation: Observation
) -> Event:
    """Return the record of a person's signature, the `people`-th of this sign-off."""
    return context.event_by(
        observation,
        kind="requirement.signed",
        actor=person,
        resource=_resource(context, need, held),
        reason=need.meaning,
        changes=(
            Change("meaning", None, need.meaning),
            Change("requirement", None, need.name),
            Change("people", None, held.progress[need.name].done, low=str(need.people)),
        ),
    )


def _resource(context: StationContext, need: Requirement, held: HeldUnit) -> Resource:
    return Resource("requirement", f"{context.id}/{need.name}", ("unit", held.serial))
