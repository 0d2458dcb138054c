"""The records that belong to a unit's package beside its own: when there was capture, what else met it.

docs/format.md, section 11.3.4. A unit's own records do not say that its tool was away, or the gateway off.
What met a requirement may be of no unit: a lot that was loaded before it came, a point of a PLC.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from linewitness.evidence.format import record
from linewitness.evidence.history.values import met_by

#: Kinds that say how complete the records of a time are; `key.rotated` is among the key records anyway.
HISTORY: Final = frozenset(
    (
        *("device.lost", "device.back", "source.gap", "source.conflict", "source.epoch"),
        *("gate.closed", "gate.opened", "gateway.started", "gateway.stopped", "config.applied"),
        *("clock.stepped", "journal.pressure", "stream.continuity", "exception.raised"),
    )
)
_AVAILABILITY: Final = frozenset(("device.lost", "device.back"))
_EVENT_ID: Final = re.compile(rb'"event_id":"([0-9A-Z]{26})","ingested_at":')
_KIND: Final = re.compile(rb'"kind":"([a-z.]+)","occurred_at":')
#: Records that are looked at together, on the way back to the last start.
_PAGE: Final = 4096

Numbered = Iterator[tuple[int, bytes]]
Between = Callable[[int, int], Numbered]


class UnitCourses:
    """From where to where the records of units reach in the stream, and at which stations they were made."""

    def __init__(self, units: frozenset[str]) -> None:
        """Begin with none; `units` are all those whose records may be in the package."""
        self._units = units
        self._stations: set[str] = set()
        self._spans: dict[str, tuple[int, int]] = {}
        #: What met requirements, and was not found yet.
        self._named: set[bytes] = set()

    def take(self, unit: str, number: int, data: bytes) -> None:
        """Take a unit's next record."""
        members = record.parse(data)
        if station := members["context"].get("station_id"):
            self._stations.add(station)
        self._named.update(each.encode() for each in met_by(members))
        first, _ = self._spans.get(unit, (number, number))
        self._spans[unit] = (first, number)

    def others(self, between: Between) -> Iterator[tuple[int, bytes | None]]:
        """Yield the records that belong to these: None for each one that was looked at in vain."""
        done = 0
        for first, last in self._merged():
            yield from self._away_before(first, done, between)
            for number, data in between(first, last):
                yield number, data if self._is_named(data) or self._tells(data) else None
            done = last
        yield from self._named_before(done, between)

    def _named_before(self, end: int, between: Between) -> Iterator[tuple[int, bytes | None]]:
        """Yield what met a requirement and is not among the records of these units, the newest first."""
        while end and self._named:
            begin = max(0, end - _PAGE)
            for number, data in reversed(list(between(begin, end))):
                yield number, data if self._is_named(data) else None
            end = begin

    def _is_named(self, data: bytes) -> bool:
        """Return whether a record met a requirement of these units, and is about no other unit."""
        found = _EVENT_ID.search(data) if self._named else None
        if found is None or found[1] not in self._named:
            return False
        self._named.discard(found[1])
        return self._is_of_no_other(record.parse(data))

    def _is_of_no_other(self, members: dict[str, Any]) -> bool:
        unit = record.unit_of(members)
        return unit is None or unit in self._units

    def _merged(self) -> list[tuple[int, int]]:
        """Return the spans of all units in order, those in one that overlap."""
        merged: list[tuple[int, int]] = []
        for first, last in sorted(self._spans.values()):
            if merged and first <= merged[-1][1]:
                begin, end = merged.pop()
                merged.append((begin, max(end, last)))
            else:
                merged.append((first, last))
        return merged

    def _away_before(self, first: int, done: int, between: Between) -> Iterator[tuple[int, bytes]]:
        """Yield the last loss of each device that was not back when a span began.

        A start says of each device that it is back, or lost, so that nothing before the last one matters.
        What was lost up to `done` belongs to the spans before.
        """
        known: dict[str, tuple[int, bytes] | None] = {}
        end, started = first, False
        while end > done and not started:
            begin = max(done, end - _PAGE)
            for number, data in reversed(list(between(begin, end))):
                kind = _kind_of(data)
                started = kind == "gateway.started"
                if started:
                    break
                if kind in _AVAILABILITY and self._tells(data):
                    device = record.parse(data)["context"].get("device_id", "")
                    known.setdefault(device, (number, data) if kind == "device.lost" else None)
            end = begin
        yield from sorted(one for one in known.values() if one)

    def _tells(self, data: bytes) -> bool:
        """Return whether a record tells something of the time at these stations, and of no other unit."""
        if _kind_of(data) not in HISTORY:
            return False
        members: dict[str, Any] = record.parse(data)
        station = members["context"].get("station_id")
        return self._is_of_no_other(members) and (station is None or station in self._stations)


def _kind_of(data: bytes) -> str:
    """Return the kind of a good record: the quotes of a name are never escaped, so it stands once."""
    found = _KIND.search(data)
    return found[1].decode() if found else ""
