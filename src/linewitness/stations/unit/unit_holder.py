"""Let units enter a station and leave it, count what each has had, and know when the unit is not known."""

from collections.abc import Mapping

from linewitness.base.clock import Stamp
from linewitness.devices.base import Code, Observation, Reading, Result
from linewitness.evidence.format.record import Change, Event
from linewitness.stations.checklist.requirement_events import Cause
from linewitness.stations.checklist.status import closing_changes
from linewitness.stations.context import StationContext
from linewitness.stations.genealogy.visits import Visits
from linewitness.stations.options import UnitOptions
from linewitness.stations.outcome import Ask, StationOutcome
from linewitness.stations.unit import units
from linewitness.stations.unit.lease import Lapse, Lease
from linewitness.stations.unit.units import HeldUnit


class UnitHolder:
    """The unit at one station.

    `held` is the unit that was there last, with its results; it is known only under a valid lease.
    """

    def __init__(self, context: StationContext, visits: Visits, state: Mapping[str, str], now: Stamp) -> None:
        """Begin with the unit that was there at the last commit: whether it still is, nobody can say."""
        self._context = context
        self._visits = visits
        self._key = context.key("unit")
        stored = state.get(self._key)
        self.held = HeldUnit.load(stored) if stored else None
        self._told_key = context.key("told")
        if self.held is not None and (told := state.get(self._told_key)) is not None:
            self.held.recall_told(told)
        if self.held is not None:
            visits.recall(self.held)
        self._stored = stored
        self._lease: Lease | None = None
        self._lapse = Lapse(
            "the gateway was restarted" if stored else "no unit has been read yet", now.realtime_ns
        )

    @property
    def serial(self) -> str | None:
        """Serial number of the unit at the station, None where it is not known."""
        return self.held.serial if self.held and self._lease else None

    @property
    def unknown_because(self) -> str:
        """Why it is not known which unit is here."""
        return self._lapse.because

    @property
    def present(self) -> tuple[HeldUnit, str] | None:
        """The unit at the station and the device that named it; None where it is not known."""
        return (self.held, self._lease.namer) if self.held and self._lease else None

    def tell(self, held: HeldUnit, command: str) -> Mapping[str, str]:
        """Note that a device accepted a command for this unit; return the state to store with its record."""
        held.told.add(command)
        return self.noted(held)

    def noted(self, held: HeldUnit) -> Mapping[str, str]:
        """Return the state to store of what devices were told of this unit, and of what was tried."""
        return {self._told_key: held.dump_told()} if self.held is held else {}

    @property
    def known(self) -> bool:
        """Return whether it is known which unit is at the station, or that none is."""
        return self._lease is not None or self.held is None

    def is_named_by(self, device: str) -> bool:
        """Return whether a device's codes are serial numbers: the scanner's, or a tool's without one."""
        options = self._context.options
        if options is None:
            return False
        return device == options.unit.scanner or (self.follows_results and device in options.devices)

    @property
    def follows_results(self) -> bool:
        """Return whether the tools' own identifiers tell which unit is there: where nothing else does."""
        unit = self._context.options.unit if self._context.options else None
        return unit is not None and not unit.scanner and not unit.point and unit.from_result

    def is_serial(self, text: str) -> bool:
        """Return whether a text can be a serial number here."""
        return self._context.options is not None and units.is_serial(text, self._context.options.unit)

    def follow(self, result: Result, outcome: StationOutcome) -> None:
        """Take the unit that a live result names for the station's, where results tell it."""
        serial = (result.identifier or "").strip()
        if self.follows_results and not result.backfilled and self.is_serial(serial):
            self.enter(result, serial, "result", outcome)

    def follow_tag(self, reading: Reading, serial: str, outcome: StationOutcome) -> None:
        """Take the value of a point: which unit is there now, or none where it is empty."""
        if serial and not self.is_serial(serial):
            because = f"{reading.device}/{reading.point} has a value that is not a serial number"
            self.lose(reading.device, because, reading.received.realtime_ns)
        else:
            self.enter(reading, serial, "tag", outcome)

    def enter(self, observation: Observation, serial: str, by: str, outcome: StationOutcome) -> None:
        """Let a unit enter, and the one before it leave; an empty serial number only lets it leave.

        The same unit again renews the lease; if it was not known meanwhile, that is on record, and the
        results that it has had before still count.
        """
        options = self._context.options
        if options is None:
            return
        again = self.held is not None and self.held.serial == serial and not self.came_back(observation)
        if again and self._lease is not None:
            self._lease = self._lease.renewed(observation)
            self._read_again(observation, outcome)
            return
        if again and self.held is not None:
            self.held.by = by
            self._begin_visit(self.held, observation, outcome)
            self._read_again(observation, outcome)
        else:
            self._let_leave(observation, outcome)
            self.held = HeldUnit(serial, by) if self.is_serial(serial) else None
            if self.held is not None:
                self._visits.arrive(self.held, observation, outcome)
        self.store(outcome)
        if self.held is None:
            self.lapse("no unit is at the station", observation.received.realtime_ns)
            return
        self._lease = Lease.of(observation)
        outcome.events.append(self._entered(observation, self.held, again=again))
        outcome.asks += [Ask(device, serial) for device in options.ask]
        outcome.arrived = True

    def came_back(self, observation: Observation) -> bool:
        """Return whether a code that is read now says that the unit came back from another station."""
        read_now = isinstance(observation, Code) and not observation.again
        return read_now and self.held is not None and self._visits.was_elsewhere(self.held)

    def _begin_visit(self, held: HeldUnit, cause: Cause, outcome: StationOutcome) -> None:
        """Begin the visit of a unit that came before the settings asked for more than results."""
        if held.entered is None:
            self._visits.arrive(held, cause, outcome)

    def store(self, outcome: StationOutcome) -> None:
        """Let what changed about the unit become durable with the records that say so."""
        text = self.held.dump() if self.held is not None else None
        if text != self._stored:
            self._stored = outcome.state[self._key] = text

    def _let_leave(self, cause: Cause, outcome: StationOutcome) -> None:
        """Let the unit that is here leave, if one is."""
        held = self.held
        if held is None:
            return
        options = self._context.options
        outcome.events.append(
            self._context.event_by(
                cause,
                kind="unit.left",
                actor=None if isinstance(cause, Stamp) else self._context.actor(cause.device),
                resource=self._context.unit_resource(held.serial),
                reason="another unit or none is at the station",
                changes=closing_changes(held, options),
            )
        )
        self._visits.depart(held, cause, outcome)
        if held.told or held.tried:
            outcome.state[self._told_key] = None

    def expire(self, now: Stamp) -> None:
        """End a lease that the settings do not let last longer."""
        options = self._context.options
        if self._lease is None or options is None:
            return
        overdue = self._lease.overdue(now, options.unit.valid_s)
        if overdue is not None:
            self._end(overdue)

    def lose(self, device: str, because: str, since_ns: int) -> None:
        """End the lease if it is this device's: it does not tell any more which unit is there."""
        if self._lease is not None and self._lease.namer == device:
            self.lapse(because, since_ns)

    def lapse(self, because: str, since_ns: int) -> None:
        """End the lease, whoever gave it."""
        self._end(Lapse(because, since_ns))

    def unit_for(self, result: Result, delayed_since_ns: int | None) -> HeldUnit | Lapse:
        """Return the unit to which a result without a name of its own belongs, or why that is not known."""
        if self._lease is None or self.held is None:
            return self._lapse
        options = self._context.options
        asked = bool(result.identifier) and options is not None and result.device in options.ask
        # A measurement that we asked for when the unit entered was certainly made after that.
        if asked or self._lease.covers(result, delayed_since_ns):
            return self.held
        return Lapse(
            f"the result may have been made before {self.held.serial} was read", self._lease.since.realtime_ns
        )

    def count(self, result: Result, unit: str | None) -> HeldUnit | None:
        """Count a result of the unit at the station, if it decides anything; an unreadable one is not ok.

        Return the unit if the result counts for it.
        """
        decides = result.counts or not result.decoded
        if self.held is None or unit != self.held.serial or not decides:
            return None
        self.held.add(result)
        return self.held

    def take_over(self, before: UnitOptions | None, now: Stamp, outcome: StationOutcome) -> None:
        """Go on with other settings: if another device names the unit now, it is not known."""
        options = self._context.options.unit if self._context.options else None
        if before is None or options is None:
            return
        if (before.scanner, before.point, before.from_result) != (
            options.scanner,
            options.point,
            options.from_result,
        ):
            self.lapse("the settings name another source of units", now.realtime_ns)
        if self.held is not None and self._lease is not None:
            self._begin_visit(self.held, now, outcome)

    def _read_again(self, observation: Observation, outcome: StationOutcome) -> None:
        """Let what devices refused be sent again, because somebody read the unit once more."""
        if self.held is not None and isinstance(observation, Code) and not observation.again:
            if self.held.tried:
                self.held.tried.clear()
                outcome.state[self._told_key] = self.held.dump_told()
            outcome.arrived = True

    def _end(self, lapse: Lapse) -> None:
        self._lease, self._lapse = None, lapse

    def _entered(self, observation: Observation, held: HeldUnit, *, again: bool) -> Event:
        changes = [Change("unit", None, held.serial), Change("recognised_by", None, held.by)]
        changes += self._visits.entered_changes(held)
        if again:
            changes += [Change("binding", "unknown", "known"), *self._lapse.changes()[1:]]
        return self._context.event(
            observation,
            kind="unit.entered",
            resource=self._context.unit_resource(held.serial),
            reason=f"the unit was recognised by {held.by}" + (", after it was not known" if again else ""),
            changes=tuple(changes),
        )
