"""Bind a result to its unit, and write it down with its values, limits and facts."""

from dataclasses import dataclass
from typing import Literal

from linewitness.devices.base import Measured, Result
from linewitness.evidence.format.record import Change, Resource
from linewitness.stations.options import StationOptions
from linewitness.stations.rules import ANY_POINT, DeviceRule
from linewitness.stations.units import HeldUnit, is_serial

BoundBy = Literal["result", "station", "none"]


@dataclass(frozen=True, slots=True)
class Binding:
    """The unit of a result and how that is known; `conflict` says why a result stays unbound."""

    unit: str | None
    by: BoundBy
    conflict: str | None = None


def bind(result: Result, held: HeldUnit | None, options: StationOptions | None) -> Binding:
    """Return which unit a result belongs to; where two sources disagree, none: it is never guessed.

    The identifier inside the result is the binding and the station's unit a cross-check; a result
    without an identifier belongs to the unit at the station, unless it is fetched afterwards.
    """
    identifier = (result.identifier or "").strip()
    unit_options = options.unit if options else None
    trusted = unit_options is None or unit_options.from_result
    if identifier and trusted:
        if unit_options is not None and not is_serial(identifier, unit_options):
            return Binding(None, "none", f"the result's identifier {identifier!r} is not a serial number")
        independent = held is not None and held.by != "result"
        if independent and held is not None and held.serial != identifier and not result.backfilled:
            return Binding(None, "none", f"the result says {identifier!r}, the station holds {held.serial!r}")
        return Binding(identifier, "result")
    strict = unit_options is not None and unit_options.require_in_result
    if strict or result.backfilled or held is None or held.by == "result":
        return Binding(None, "none")
    return Binding(held.serial, "station")


def resource(result: Result, binding: Binding) -> Resource:
    """Return the result as a resource, its unit as the parent."""
    kind = result.kind.partition(".")[0]
    parent = ("unit", binding.unit) if binding.unit else None
    return Resource(kind, f"{result.source}/{result.epoch}/{result.result_id}", parent)


def result_changes(result: Result, binding: Binding, device: DeviceRule) -> tuple[Change, ...]:
    """Return the measured values with limits and status, then the facts, then how the unit is known."""
    changes = [_measured(value, device) for value in result.measured]
    changes += [Change(name, None, value) for name, value in result.facts]
    if result.ok is not None:
        changes.append(
            Change("result", None, "ok" if result.ok else "nok", status="ok" if result.ok else "nok")
        )
    if not result.counts:
        changes.append(Change("counts", None, after=False))
    if not result.decoded:
        changes.append(Change("decoded", None, after=False))
    changes.append(Change("bound_by", None, binding.by))
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
