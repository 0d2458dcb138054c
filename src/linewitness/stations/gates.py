"""Whether a station's gate should hold its unit, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import orjson

from linewitness.evidence.format.record import Resource
from linewitness.stations.options import GateOptions, Requirement
from linewitness.stations.units import HeldUnit

Position = Literal["closed", "opened"]


@dataclass(frozen=True, slots=True)
class Order:
    """What a gate should be, why, and the event that says so: level, not edge, so it can be repeated."""

    station: str
    gate: GateOptions
    position: Position
    reason: str

    @property
    def value(self) -> str:
        """What is written to the gate's point."""
        return self.gate.closed if self.position == "closed" else self.gate.opened


@dataclass(slots=True)
class GateState:
    """The position last ordered, and what an operator let pass: `passed` names the unit, `up_to` its NOKs."""

    position: Position = "opened"
    passed: str = ""
    up_to: int = 0

    @classmethod
    def load(cls, text: str) -> "GateState":
        """Return what `dump` wrote."""
        return cls(*orjson.loads(text))

    def dump(self) -> str:
        """Return the durable form."""
        return orjson.dumps([self.position, self.passed, self.up_to]).decode()

    def let_pass(self, held: HeldUnit) -> None:
        """Let this unit go in spite of what it lacks and of the results that are not ok so far."""
        self.passed, self.up_to = held.serial, held.tally.total[1]


def gate_resource(order: Order, unit: str | None) -> Resource:
    """Return the gate as a resource, the unit that it holds or lets go as the parent."""
    where = f"{order.gate.device}/{order.gate.point}" if order.gate.point else order.gate.device
    return Resource("gate", where, ("unit", unit) if unit else None)


def wanted(
    gate: GateOptions, state: GateState, held: HeldUnit | None, requirements: Sequence[Requirement]
) -> tuple[Position, str]:
    """Return what the gate should be, and why."""
    if held is None:
        return "opened", "no unit is at the station"
    passed = state.passed == held.serial
    not_ok = held.tally.total[1] - (state.up_to if passed else 0)
    if "not_ok" in gate.hold and not_ok > 0:
        return "closed", f"{held.serial} has {not_ok} result(s) out of tolerance"
    if passed:
        return "opened", f"an operator let {held.serial} pass"
    if "missing" in gate.hold:
        missing = sum(max(0, need.count - held.tally.of(need)[0]) for need in requirements)
        if missing:
            return "closed", f"{held.serial} lacks {missing} result(s)"
    return "opened", f"{held.serial} has what it needs"
