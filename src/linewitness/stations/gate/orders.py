"""Whether a station's gate should hold its unit, and why."""

from dataclasses import dataclass
from typing import Literal

from linewitness.evidence.format.record import Resource
from linewitness.stations.checklist.status import covers, lacks_variant, statuses_of
from linewitness.stations.options import GateOptions, StationOptions
from linewitness.stations.unit.units import HeldUnit

Position = Literal["closed", "opened"]


@dataclass(frozen=True, slots=True)
class Order:
    """What a gate should be, and why: level, not edge, so it can be repeated.

    `number` counts the decisions of the station: what was decided before is not ordered after.
    """

    station: str
    gate: GateOptions
    position: Position
    reason: str
    number: int = 0

    @property
    def value(self) -> str:
        """What is written to the gate's point."""
        return self.gate.closed if self.position == "closed" else self.gate.opened


def gate_resource(order: Order, unit: str | None) -> Resource:
    """Return the gate as a resource, the unit that it holds or lets go as the parent."""
    where = f"{order.gate.device}/{order.gate.point}" if order.gate.point else order.gate.device
    return Resource("gate", where, ("unit", unit) if unit else None)


def wanted(gate: GateOptions, held: HeldUnit | None, options: StationOptions) -> tuple[Position, str]:
    """Return what the gate should be, and why."""
    if held is None:
        return "opened", "no unit is at the station"
    if held.scrapped_here:
        return "opened", f"{held.serial} is scrap and is taken out"
    passed = held.override
    not_ok = held.results_not_ok - (passed.up_to if passed is not None else 0)
    if "not_ok" in gate.hold and not_ok > 0:
        return "closed", f"{held.serial} has {not_ok} result(s) out of tolerance"
    if covers(held, options):
        return "opened", f"an operator let {held.serial} pass"
    lacking = _lacking(held, options)
    if lacking and ("missing" in gate.hold or _is_scrap(held)):
        return "closed", f"{held.serial} lacks {lacking}"
    has = "no result out of tolerance" if lacking else "what it needs"
    return "opened", f"{held.serial} has {has}"


def _is_scrap(held: HeldUnit) -> bool:
    return held.known is not None and bool(held.known.scrapped)


def _lacking(held: HeldUnit, options: StationOptions) -> str:
    """Return what a unit lacks, in words; empty where it lacks nothing."""
    lacking = [status for status in statuses_of(held, options) if status.progress.state != "done"]
    missing = lacks_variant(held, options)
    if _is_scrap(held):
        return "nothing more: it is scrap"
    if not lacking and not missing:
        return ""
    if all(not status.need.has_records for status in lacking) and not missing:
        return f"{sum(status.lacking for status in lacking)} result(s)"
    return ", ".join([*([f"its {missing}"] if missing else []), *(status.need.shown for status in lacking)])
