"""Turn the observations of one station's devices into events."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from linewitness.base.clock import Stamp
from linewitness.devices.base import (
    Code,
    Gap,
    Missed,
    Notice,
    Observation,
    Quality,
    Reading,
    Readings,
    Result,
    Seen,
)
from linewitness.evidence.format.record import Actor, Change, Resource
from linewitness.stations import changes, results
from linewitness.stations.columns import ValueColumns
from linewitness.stations.context import StationContext
from linewitness.stations.gate_decision import GateDecision
from linewitness.stations.gates import Order
from linewitness.stations.options import StationOptions
from linewitness.stations.outcome import StationOutcome
from linewitness.stations.rules import ANY_DEVICE, ANY_POINT, DeviceRule, PointRule
from linewitness.stations.shared_state import SharedState
from linewitness.stations.sign_on import SignOn
from linewitness.stations.unit_holder import UnitHolder


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
        shared: SharedState,
        state: Mapping[str, str],
        now: Stamp,
    ) -> None:
        """Take the rules, what the line shares, and the state as last committed (see `StationOutcome.state`).

        What was at the station then is known again from the next reading on.
        """
        self._devices = devices
        self._last = shared.last
        self._context = StationContext(options, shared.badges)
        self._units = UnitHolder(self._context, state, now)
        self._sign_on = SignOn(self._context, state)
        self._gate = GateDecision(self._context, state)
        self._columns = ValueColumns(self._context, self._last)
        self._interpreters: dict[type[Observation], Callable[..., None]] = {
            Reading: self._reading,
            Readings: self._readings,
            Code: self._code,
            Missed: self._missed,
            Gap: self._gap,
            Notice: self._notice,
            Seen: lambda *_: None,  # a duplicate; what the driver remembers of it is still stored
        }

    def begin(self, now: Stamp) -> StationOutcome:
        """Return what is to be put on record before the first observation."""
        outcome = StationOutcome()
        self._sign_on.begin(now, outcome)
        return outcome

    def take_over(
        self, options: StationOptions | None, devices: Mapping[str, DeviceRule], now: Stamp
    ) -> StationOutcome:
        """Go on with other settings: last values stay, unit and operator if the same devices name them."""
        outcome = StationOutcome()
        before = self._context.options
        self._context.take_over(options)
        self._devices = devices
        self._columns.forget_rules()
        self._units.take_over(before.unit if before else None, now)
        self._sign_on.take_over(before.operator if before else None, now, outcome)
        return outcome

    def leave(self, now: Stamp) -> StationOutcome:
        """Be taken down: nobody is signed on here any more."""
        outcome = StationOutcome()
        self._sign_on.end("the settings do not name this station any more", now, outcome)
        return outcome

    def lose(self, device: str, because: str, now: Stamp) -> StationOutcome:
        """Forget what a device named: its session ended, and it may miss what comes next."""
        outcome = StationOutcome()
        self._units.lose(device, because, now.realtime_ns)
        self._sign_on.lose(device, because, now, outcome)
        return outcome

    @property
    def unit(self) -> str | None:
        """Serial number of the unit at the station, None where none is known to be there."""
        return self._units.serial

    @property
    def units(self) -> UnitHolder:
        """The unit at the station, and what devices were told of it."""
        return self._units

    def order(self) -> Order | None:
        """Return what the station's gate should be now, None where there is no gate."""
        return self._gate.order(self._units.held, known=self._units.known)

    def interpret(self, observation: Observation, *, delayed_since_ns: int | None = None) -> StationOutcome:
        """Return the events that an observation means, and the state to store with them.

        `delayed_since_ns` (boot time) says that the observation may have waited since then, in the device
        or in a socket: then its place among the observations of other devices is not known.
        """
        outcome = StationOutcome()
        if isinstance(observation, Readings) and not self._are_plain(observation):
            for reading in observation.singly():
                outcome.add(self.interpret(reading))
            return outcome
        self._units.expire(observation.received)
        self._sign_on.expire(observation.received, outcome)
        if isinstance(observation, Result):
            self._result(observation, outcome, delayed_since_ns)
        else:
            self._interpreters[type(observation)](observation, outcome)
        self._gate.move(observation, self._units.held, outcome, known=self._units.known)
        if observation.remember:
            outcome.state.update(
                {f"device/{observation.device}/{key}": v for key, v in observation.remember.items()}
            )
        return outcome

    def news(self, reading: Reading, since: changes.LastValue | None) -> changes.LastValue | None:
        """Return what a point says now, None if that is what it said: before, or last on record."""
        last = since or self._last.get(changes.state_key(reading.device, reading.point))
        changed, now = changes.compare(reading, last, self._rule(reading))
        return now if changed else None

    def _reading(self, reading: Reading, outcome: StationOutcome) -> None:
        rule = self._rule(reading)
        key = changes.state_key(reading.device, reading.point)
        changed, last = changes.compare(reading, self._last.get(key), rule)
        if changed:
            first = key not in self._last
            self._last[key] = last
            outcome.state[key] = last.dump()
            outcome.events.append(
                self._context.event(
                    reading,
                    kind="parameter.changed",
                    actor=self._context.actor_of_reading(reading, first=first),
                    resource=Resource("parameter", f"{reading.device}/{reading.point}"),
                    reason=changes.FIRST_SEEN if first else changes.CHANGED,
                    changes=changed,
                )
            )
        self._tag(reading, outcome)

    def _readings(self, readings: Readings, outcome: StationOutcome) -> None:
        rule = self._devices.get(readings.device, ANY_DEVICE)
        self._columns.take(readings, rule, outcome, self._reading)

    def _are_plain(self, readings: Readings) -> bool:
        """Return whether they are new values and nothing else: none names the unit or the operator."""
        options = self._context.options
        tags = {options.unit.point, options.operator.point} - {None} if options else set()
        named = any(f"{readings.device}/{point}" in tags for point in readings.points) if tags else False
        return not (named or readings.backfilled)

    def _tag(self, reading: Reading, outcome: StationOutcome) -> None:
        """Take a point that names the unit or the operator for what it is."""
        options = self._context.options
        if options is None:
            return
        name = f"{reading.device}/{reading.point}"
        if name not in {options.unit.point, options.operator.point}:
            return
        if reading.quality is not Quality.GOOD or isinstance(reading.value, Mapping):
            because = f"{name} has no value that counts ({reading.status})"
            if name == options.unit.point:
                self._units.lose(reading.device, because, reading.received.realtime_ns)
            if name == options.operator.point:
                self._sign_on.lose(reading.device, because, reading.received, outcome)
            return
        text = "" if reading.value is None else str(reading.value).strip()
        if name == options.unit.point:
            self._units.enter(reading, text, "tag", outcome)
        if name == options.operator.point:
            self._sign_on.follow_tag(reading, text, outcome)

    def _result(self, result: Result, outcome: StationOutcome, delayed_since_ns: int | None) -> None:
        self._units.follow(result, outcome)
        binding = results.bind(result, self._units.unit_for(result, delayed_since_ns), self._context.options)
        measured, judgement = results.judged(result, self._devices.get(result.device, ANY_DEVICE))
        outcome.events.append(
            self._context.event(
                result,
                kind=result.kind,
                actor=self._context.actor_of(result.device, self._sign_on.actor_of(result, delayed_since_ns)),
                resource=results.resource(result, binding),
                reason=result.reason or results.default_reason(result),
                changes=results.result_changes(result, binding, measured, judgement),
            )
        )
        binding.tell(outcome)
        self._units.count(replace(result, ok=judgement.ok), binding.unit, outcome)

    def _code(self, code: Code, outcome: StationOutcome) -> None:
        if code.again:
            self._again(code, outcome)
        elif self._gate.is_pass(code.text):
            operator, held = self._sign_on.operator, self._units.held if self._units.serial else None
            self._scanned(code, self._gate.let_pass(code, held, operator, outcome), outcome)
        elif self._sign_on.is_badge(code.device, code.text):
            self._sign_on.show_badge(code, code.text, outcome)
        elif not self._units.is_named_by(code.device):
            self._scanned(code, "the code is not a serial number of this station", outcome)
        elif not self._units.is_serial(code.text):
            self._scanned(code, "the code is not a serial number of this station", outcome)
            self._units.lose(
                code.device, "a code was read that is not a serial number", code.received.realtime_ns
            )
        elif self.unit == code.text:
            self._units.enter(code, code.text, "scan", outcome)
            self._scanned(code, "the unit at the station was read again", outcome)
        else:
            self._units.enter(code, code.text, "scan", outcome)

    def _again(self, code: Code, outcome: StationOutcome) -> None:
        """Take a code that is still there: it renews what it named; an event only if that was lost."""
        if self._gate.is_pass(code.text) or self._sign_on.is_badge(code.device, code.text):
            return
        if self._units.is_named_by(code.device) and self._units.is_serial(code.text):
            self._units.enter(code, code.text, "scan", outcome)

    def _missed(self, missed: Missed, outcome: StationOutcome) -> None:
        self._lose_codes(missed, f"{missed.device}: {missed.reason}", outcome)

    def _lose_codes(self, observation: Observation, because: str, outcome: StationOutcome) -> None:
        """Forget what a reader of codes named: it may have read another one."""
        options = self._context.options
        if options is None:
            return
        now = observation.received
        if observation.device == options.unit.scanner:
            self._units.lose(observation.device, because, now.realtime_ns)
        if observation.device == options.operator.scanner:
            self._sign_on.lose(observation.device, because, now, outcome)

    def _scanned(self, code: Code, reason: str, outcome: StationOutcome) -> None:
        outcome.events.append(
            self._context.event(
                code, kind="identifier.scanned", resource=Resource("identifier", code.text), reason=reason
            )
        )

    def _gap(self, gap: Gap, outcome: StationOutcome) -> None:
        if gap.untaken:
            because = f"{gap.device} sent more than was taken"
            self._units.lose(gap.device, because, gap.received.realtime_ns)
            self._sign_on.lose(gap.device, because, gap.received, outcome)
        else:
            self._lose_codes(gap, f"codes of {gap.device} are missing", outcome)
        fields = [Change("first", None, gap.first), Change("last", None, gap.last)]
        counted = (("count", gap.count), ("bytes", gap.size))
        fields += [Change(name, None, number) for name, number in counted if number is not None]
        outcome.events.append(
            self._context.event(
                gap,
                kind="source.gap",
                actor=Actor("system", "linewitness"),
                resource=Resource("source", gap.source),
                reason=gap.reason,
                changes=tuple(fields),
            )
        )

    def _notice(self, notice: Notice, outcome: StationOutcome) -> None:
        if notice.missed:
            self._lose_codes(notice, f"{notice.device}: {notice.reason}", outcome)
        outcome.events.append(
            self._context.event(
                notice,
                kind=notice.kind,
                actor=self._context.actor(notice.device, notice.operator),
                resource=Resource(notice.resource_type, notice.resource_id),
                reason=notice.reason,
                changes=tuple(Change(*change) for change in notice.changes),
            )
        )

    def _rule(self, reading: Reading) -> PointRule:
        return self._devices.get(reading.device, ANY_DEVICE).points.get(reading.point, ANY_POINT)
