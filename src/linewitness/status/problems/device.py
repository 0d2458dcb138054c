"""The problems of one device."""

from collections.abc import Iterator

from linewitness.base.clock import monotonic
from linewitness.devices.refusals import some_of
from linewitness.status.health import DeviceHealth
from linewitness.status.problems.problem import SHOWN_S, LineProblem
from linewitness.status.rows import DeviceRow


def problems_of_device(device: DeviceRow) -> Iterator[LineProblem]:
    """Yield what is wrong with a device, its points, its share, its polls and the units of its results."""
    state, name, why = device.health.state, device.facts.id, device.health.why
    if state == "refused":
        yield LineProblem(
            "device-refused",
            name,
            alarm=True,
            what=f"{name} refuses the connection: {why}",
            hint="operator action required: see the reason; the connection is tried again each minute",
        )
    elif state == "lost":
        yield LineProblem(
            "device-lost",
            name,
            alarm=False,
            what=f"{name} is not connected: {why}",
            hint="the connection is tried again every few seconds",
        )
    if refused := device.health.refused_points:
        count = "a point or feature" if len(refused) == 1 else f"{len(refused):,} points or features"
        yield LineProblem(
            "points-refused",
            name,
            alarm=True,
            what=f"{name} refuses {count}: {some_of(refused)}",
            hint="operator action required: nothing is recorded of them; correct the YAML or the device's "
            "program, see `linewitness browse` and `probe`; they are asked for again each minute",
        )
    if untold := device.health.untold:
        yield LineProblem(
            "unit-not-told",
            name,
            alarm=True,
            what=f"{name} was not told of the unit at its station: {untold}",
            hint="operator action required: correct what is named, then read the unit again",
        )
    if unmoved := device.health.unmoved:
        yield LineProblem(
            "gate-not-moved",
            name,
            alarm=True,
            what=f"a gate at {name} is not where it should be: {unmoved}",
            hint="operator action required: a unit may not be held, or not be let go; look at the device and "
            "its connection; what was refused or not answered is tried again",
        )
    if device.health.above_share:
        yield LineProblem(
            "device-share",
            name,
            alarm=device.health.losing,
            what=f"{name} sends more than its share: "
            + (
                f"{device.health.dropped:,} observations are not on record"
                if device.health.losing
                else "it is read more slowly, nothing is lost"
            ),
            hint="look at the device; if it is right, raise its share",
        )
    if (overload := device.health.polls.overload) is not None:
        yield LineProblem("polls-missed", name, alarm=False, what=f"{name}: {overload}", hint=overload.hint)
    yield from _of_units(name, device.health)


def _of_units(name: str, health: DeviceHealth) -> Iterator[LineProblem]:
    """Yield what is uncertain about the units of its results, for an hour after the last one."""
    if health.conflicts and monotonic() - health.conflict_at < SHOWN_S:
        yield LineProblem(
            "binding-conflict",
            name,
            alarm=True,
            what=f"{name}: {_results(health.conflicts)} since the start stand under no unit; the last one: "
            f"{health.conflict_why}",
            hint="operator action required: compare the unit at the station with the record, and look at the "
            "scanner and at who names the unit to the tool; see docs/stations.md",
        )
    if health.unbound and monotonic() - health.unbound_at < SHOWN_S:
        yield LineProblem(
            "unit-unknown",
            name,
            alarm=False,
            what=f"{name}: of {_results(health.unbound)} since the start it is not known to which unit they "
            f"belong; the last one: {health.unbound_why}",
            hint="read the unit's code before the work begins; see docs/stations.md",
        )


def _results(count: int) -> str:
    return "1 result" if count == 1 else f"{count:,} results"
