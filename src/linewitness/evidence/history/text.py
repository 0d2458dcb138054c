"""The device history record as lines of text, for a terminal."""

from collections.abc import Iterator

from linewitness.evidence.history.checklist import CheckedRequirement, UnitChecklist
from linewitness.evidence.history.components import InstalledComponent
from linewitness.evidence.history.histories import DeviceHistory, Meeting


def lines_of(history: DeviceHistory) -> Iterator[str]:
    """Yield the checklist of each attempt, what is in the unit, and what was refused or let pass."""
    for station, chain in history.chains.items():
        yield f"checklist at {station}: {chain}"
    for checklist, meetings in history.checklists:
        yield from _checklist(checklist, meetings)
    if history.genealogy.components:
        yield "components"
        for component in history.genealogy.components:
            yield f"  {_component(component)}"
    if history.events:
        yield "refused, let pass, signed, exceptions"
        for event in history.events:
            what = f"{event.at} {event.what}: {event.about} by {event.by}: {event.reason}"
            yield f"  {what} (record {event.sequence_no})"


def _checklist(checklist: UnitChecklist, meetings: dict[str, Meeting]) -> Iterator[str]:
    made = f", {checklist.made}" if checklist.made else ""
    left = f"left at {checklist.occurred_at} (record {checklist.sequence_no}){made}"
    yield f"{checklist.station}, {checklist.heading}: {left}"
    if checklist.overridden_by:
        why = checklist.override_reason or "no reason is stated"
        yield f"  let pass by {checklist.overridden_by}: {why}"
    for one in checklist.requirements:
        yield f"  {_requirement(one, meetings)}"


def _requirement(one: CheckedRequirement, meetings: dict[str, Meeting]) -> str:
    order = ", out of order" if one.out_of_order else ""
    said = (
        f"{one.outcome.replace('_', ' ')}: {one.title} ({one.kind.replace('_', ' ')}), {one.how_often}{order}"
    )
    known = [
        f"record {meetings[each].sequence_no} by {meetings[each].by}"
        if each in meetings
        else f"{each}, not here"
        for each in one.met_by
    ]
    if one.left_out:
        known.append(f"{one.left_out} more, which the record does not name")
    return f"{said}; met by {', '.join(known)}" if known else said


def _component(one: InstalledComponent) -> str:
    more = (
        ("quantity", one.quantity),
        ("position", one.position),
        ("from", one.supplier),
        ("until", one.expiry),
    )
    facts = "".join(f", {name} {value}" for name, value in more if value)
    came = "installed by a record that is not here"
    if one.installed is not None:
        came = f"installed {one.at} by {one.by} (record {one.installed})"
    gone = ""
    if one.removal is not None:
        gone = f"; removed {one.removed_at} by {one.removed_by} (record {one.removal}): {one.removed_why}"
    return f"{one.part or one.id} {one.name}{facts}: {came}{gone}"
