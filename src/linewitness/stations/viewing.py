"""Make the picture of a station that a screen beside the work shows."""

from collections.abc import Sequence
from typing import Final

from linewitness.base.clock import NS_PER_S, STEP_THRESHOLD_NS, Stamp
from linewitness.stations.checklist.judging import start_of
from linewitness.stations.checklist.options import ComponentRequirement, SignOffRequirement
from linewitness.stations.checklist.progress import ClockMoment
from linewitness.stations.checklist.status import RequirementStatus, lacks_variant, unmet
from linewitness.stations.checklist.timed_options import ConditionRequirement, WaitRequirement
from linewitness.stations.parts import StationParts
from linewitness.stations.unit.units import HeldUnit
from linewitness.stations.view import MaterialView, NoteView, RequirementView, StationView

_ACTIONS: Final = {
    "tightening": "tighten",
    "measurement": "measure",
    "component": "read the code of the part",
    "sign_off": "read the code of the sign-off, then your badge",
    "condition": "wait",
    "check": "see the machine",
    "wait": "wait",
    "after": "bring the unit to that station first",
}


def picture_of(parts: StationParts, notes: Sequence[NoteView], now: Stamp) -> StationView:
    """Return what is there, what is done, what is wrong and what comes next."""
    options = parts.context.options
    held, order = parts.units.held, parts.order.last
    requirements = (
        tuple(_requirement(parts, held, status, now) for status in parts.checklist.statuses(held))
        if held is not None
        else ()
    )
    lacking = unmet(held, options) if held is not None else []
    variant = held.variant if held is not None and any(held.variant) else order
    operator = parts.sign_on.operator or ""
    return StationView(
        station=str(parts.context.id),
        name=options.name if options is not None else "",
        unit=held.serial if held is not None else None,
        unknown="" if parts.units.serial is not None or held is None else parts.units.unknown_because,
        attempt=held.attempt if held is not None else 1,
        product=variant.product,
        order=variant.order,
        batch=variant.batch,
        operator=parts.context.badges.names.get(operator, operator),
        gate=parts.gate.position,
        complete=held is not None and not lacking,
        passed=f"{held.override.person}: {held.override.code} {held.override.reason}".strip()
        if held is not None and held.override is not None
        else "",
        next=next((each.id for each in requirements if each.state != "done" and not each.waits_for), None),
        requirements=requirements,
        materials=_materials(parts),
        notes=(*_standing(parts, held), *notes),
    )


def _requirement(
    parts: StationParts, held: HeldUnit, status: RequirementStatus, now: Stamp
) -> RequirementView:
    need, progress = status
    first = parts.checklist.comes_first(held, need)
    done = status.is_done
    action = "" if done else _ACTIONS[need.kind]
    if isinstance(need, ComponentRequirement) and need.source == "loaded":
        action = "" if done else "read the code of a lot and load it"
    if isinstance(need, SignOffRequirement) and need.second_person and not done:
        action = "a second person reads the code of the sign-off, then the badge"
    return RequirementView(
        id=need.name,
        kind=need.kind,
        title=need.shown,
        state=progress.state,
        done=min(progress.done, need.wanted) if not done else need.wanted,
        count=need.wanted,
        wrong="" if done else progress.wrong,
        action=action,
        waits_for=() if done else tuple(first),
        until_ns=None if done else _until(held, status, parts.context.shared.moment(now)),
    )


def _until(held: HeldUnit, status: RequirementStatus, now: ClockMoment) -> int | None:
    """Return when a time that runs for a requirement ends, as Unix time by the clock as it is set now."""
    need, progress = status
    begun: ClockMoment | None = None
    lasts_s: float | None = None
    if isinstance(need, WaitRequirement):
        begun, lasts_s = start_of(need.since, held), need.at_least_s or need.at_most_s
    elif isinstance(need, ConditionRequirement):
        begun, lasts_s = progress.since, need.for_s
    if begun is None or lasts_s is None:
        return None
    moved_ns = now.setting_ns - begun.setting_ns if begun.boot_id == now.boot_id else 0
    # The same time in each picture, unless the clock was set: who looks would see a new one otherwise.
    stepped_ns = moved_ns if abs(moved_ns) > STEP_THRESHOLD_NS else 0
    return begun.realtime_ns + stepped_ns + int(lasts_s * NS_PER_S)


def _materials(parts: StationParts) -> tuple[MaterialView, ...]:
    options = parts.context.options
    found = []
    for need in options.requires if options is not None else ():
        if not isinstance(need, ComponentRequirement) or need.source != "loaded":
            continue
        lot = parts.materials.loaded.get(need.name)
        found.append(
            MaterialView(
                title=need.shown,
                part=need.part,
                lot=(lot.lot or lot.serial) if lot is not None else "",
                left=lot.left if lot is not None else None,
                known=parts.materials.is_known(need.name),
            )
        )
    return tuple(found)


def _standing(parts: StationParts, held: HeldUnit | None) -> tuple[NoteView, ...]:
    """Return what is wrong for as long as it is: nobody signed on, an unknown product, scrap."""
    options = parts.context.options
    said = []
    if options is not None and options.operator.needed != "no" and parts.sign_on.operator is None:
        said.append(("nobody is signed on", "read your badge"))
    if held is not None and (missing := lacks_variant(held, options)):
        said.append((f"the {missing} is not known", "read the code of the order, then the unit again"))
    if held is not None and held.known is not None and held.known.scrapped:
        said.append((f"{held.serial} is scrap: {held.known.scrapped}", "take it out"))
    return tuple(NoteView(at_ns=0, text=text, action=action) for text, action in said)
