"""Decide when a station's gate closes and opens, and put each decision on record."""

from collections.abc import Mapping

from linewitness.base.patterns import compiled
from linewitness.devices.base import Code, Observation
from linewitness.evidence.format.record import Change
from linewitness.stations.context import StationContext
from linewitness.stations.gates import GateState, Order, gate_resource, wanted
from linewitness.stations.outcome import StationOutcome
from linewitness.stations.units import HeldUnit


class GateDecision:
    """The gate of one station, if it has one."""

    def __init__(self, context: StationContext, state: Mapping[str, str]) -> None:
        """Begin where the gate was at the last commit."""
        self._context = context
        self._key = context.key("gate")
        stored = state.get(self._key)
        self._state = GateState.load(stored) if stored else GateState()

    def order(self, held: HeldUnit | None, *, known: bool) -> Order | None:
        """Return what the gate should be now, None where there is none.

        While it is not known which unit is at the station, the gate stays as it is.
        """
        options = self._context.options
        if options is None or options.gate is None:
            return None
        if not known:
            why = "it is not known which unit is at the station"
            return Order(str(self._context.id), options.gate, self._state.position, why)
        position, reason = wanted(options.gate, self._state, held, options.requires)
        return Order(str(self._context.id), options.gate, position, reason)

    def move(
        self, observation: Observation, held: HeldUnit | None, outcome: StationOutcome, *, known: bool
    ) -> None:
        """Put a new position on record; it is written to the device after the commit."""
        order = self.order(held, known=known)
        if order is None or order.position == self._state.position:
            return
        before, self._state.position = self._state.position, order.position
        outcome.state[self._key] = self._state.dump()
        outcome.order = order
        outcome.events.append(
            self._context.event(
                observation,
                kind=f"gate.{order.position}",
                resource=gate_resource(order, held.serial if held else None),
                reason=order.reason,
                changes=(Change("position", before, order.position), Change("written", None, order.value)),
            )
        )

    def is_pass(self, text: str) -> bool:
        """Return whether a code asks to let the unit pass."""
        return self._reason(text) is not None

    def let_pass(
        self, code: Code, held: HeldUnit | None, operator: str | None, outcome: StationOutcome
    ) -> str:
        """Let the unit pass on the operator's word; return what the record of the code says about it."""
        if operator is None or held is None:
            return "nobody is signed on, or no unit is there: nothing was let pass"
        self._state.let_pass(held)
        outcome.state[self._key] = self._state.dump()
        return f"the operator lets {held.serial} pass: {self._reason(code.text)}"

    def _reason(self, text: str) -> str | None:
        gate = self._context.options.gate if self._context.options else None
        match = compiled(gate.pass_code).fullmatch(text) if gate and gate.pass_code else None
        return match["reason"] if match else None
