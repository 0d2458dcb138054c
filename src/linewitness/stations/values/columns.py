"""Find what changed in values that a device gave together, without an event for each on the way."""

from collections.abc import Callable
from typing import Final, NamedTuple

from linewitness.devices.base import Reading, Readings, Scalar, When
from linewitness.evidence.format.record import Event, Resource
from linewitness.evidence.format.value_changes import Occurrence, PointFrame, ValueChange, ValueChanges
from linewitness.stations.context import StationContext
from linewitness.stations.outcome import StationOutcome
from linewitness.stations.rules import ANY_POINT, DeviceRule, PointRule
from linewitness.stations.values.changes import CHANGED, FIRST_SEEN, GOOD, LastValue, state_key

#: A longer text has an event of its own, which may have to be shortened.
SHORT: Final = 200


class _Known(NamedTuple):
    key: str
    frame: PointFrame
    rule: PointRule
    limited: bool


class ValueColumns:
    """What a station knows of points whose values come together."""

    def __init__(self, context: StationContext, last: dict[str, LastValue]) -> None:
        """Share the last values of the line."""
        self._context = context
        self._last = last
        self._points: dict[tuple[str, str], _Known] = {}

    def forget_rules(self) -> None:
        """Learn anew what the settings say of each point."""
        self._points.clear()

    def take(
        self,
        readings: Readings,
        rule: DeviceRule,
        outcome: StationOutcome,
        take_one: Callable[[Reading, StationOutcome], None],
    ) -> None:
        """Add the events that the values mean; `take_one` serves those that are no plain new values."""
        device, last = readings.device, self._last
        found: list[ValueChange] = []
        singly: list[Reading] = []
        occurrence = _occurrence(readings.when)
        for position, (point, value) in enumerate(zip(readings.points, readings.values, strict=True)):
            known = self._points.get((device, point)) or self._learn(device, point, rule)
            before = last.get(known.key)
            old = before.values.get("") if before is not None else None
            if (before is not None and not before.is_plain) or _is_long(value) or _is_long(old):
                found = self._flush(readings, found, outcome)
                singly = singly or list(readings.singly())
                take_one(singly[position], outcome)
                continue
            if before is not None and old == value and type(old) is type(value):
                continue
            now = LastValue({"": value}, GOOD)
            last[known.key] = now
            outcome.state[known.key] = now.dump()
            first = before is None
            if found and first != (found[0].reason == FIRST_SEEN):  # another actor: another group
                found = self._flush(readings, found, outcome)
            if readings.whens is not None:
                occurrence = _occurrence(readings.whens[position])
            found.append(
                ValueChange(
                    known.frame,
                    old,
                    value,
                    known.rule.status(value) if known.limited else None,
                    FIRST_SEEN if first else CHANGED,
                    occurrence,
                )
            )
        self._flush(readings, found, outcome)

    def _learn(self, device: str, point: str, rule: DeviceRule) -> _Known:
        own = rule.points.get(point, ANY_POINT)
        low, high = (None if limit is None else str(limit) for limit in (own.low, own.high))
        known = self._points[device, point] = _Known(
            state_key(device, point),
            PointFrame(Resource("parameter", f"{device}/{point}"), point, own.unit, low, high),
            own,
            own.low is not None or own.high is not None,
        )
        return known

    def _flush(
        self, readings: Readings, found: list[ValueChange], outcome: StationOutcome
    ) -> list[ValueChange]:
        """Add what was found as one group, and return an empty list to go on with."""
        if found:
            first = found[0]
            common: Event = self._context.event(
                readings,
                kind="parameter.changed",
                actor=self._context.actor_of_reading(readings, first=first.reason == FIRST_SEEN),
                resource=first.frame.resource,
                reason=first.reason,
            )
            outcome.events.append(ValueChanges(common, found))
        return []


def _is_long(value: Scalar) -> bool:
    return type(value) is str and len(value) > SHORT


def _occurrence(when: When) -> Occurrence:
    return Occurrence(
        when.occurred_ns, when.occurred_from, when.unc_ms, when.device_time, when.device_offset_ms
    )
