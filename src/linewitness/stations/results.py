"""Bind a result to its unit, and write it down with its values, limits and facts."""

from dataclasses import dataclass
from typing import Literal

from linewitness.devices.base import Measured, Result
from linewitness.evidence.format.record import Change, Resource
from linewitness.stations.options import StationOptions
from linewitness.stations.outcome import StationOutcome
from linewitness.stations.rules import ANY_POINT, DeviceRule
from linewitness.stations.unit.lease import Lapse
from linewitness.stations.unit.units import HeldUnit, is_serial
from linewitness.stations.values.verdicts import Judgement

BoundBy = Literal["result", "station", "none"]


@dataclass(frozen=True, slots=True)
class Binding:
    """The unit of a result and how that is known.

    `conflict` says which two sources disagree; `lapse` why the station does not know the unit.
    """

    unit: str | None
    by: BoundBy
    conflict: str | None = None
    lapse: Lapse | None = None

    def tell(self, outcome: StationOutcome) -> None:
        """Add to an outcome what is uncertain about the unit."""
        if self.lapse is not None:
            outcome.unbound.append(self.lapse.because)
        if self.conflict is not None:
            outcome.conflicts.append(self.conflict)


def bind(result: Result, at_station: HeldUnit | Lapse, options: StationOptions | None) -> Binding:
    """Return which unit a result belongs to; where two sources disagree, none: it is never guessed.

    The identifier inside the result is the binding and the station's unit a cross-check; a result
    without an identifier belongs to the unit at the station, if that is known and the result was not
    fetched afterwards.
    """
    held = at_station if isinstance(at_station, HeldUnit) else None
    identifier = (result.identifier or "").strip()
    unit_options = options.unit if options else None
    trusted = unit_options is None or unit_options.from_result
    if identifier and trusted:
        if unit_options is not None and not is_serial(identifier, unit_options):
            return Binding(None, "none", f"the result's identifier {identifier!r} is not a serial number")
        independent = held is not None and held.by != "result"
        if independent and held is not None and held.serial != identifier and not result.backfilled:
            return Binding(None, "none", f"the result says {identifier!r}, the station holds {held.serial!r}")
        if isinstance(at_station, Lapse) and options is not None and result.device in options.ask:
            # The gateway named the unit when it asked; whether it is still there nobody knows.
            return Binding(None, "none", lapse=at_station)
        return Binding(identifier, "result")
    lapse: Lapse | None = None
    if unit_options is not None and unit_options.require_in_result:
        lapse = Lapse("the result does not name its unit", None)
    elif result.backfilled:
        lapse = Lapse("the result was fetched afterwards", None)
    elif isinstance(at_station, Lapse):
        lapse = at_station
    elif at_station.by != "result":
        return Binding(at_station.serial, "station")
    # Where nothing but the results themselves names units, a result without a name has no other explanation.
    named = unit_options is not None and (unit_options.scanner or unit_options.point)
    return Binding(None, "none", lapse=lapse if named else None)


def resource(result: Result, binding: Binding) -> Resource:
    """Return the result as a resource, its unit as the parent."""
    kind = result.kind.partition(".")[0]
    parent = ("unit", binding.unit) if binding.unit else None
    return Resource(kind, f"{result.source}/{result.epoch}/{result.result_id}", parent)


def judged(result: Result, device: DeviceRule) -> tuple[tuple[Change, ...], Judgement]:
    """Return the measured values with their limits and status, and what they and the device say together."""
    measured = tuple(_measured(value, device) for value in result.measured)
    return measured, Judgement.of(result.ok, measured, result.decided_by)


def result_changes(
    result: Result, binding: Binding, measured: tuple[Change, ...], judgement: Judgement
) -> tuple[Change, ...]:
    """Return the measured values, then the facts and the verdict, then how the unit is known."""
    changes = [*measured, *(Change(name, None, value) for name, value in result.facts)]
    changes += judgement.changes()
    if not result.counts:
        changes.append(Change("counts", None, after=False))
    if not result.decoded:
        changes.append(Change("decoded", None, after=False))
    changes.append(Change("bound_by", None, binding.by))
    if binding.lapse:
        changes += binding.lapse.changes()
    if binding.conflict:
        changes.append(Change("binding_conflict", None, binding.conflict, status="nok"))
    return tuple(changes)


def default_reason(result: Result) -> str:
    """Return why the event exists, in a template's words."""
    if result.backfilled:
        return "fetched from the device's memory"
    return "the device completed an operation"


def _measured(value: Measured, device: DeviceRule) -> Change:
    rule = device.points.get(value.field, ANY_POINT)
    low = value.low if value.low is not None else (str(rule.low) if rule.low is not None else None)
    high = value.high if value.high is not None else (str(rule.high) if rule.high is not None else None)
    status = value.status or rule.status(value.value)
    return Change(value.field, None, value.value, value.unit or rule.unit, low, high, status)
