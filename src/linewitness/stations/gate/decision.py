"""Decide when a station's gate closes and opens, and put each decision on record."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from linewitness.base.clock import Stamp
from linewitness.base.patterns import compiled
from linewitness.devices.base import Code
from linewitness.evidence.format.record import Change, Event
from linewitness.stations.checklist.requirement_events import Cause
from linewitness.stations.checklist.status import lacking_names
from linewitness.stations.context import StationContext
from linewitness.stations.gate.orders import Order, Position, gate_resource, wanted
from linewitness.stations.outcome import StationOutcome
from linewitness.stations.people.reasons import GivenReason, reason_in
from linewitness.stations.unit.units import HeldUnit, Override


class PassGiven(NamedTuple):
    """What the record of a pass code says, what was refused, and the record of a pass that was given."""

    said: str
    refused: str = ""
    event: Event | None = None


class GateDecision:
    """The gate of one station, if it has one."""

    def __init__(self, context: StationContext, state: Mapping[str, str]) -> None:
        """Begin where the gate was at the last commit."""
        self._context = context
        self._key = context.key("gate")
        # An earlier version stored more than the position.
        stored = state.get(self._key) or ""
        closed = stored == "closed" or stored.startswith('["closed"')
        self._position: Position = "closed" if closed else "opened"
        self._moves = 0

    def order(self, held: HeldUnit | None, *, known: bool) -> Order | None:
        """Return what the gate should be now, None where there is none.

        While it is not known which unit is at the station, the gate stays as it is.
        """
        options = self._context.options
        if options is None or options.gate is None:
            return None
        if not known:
            why = "it is not known which unit is at the station"
            return Order(str(self._context.id), options.gate, self._position, why, self._moves)
        position, reason = wanted(options.gate, held, options)
        return Order(str(self._context.id), options.gate, position, reason, self._moves)

    @property
    def position(self) -> Position | None:
        """Where the gate was ordered to be last, None where there is none."""
        options = self._context.options
        return self._position if options is not None and options.gate is not None else None

    def move(self, cause: Cause, held: HeldUnit | None, outcome: StationOutcome, *, known: bool) -> None:
        """Put a new position on record; it is written to the device after the commit."""
        order = self.order(held, known=known) if known else None
        if order is None or order.position == self._position:
            return
        self._moves += 1
        before, self._position = self._position, order.position
        outcome.state[self._key] = self._position
        outcome.order = replace(order, number=self._moves)
        outcome.events.append(
            self._context.event_by(
                cause,
                kind=f"gate.{order.position}",
                actor=None if isinstance(cause, Stamp) else self._context.actor(cause.device),
                resource=gate_resource(order, held.serial if held else None),
                reason=order.reason,
                changes=(Change("position", before, order.position), Change("written", None, order.value)),
            )
        )

    def is_pass(self, text: str) -> bool:
        """Return whether a code asks to let the unit pass."""
        return self._reason(text) is not None

    def let_pass(self, code: Code, held: HeldUnit | None, operator: str | None) -> PassGiven:
        """Let the unit pass on the operator's word, or refuse that."""
        if operator is None or held is None:
            why = "nobody is signed on, or no unit is there: nothing was let pass"
            return PassGiven(why, why)
        reason = self._reason(code.text)
        if reason is None or reason.refused:
            why = reason.refused if reason is not None else "it gives no reason"
            return PassGiven(f"{why}: nothing was let pass", f"{held.serial} was not let pass: {why}")
        unmet_now = lacking_names(held, self._context.options)
        override = Override(operator, reason.code, reason.text, held.results_not_ok, unmet_now)
        held.override = override
        said = f"the operator lets {held.serial} pass: {reason.words}"
        return PassGiven(said, event=self._overridden(code, held, override, reason))

    def _overridden(self, code: Code, held: HeldUnit, override: Override, reason: GivenReason) -> Event:
        order = self.order(held, known=True)
        return self._context.event_by(
            code,
            kind="gate.overridden",
            actor=self._context.actor(code.device),
            resource=gate_resource(order, held.serial)
            if order is not None
            else self._context.unit_resource(held.serial),
            reason=reason.words,
            changes=(
                Change("reason_code", None, reason.code),
                Change("reason", None, reason.text or None),
                Change("unmet", None, "; ".join(override.unmet) or None),
                Change("results_not_ok", None, held.results_not_ok),
            ),
        )

    def _reason(self, text: str) -> GivenReason | None:
        options = self._context.options
        gate = options.gate if options else None
        match = compiled(gate.pass_code).fullmatch(text) if gate and gate.pass_code else None
        return reason_in(match, options.counted_reasons if options else None) if match is not None else None
