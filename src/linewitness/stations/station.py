"""Turn the observations of one station's devices into events."""

from collections.abc import Callable, Collection, Mapping
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
from linewitness.evidence.format.record import Resource
from linewitness.stations import device_events, results
from linewitness.stations.checklist.counting import CountedResult
from linewitness.stations.checklist.requirement_events import Cause
from linewitness.stations.codes import StationCodes
from linewitness.stations.gate.orders import Order
from linewitness.stations.options import StationOptions
from linewitness.stations.outcome import StationOutcome
from linewitness.stations.parts import StationParts
from linewitness.stations.rules import ANY_DEVICE, ANY_POINT, DeviceRule, PointRule
from linewitness.stations.shared_state import SharedState
from linewitness.stations.station_work import StationWork
from linewitness.stations.unit.unit_holder import UnitHolder
from linewitness.stations.values import changes
from linewitness.stations.values.columns import ValueColumns
from linewitness.stations.view import StationView
from linewitness.stations.viewing import picture_of


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
        parts = self._parts = StationParts.build(options, shared, state, now)
        self._context, self._units, self._sign_on = parts.context, parts.units, parts.sign_on
        self._gate, self._order, self._checklist = parts.gate, parts.order, parts.checklist
        self._codes = StationCodes(parts)
        self._work = StationWork(parts)
        self._watched = self._watched_points()
        self._columns = ValueColumns(self._context, self._last)
        self._interpreters: dict[type[Observation], Callable[..., None]] = {
            Reading: self._reading,
            Readings: self._readings,
            Code: self._codes.take,
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
        before, points = self._context.options, self._checklist.points
        self._context.take_over(options)
        self._checklist.watch_anew(points)
        self._devices = devices
        self._columns.forget_rules()
        self._watched = self._watched_points()
        self._units.take_over(before.unit if before else None, now, outcome)
        self._sign_on.take_over(before.operator if before else None, now, outcome)
        self._settle(now, outcome)
        return outcome

    def leave(self, now: Stamp) -> StationOutcome:
        """Be taken down: nobody is signed on here any more."""
        outcome = StationOutcome()
        self._sign_on.end("the settings do not name this station any more", now, outcome)
        self._context.leave()
        return outcome

    def lose(self, device: str, because: str, now: Stamp) -> StationOutcome:
        """Forget what a device named: its session ended, and it may miss what comes next."""
        outcome = StationOutcome()
        self._units.lose(device, because, now.realtime_ns)
        self._sign_on.lose(device, because, now, outcome)
        self._checklist.lose(device)
        self._parts.materials.lose(device)
        self._order.lose(device)
        self._settle(now, outcome)
        return outcome

    def tick(self, now: Stamp, known_until: Mapping[str, Stamp]) -> StationOutcome:
        """Return what the passing of time means; `known_until`: until when devices' points are known here."""
        outcome = StationOutcome()
        self._checklist.hear(known_until)
        self._units.expire(now)
        self._sign_on.expire(now, outcome)
        self._settle(now, outcome)
        return outcome

    @property
    def followed(self) -> Collection[str]:
        """The devices whose points decide something as time passes."""
        return self._checklist.followed

    @property
    def runs_by_time(self) -> bool:
        """Whether `tick` is to be called, once a second or more often."""
        return self._checklist.runs_by_time

    def view(self, now: Stamp) -> StationView:
        """Return what a screen beside the work shows."""
        return picture_of(self._parts, self._work.notes, now)

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
        self._settle(observation, outcome)
        if observation.remember:
            outcome.state.update(
                {f"device/{observation.device}/{key}": v for key, v in observation.remember.items()}
            )
        return outcome

    def _settle(self, cause: Cause, outcome: StationOutcome) -> None:
        """Let the checklist and the gate follow what has happened."""
        if self._work.settle(cause, outcome):
            self._gate.move(cause, self._units.held, outcome, known=self._units.known)

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
        watched = self._watched
        named = (
            any(f"{readings.device}/{point}" in watched for point in readings.points) if watched else False
        )
        return not (named or readings.backfilled)

    def _watched_points(self) -> frozenset[str]:
        """Return the points that name something, or that a requirement needs."""
        options = self._context.options
        if options is None:
            return frozenset()
        named = filter(None, (options.unit.point, options.operator.point))
        ordered = options.work_order.points if options.work_order is not None else ()
        return frozenset({*named, *ordered, *self._checklist.points})

    def _tag(self, reading: Reading, outcome: StationOutcome) -> None:
        """Take a point that names the unit or the operator for what it is."""
        options = self._context.options
        if options is None:
            return
        name = f"{reading.device}/{reading.point}"
        if name not in self._watched:
            return
        self._checklist.take(reading)
        self._order.follow(reading, outcome)
        if name in options.work_order.points if options.work_order else False:
            self._codes.change_variant(reading, outcome)
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
            self._units.follow_tag(reading, text, outcome)
        if name == options.operator.point:
            self._sign_on.follow_tag(reading, text, outcome)

    def _result(self, result: Result, outcome: StationOutcome, delayed_since_ns: int | None) -> None:
        self._units.follow(result, outcome)
        binding = results.bind(result, self._units.unit_for(result, delayed_since_ns), self._context.options)
        measured, judgement = results.judged(result, self._devices.get(result.device, ANY_DEVICE))
        operator = self._sign_on.actor_of(result, delayed_since_ns)
        event = self._context.event(
            result,
            kind=result.kind,
            actor=self._context.actor_of(result.device, operator),
            resource=results.resource(result, binding),
            reason=result.reason or results.default_reason(result),
            changes=results.result_changes(result, binding, measured, judgement),
        )
        binding.tell(outcome)
        judged = result if result.ok == judgement.ok else replace(result, ok=judgement.ok)
        counted = CountedResult(judged, event, measured, operator)
        self._work.count(counted, binding.unit, outcome)

    def _missed(self, missed: Missed, outcome: StationOutcome) -> None:
        self._codes.lose(missed, f"{missed.device}: {missed.reason}", outcome)
        self._checklist.doubt(missed)

    def _gap(self, gap: Gap, outcome: StationOutcome) -> None:
        if gap.untaken:
            because = f"{gap.device} sent more than was taken"
            self._units.lose(gap.device, because, gap.received.realtime_ns)
            self._sign_on.lose(gap.device, because, gap.received, outcome)
            self._parts.materials.lose(gap.device)
            self._order.lose(gap.device)
        else:
            self._codes.lose(gap, f"codes of {gap.device} are missing", outcome)
        self._checklist.doubt(gap)
        outcome.events.append(device_events.gap(self._context, gap))

    def _notice(self, notice: Notice, outcome: StationOutcome) -> None:
        if notice.missed:
            self._codes.lose(notice, f"{notice.device}: {notice.reason}", outcome)
            self._checklist.doubt(notice)
        outcome.events.append(device_events.notice(self._context, notice))

    def _rule(self, reading: Reading) -> PointRule:
        return self._devices.get(reading.device, ANY_DEVICE).points.get(reading.point, ANY_POINT)
