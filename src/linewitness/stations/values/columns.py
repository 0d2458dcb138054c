"""Find what changed in values that a device gave together, without an event for each on the way."""

from collections.abc import Callable
from typing import Final

import orjson

from linewitness.devices.base import Reading, Readings, Scalar, When
from linewitness.evidence.format.record import Event, Resource
from linewitness.evidence.format.value_changes import Occurrence, PointFrame, ValueChange, ValueChanges
from linewitness.stations.context import StationContext
from linewitness.stations.outcome import StationOutcome
from linewitness.stations.rules import ANY_POINT, DeviceRule, PointRule
from linewitness.stations.values.changes import CHANGED, FIRST_SEEN, GOOD, LastValue, state_key

#: A longer text has an event of its own, which may have to be shortened.
SHORT: Final = 200
_new: Final = tuple.__new__


class _Known:
    """A point: what its rule says, and the last value that was taken here."""

    __slots__ = ("frame", "key", "last", "limited", "rule", "value")

    def __init__(self, device: str, point: str, rule: PointRule) -> None:
        low, high = (None if limit is None else str(limit) for limit in (rule.low, rule.high))
        self.key = state_key(device, point)
        self.frame = PointFrame(Resource("parameter", f"{device}/{point}"), point, rule.unit, low, high)
        self.rule = rule
        self.limited = rule.low is not None or rule.high is not None
        #: While the line's last value is this very one, it is plain and short, and `value` is what it says.
        self.last: LastValue | None = None
        self.value: Scalar = None

    def recognises(self, before: LastValue | None) -> bool:
        """Say whether a last value that came another way is plain and short, or none at all."""
        value = before.values.get("") if before is not None else None
        if (before is not None and not before.is_plain) or _is_long(value):
            return False
        self.last, self.value = before, value
        return True


class ValueColumns:
    """What a station knows of points whose values come together."""

    def __init__(self, context: StationContext, last: dict[str, LastValue]) -> None:
        """Share the last values of the line."""
        self._context = context
        self._last = last
        self._points: dict[str, dict[str, _Known]] = {}

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
        last, state, whens = self._last, outcome.state, readings.whens
        points = self._points.setdefault(readings.device, {})
        found: list[ValueChange] = []
        singly: list[Reading] = []
        occurrence = _occurrence(readings.when)
        for position, (point, value) in enumerate(zip(readings.points, readings.values, strict=True)):
            known = points.get(point) or self._learn(readings.device, point, rule)
            key, before = known.key, last.get(known.key)
            if _is_long(value) or (before is not known.last and not known.recognises(before)):
                found = self._flush(readings, found, outcome)
                singly = singly or list(readings.singly())
                take_one(singly[position], outcome)
                continue
            old = known.value
            if before is not None and old == value and type(old) is type(value):
                continue
            values = {"": value}
            # As LastValue(...) and its `dump` do, and ValueChange(...) below, without their calls.
            last[key] = known.last = _new(LastValue, (values, GOOD))
            known.value = value
            state[key] = orjson.dumps((values, GOOD)).decode()
            reason = FIRST_SEEN if before is None else CHANGED
            if found and reason is not found[0].reason:  # another actor: another group
                found = self._flush(readings, found, outcome)
            if whens is not None:
                occurrence = _occurrence(whens[position])
            status = known.rule.status(value) if known.limited else None
            found.append(_new(ValueChange, (known.frame, old, value, status, reason, occurrence)))
        self._flush(readings, found, outcome)

    def _learn(self, device: str, point: str, rule: DeviceRule) -> _Known:
        known = self._points[device][point] = _Known(device, point, rule.points.get(point, ANY_POINT))
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
