"""Let units enter a station and leave it, and count what each has had."""

from collections.abc import Mapping

from linewitness.devices.base import Observation, Result
from linewitness.evidence.format.record import Change, Event, Resource
from linewitness.stations import units
from linewitness.stations.context import StationContext
from linewitness.stations.outcome import Ask, StationOutcome
from linewitness.stations.units import HeldUnit


class UnitHolder:
    """The unit at one station."""

    def __init__(self, context: StationContext, state: Mapping[str, str]) -> None:
        """Begin with the unit that was there at the last commit."""
        self._context = context
        self._key = context.key("unit")
        held = state.get(self._key)
        self.held = HeldUnit.load(held) if held else None

    @property
    def serial(self) -> str | None:
        """Serial number of the unit at the station."""
        return self.held.serial if self.held else None

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
        if self.follows_results and not result.backfilled and self.is_serial(result.identifier or ""):
            self.enter(result, str(result.identifier), "result", outcome)

    def enter(self, observation: Observation, serial: str, by: str, outcome: StationOutcome) -> None:
        """Let a unit enter, and the one before it leave; an empty serial number only lets it leave."""
        if self._context.options is None or serial == (self.serial or ""):
            return
        if self.held is not None:
            outcome.events.append(self._left(observation, self.held))
        self.held = HeldUnit(serial, by) if self.is_serial(serial) else None
        outcome.state[self._key] = self.held.dump() if self.held else None
        if self.held is not None:
            outcome.events.append(self._entered(observation, self.held))
            outcome.asks += [Ask(device, serial) for device in self._context.options.ask]

    def count(self, result: Result, unit: str | None, outcome: StationOutcome) -> None:
        """Count a result of the unit at the station, if it decides anything; an unreadable one is not ok."""
        decides = result.counts or not result.decoded
        if self.held is not None and unit == self.held.serial and decides:
            self.held.tally.add(result)
            outcome.state[self._key] = self.held.dump()

    def _entered(self, observation: Observation, held: HeldUnit) -> Event:
        return self._context.event(
            observation,
            kind="unit.entered",
            resource=self._resource(held),
            reason=f"the unit was recognised by {held.by}",
            changes=(Change("unit", None, held.serial), Change("recognised_by", None, held.by)),
        )

    def _left(self, observation: Observation, held: HeldUnit) -> Event:
        requirements = self._context.options.requires if self._context.options else ()
        return self._context.event(
            observation,
            kind="unit.left",
            resource=self._resource(held),
            reason="another unit or none is at the station",
            changes=units.closing_changes(held, requirements),
        )

    def _resource(self, held: HeldUnit) -> Resource:
        return Resource("station", str(self._context.id), ("unit", held.serial))
