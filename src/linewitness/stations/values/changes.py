"""Find what changed in a point's value: before, after and quality, right across restarts."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import orjson

from linewitness.devices.base import Quality, Reading, Scalar
from linewitness.evidence.format.record import Change
from linewitness.stations.rules import PointRule

GOOD: Final = "Good"
#: Under which keys of the journal's state last values are kept.
PREFIX: Final = "point/"
#: The reasons of the records.
FIRST_SEEN: Final = "first value seen"
CHANGED: Final = "the device reports another value"


class LastValue(NamedTuple):
    """The last value that the device vouched for, by field (`""` for a scalar), and the last quality."""

    values: Mapping[str, Scalar]
    status: str

    @property
    def is_plain(self) -> bool:
        """Whether it is one good value and no mapping."""
        return self.status == GOOD and len(self.values) == 1 and "" in self.values

    @classmethod
    def load(cls, text: str) -> "LastValue":
        """Return what `dump` wrote."""
        values, status = orjson.loads(text)
        return cls(values, status)

    def dump(self) -> str:
        """Return the durable form."""
        return orjson.dumps([self.values, self.status]).decode()


def state_key(device: str, point: str) -> str:
    """Return under which key a point's last value is stored."""
    return f"{PREFIX}{device}/{point}"


def compare(
    reading: Reading, last: LastValue | None, rule: PointRule
) -> tuple[tuple[Change, ...], LastValue]:
    """Return the changes between the last value and this reading, none if there are none.

    A bad value is never taken as a value: only its quality is recorded, and the last good value stays
    what the next `before` says.
    """
    changes: list[Change] = []
    known: Mapping[str, Scalar] = last.values if last else {}
    status = _status(reading)
    if reading.quality is Quality.BAD:
        values = known
    else:
        values = reading.value if isinstance(reading.value, Mapping) else {"": reading.value}
        changes += _fields(reading.point, known, values, rule, first=last is None)
    before = last.status if last else None
    if status != before and not (last is None and status == GOOD):
        changes.append(Change(f"{reading.point}.quality", before, status))
    return tuple(changes), LastValue(dict(values), status)


def _fields(
    point: str, known: Mapping[str, Scalar], values: Mapping[str, Scalar], rule: PointRule, *, first: bool
) -> list[Change]:
    low = str(rule.low) if rule.low is not None else None
    high = str(rule.high) if rule.high is not None else None
    changes = []
    for field, value in values.items():
        before = known.get(field)
        if first or before != value or type(before) is not type(value):
            changes.append(
                Change(_name(point, field), before, value, rule.unit, low, high, rule.status(value))
            )
    changes += [Change(_name(point, field), known[field], None) for field in known if field not in values]
    return changes


def _name(point: str, field: str) -> str:
    if not field:
        return point
    return f"{point}{field}" if field.startswith("[") else f"{point}.{field}"


def _status(reading: Reading) -> str:
    return GOOD if reading.quality is Quality.GOOD else reading.status
