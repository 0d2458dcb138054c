"""Turn what the devices of one station say into events."""

import re
from collections.abc import Callable, Mapping

from linewitness.devices.base import Code, Gap, Notice, Observation, Quality, Reading, Result, Seen
from linewitness.evidence.record import Actor, Change, Event, Resource
from linewitness.stations import changes, results, units
from linewitness.stations.changes import LastValue
from linewitness.stations.gates import GateState, Order, gate_resource, wanted
from linewitness.stations.operators import Badges
from linewitness.stations.options import StationOptions
from linewitness.stations.outcome import Outcome, context_of, event_of
from linewitness.stations.rules import ANY_DEVICE, ANY_POINT, DeviceRule, PointRule
from linewitness.stations.units import HeldUnit


class Station:
    """The state of one place on the line, and the rules that turn observations into events.

    Deterministic: the same state and observation give the same events. `options` is None for devices
    that stand at no station.
    """

    def __init__(
        self,
        options: StationOptions | None,
        devices: Mapping[str, DeviceRule],
        *,
        badges: Badges,
        state: Mapping[str, str],
    ) -> None:
        """Take the rules, and the state as last committed (see `Outcome.state`)."""
        self._options = options
        self._id = options.id if options else None
        self._devices = devices
        self._badges = badges
        self._last = {key: LastValue.load(text) for key, text in state.items() if key.startswith("point/")}
        held = state.get(self._key("unit"))
        self._unit = HeldUnit.load(held) if held else None
        gate = state.get(self._key("gate"))
        self._gate = GateState.load(gate) if gate else GateState()
        if options:
            badges.names.update(options.operator.names)
            operator = state.get(self._key("operator"))
            if operator:
                badges.at[options.id] = operator
        self._interpreters: dict[type[Observation], Callable[..., None]] = {
            Reading: self._reading,
            Result: self._result,
            Code: self._code,
            Gap: self._gap,
            Notice: self._notice,
            Seen: self._nothing,
        }

    def take_over(self, options: StationOptions | None, devices: Mapping[str, DeviceRule]) -> None:
        """Go on with other settings: the unit, the operator and all last values stay."""
        self._options = options
        self._devices = devices
        if options:
            self._badges.names.update(options.operator.names)

    def leave(self) -> None:
        """Be taken down: nobody is signed on here any more."""
        if self._id is not None:
            self._badges.at.pop(self._id, None)

    @property
    def unit(self) -> str | None:
        """Serial number of the unit that the station holds."""
        return self._unit.serial if self._unit else None

    def interpret(self, observation: Observation) -> Outcome:
        """Return the events that an observation means, and the state to store with them."""
        outcome = Outcome()
        self._interpreters[type(observation)](observation, outcome)
        self._move_gate(observation, outcome)
        outcome.state.update(
            {f"device/{observation.device}/{key}": v for key, v in observation.remember.items()}
        )
        return outcome

    def _reading(self, reading: Reading, outcome: Outcome) -> None:
        rule = self._rule(reading)
        key = changes.state_key(reading.device, reading.point)
        changed, last = changes.compare(reading, self._last.get(key), rule)
        if changed:
            first = key not in self._last
            self._last[key] = last
            outcome.state[key] = last.dump()
            outcome.events.append(
                self._event(
                    reading,
                    kind="parameter.changed",
                    actor=self._author(reading.operator, reading.device),
                    resource=Resource("parameter", f"{reading.device}/{reading.point}"),
                    reason="first value seen" if first else "the device reports another value",
                    changes=changed,
                )
            )
        self._tag(reading, outcome)

    def _tag(self, reading: Reading, outcome: Outcome) -> None:
        """Take a point that names the unit or the operator for what it is."""
        if self._options is None or reading.quality is not Quality.GOOD or isinstance(reading.value, Mapping):
            return
        name = f"{reading.device}/{reading.point}"
        text = "" if reading.value is None else str(reading.value).strip()
        if name == self._options.unit.point:
            self._enter(reading, text, "tag", outcome)
        if name == self._options.operator.point:
            self._sign(reading, text, outcome, toggles=False)

    def _result(self, result: Result, outcome: Outcome) -> None:
        if self._options is not None and self._takes_over(result):
            self._enter(result, str(result.identifier), "result", outcome)
        binding = results.bind(result, self._unit, self._options)
        outcome.events.append(
            self._event(
                result,
                kind=result.kind,
                actor=self._badges.actor(self._id, result.device),
                resource=results.resource(result, binding),
                reason=result.reason or results.default_reason(result),
                changes=results.result_changes(result, binding, self._device(result)),
            )
        )
        if self._unit is not None and binding.unit == self._unit.serial and result.counts:
            self._unit.tally.add(result)
            outcome.state[self._key("unit")] = self._unit.dump()

    def _takes_over(self, result: Result) -> bool:
        """Say whether a result's unit becomes the station's: where nothing else says what is there."""
        unit = self._options.unit if self._options else None
        if unit is None or unit.scanner or unit.point or not unit.from_result or result.backfilled:
            return False
        return bool(result.identifier) and units.is_serial(str(result.identifier), unit)

    def _code(self, code: Code, outcome: Outcome) -> None:
        options = self._options
        if self._lets_pass(code, outcome):
            return
        if options is not None and code.device == options.operator.scanner and self._is_badge(code.text):
            self._sign(code, code.text, outcome, toggles=True)
            return
        names_units = options is not None and code.device in (options.unit.scanner, *self._tools())
        if options is None or not names_units or not units.is_serial(code.text, options.unit):
            self._scanned(code, "the code is not a serial number of this station", outcome)
        elif self.unit == code.text:
            self._scanned(code, "the unit at the station was read again", outcome)
        else:
            self._enter(code, code.text, "scan", outcome)

    def _tools(self) -> tuple[str, ...]:
        """Devices whose identifiers name the unit, where no scanner and no tag does."""
        unit = self._options.unit if self._options else None
        if self._options is None or unit is None or unit.scanner or unit.point or not unit.from_result:
            return ()
        return self._options.devices

    def _is_badge(self, text: str) -> bool:
        pattern = self._options.operator.pattern if self._options else None
        return pattern is None or re.fullmatch(pattern, text) is not None

    def _scanned(self, code: Code, reason: str, outcome: Outcome) -> None:
        outcome.events.append(
            self._event(
                code,
                kind="identifier.scanned",
                actor=self._badges.actor(self._id, code.device),
                resource=Resource("identifier", code.text),
                reason=reason,
            )
        )

    def _enter(self, observation: Observation, serial: str, by: str, outcome: Outcome) -> None:
        """Let a unit enter, and the one before it leave; an empty serial number only lets it leave."""
        if self._options is None or serial == (self.unit or ""):
            return
        if self._unit is not None:
            outcome.events.append(self._left(observation, self._unit))
        entered = bool(serial) and units.is_serial(serial, self._options.unit)
        self._unit = HeldUnit(serial, by) if entered else None
        outcome.state[self._key("unit")] = self._unit.dump() if self._unit else None
        if self._unit is None:
            return
        outcome.events.append(
            self._event(
                observation,
                kind="unit.entered",
                actor=self._badges.actor(self._id, observation.device),
                resource=Resource("station", self._options.id, ("unit", serial)),
                reason=f"the unit was recognised by {by}",
                changes=(Change("unit", None, serial), Change("recognised_by", None, by)),
            )
        )

    def _left(self, observation: Observation, held: HeldUnit) -> Event:
        requirements = self._options.requires if self._options else ()
        return self._event(
            observation,
            kind="unit.left",
            actor=self._badges.actor(self._id, observation.device),
            resource=Resource("station", str(self._id), ("unit", held.serial)),
            reason="another unit or none is at the station",
            changes=units.closing_changes(held, requirements),
        )

    def _sign(self, observation: Observation, operator: str, outcome: Outcome, *, toggles: bool) -> None:
        station = str(self._id)
        present = self._badges.at.get(station)
        if present == operator and not toggles:
            return
        if present is not None:
            outcome.events.append(self._signed(observation, "operator.signed_off", present))
            del self._badges.at[station]
        if operator and operator != present:
            outcome.events.append(self._signed(observation, "operator.signed_on", operator))
            self._badges.at[station] = operator
        outcome.state[self._key("operator")] = self._badges.at.get(station)

    def _signed(self, observation: Observation, kind: str, operator: str) -> Event:
        shared = self._badges.others(operator, str(self._id)) if kind == "operator.signed_on" else []
        return self._event(
            observation,
            kind=kind,
            actor=self._badges.person(operator),
            resource=Resource("station", str(self._id)),
            reason="badge already signed on elsewhere"
            if shared
            else "the operator identified himself or herself",
            changes=(Change("also_signed_on_at", None, ", ".join(shared)),) if shared else (),
        )

    def order(self) -> Order | None:
        """Return what the station's gate should be now, None where there is no gate."""
        if self._options is None or self._options.gate is None:
            return None
        position, reason = wanted(self._options.gate, self._gate, self._unit, self._options.requires)
        return Order(str(self._id), self._options.gate, position, reason)

    def _move_gate(self, observation: Observation, outcome: Outcome) -> None:
        """Put a new position of the gate on record; it is written to the device after the commit."""
        order = self.order()
        if order is None or order.position == self._gate.position:
            return
        before, self._gate.position = self._gate.position, order.position
        outcome.state[self._key("gate")] = self._gate.dump()
        outcome.order = order
        outcome.events.append(
            self._event(
                observation,
                kind=f"gate.{order.position}",
                actor=self._badges.actor(self._id, observation.device),
                resource=gate_resource(order, self.unit),
                reason=order.reason,
                changes=(Change("position", before, order.position), Change("written", None, order.value)),
            )
        )

    def _lets_pass(self, code: Code, outcome: Outcome) -> bool:
        """Take a code that lets the unit pass: who is signed on is answerable, and says why."""
        gate = self._options.gate if self._options else None
        match = re.fullmatch(gate.pass_code, code.text) if gate and gate.pass_code else None
        if match is None:
            return False
        operator = self._badges.at.get(str(self._id))
        if operator is None or self._unit is None:
            self._scanned(code, "nobody is signed on, or no unit is there: nothing was let pass", outcome)
            return True
        self._gate.let_pass(self._unit)
        outcome.state[self._key("gate")] = self._gate.dump()
        self._scanned(code, f"the operator lets {self._unit.serial} pass: {match['reason']}", outcome)
        return True

    def _gap(self, gap: Gap, outcome: Outcome) -> None:
        fields: tuple[Change, ...] = (Change("first", None, gap.first), Change("last", None, gap.last))
        if gap.count is not None:
            fields += (Change("count", None, gap.count),)
        outcome.events.append(
            self._event(
                gap,
                kind="source.gap",
                actor=Actor("system", "linewitness"),
                resource=Resource("source", gap.source),
                reason=gap.reason,
                changes=fields,
            )
        )

    def _notice(self, notice: Notice, outcome: Outcome) -> None:
        outcome.events.append(
            self._event(
                notice,
                kind=notice.kind,
                actor=self._author(notice.operator, notice.device),
                resource=Resource(notice.resource_type, notice.resource_id),
                reason=notice.reason,
                changes=tuple(Change(*change) for change in notice.changes),
            )
        )

    def _nothing(self, seen: Seen, outcome: Outcome) -> None:
        """Make no event of a duplicate; what the driver remembers of it is still stored."""

    def _event(self, observation: Observation, *, changes: tuple[Change, ...] = (), **what: object) -> Event:
        context = context_of(observation, self._id)
        return event_of(observation, context=context, changes=changes, **what)  # type: ignore[arg-type]

    def _author(self, operator: str | None, device: str) -> Actor:
        if operator:
            return self._badges.person(operator, auth_method="device")
        return self._badges.actor(self._id, device)

    def _device(self, observation: Observation) -> DeviceRule:
        return self._devices.get(observation.device, ANY_DEVICE)

    def _rule(self, reading: Reading) -> PointRule:
        return self._device(reading).points.get(reading.point, ANY_POINT)

    def _key(self, name: str) -> str:
        return f"station/{self._id}/{name}"
