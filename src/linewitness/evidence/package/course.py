"""The records that belong to a unit's package beside its own: when there was capture, what else met it.

docs/format.md, section 11.3.4. A unit's own records do not say that its tool was away, or the gateway off.
What met a requirement may be of no unit: a lot that was loaded before it came, a point of a PLC.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from linewitness.evidence.format import record
from linewitness.evidence.format.times import NS_PER_S, text_of, unix_ns
from linewitness.evidence.history.values import met_by
from linewitness.evidence.verify.capture_stretches import is_open_gap
from linewitness.evidence.verify.signs import sign_of

#: Kinds that say how complete the records of a time are; `key.rotated` is among the key records anyway.
HISTORY: Final = frozenset(
    (
        *("device.lost", "device.back", "source.gap", "source.conflict", "source.epoch"),
        *("gate.closed", "gate.opened", "gateway.started", "gateway.stopped", "config.applied"),
        *("clock.stepped", "journal.pressure", "stream.continuity", "exception.raised"),
    )
)
#: Kinds that begin or end something that lasts.
_LASTING: Final = frozenset(("device.lost", "device.back", "source.gap", "journal.pressure"))
_AVAILABILITY: Final = frozenset(("device.lost", "device.back"))
_EVENT_ID: Final = re.compile(rb'"event_id":"([0-9A-Z]{26})","ingested_at":')
_KIND: Final = re.compile(rb'"kind":"([a-z.]+)","occurred_at":')
_INGESTED: Final = b'"ingested_at":"'
_TIME_BYTES: Final = 24
#: Records that are looked at together, on the way back to the last start.
_PAGE: Final = 4096
#: What a device made while it could not be heard comes later; a clock of a device may also be wrong by years.
_BACK_S: Final = 31 * 86_400

Numbered = Iterator[tuple[int, bytes]]
Between = Callable[[int, int], Numbered]


@dataclass(slots=True)
class _Course:
    """From which record to which a unit's records reach, since when it happened and was written."""

    first: int
    last: int
    occurred_at: str
    ingested_at: str


class UnitCourses:
    """From where to where the records of units reach in the stream, at which stations and devices."""

    def __init__(self, units: frozenset[str]) -> None:
        """Begin with none; `units` are all those whose records may be in the package."""
        self._units = units
        self._stations: set[str] = set()
        self._devices: set[str] = set()
        self._courses: dict[str, _Course] = {}
        #: What met requirements, and was not found yet.
        self._named: set[bytes] = set()

    def take(self, unit: str, number: int, data: bytes) -> None:
        """Take a unit's next record."""
        members = record.parse(data)
        context, occurred_at = members["context"], members["occurred_at"]
        if station := context.get("station_id"):
            self._stations.add(station)
        if device := context.get("device_id"):
            self._devices.add(device)
        self._named.update(each.encode() for each in met_by(members))
        course = self._courses.setdefault(unit, _Course(number, number, occurred_at, members["ingested_at"]))
        course.last = number
        course.occurred_at = min(course.occurred_at, occurred_at)

    def others(self, between: Between) -> Iterator[tuple[int, bytes | None]]:
        """Yield the records that belong to these: None for each one that was looked at in vain."""
        done = 0
        for first, last in self._merged(between):
            owed: set[str] = set()
            heard: set[str] = set()
            for number, data in between(first, last):
                tells = self._tells(data)
                if tells:
                    _note_return(data, heard, owed)
                yield number, data if self._is_named(data) or tells else None
            yield from self._lasting_before(first, done, owed, between)
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

    def _merged(self, between: Between) -> list[tuple[int, int]]:
        """Return the spans of all units in order, those in one that overlap."""
        merged: list[tuple[int, int]] = []
        for first, last in sorted(
            (_begin(course, between), course.last) for course in self._courses.values()
        ):
            if merged and first <= merged[-1][1]:
                begin, end = merged.pop()
                merged.append((begin, max(end, last)))
            else:
                merged.append((first, last))
        return merged

    def _lasting_before(
        self, first: int, done: int, owed: set[str], between: Between
    ) -> Iterator[tuple[int, bytes]]:
        """Yield what began before a span and lasted into it: losses, gaps without an end, a full journal.

        A start says of each device that it is back, or lost, so that nothing before the last one matters,
        but for the devices that are `owed`: they were lost before it and came back in the span. What began
        up to `done` belongs to the spans before.
        """
        known: dict[str, tuple[int, bytes] | None] = {}
        end, started = first, False
        while end > done and (owed or not started):
            begin = max(done, end - _PAGE)
            for number, data in reversed(list(between(begin, end))):
                kind = _kind_of(data)
                if kind == "gateway.started":
                    started = True
                elif kind in _LASTING and self._tells(data):
                    subject, device, lasts = _lasting(data)
                    if not started or device in owed:
                        known.setdefault(subject, (number, data) if lasts else None)
                        owed.discard(device)
                if started and not owed:
                    break
            end = begin
        yield from sorted(one for one in known.values() if one)

    def _tells(self, data: bytes) -> bool:
        """Return whether a record tells something of the time at these stations and devices."""
        if _kind_of(data) not in HISTORY:
            return False
        members: dict[str, Any] = record.parse(data)
        context = members["context"]
        station = context.get("station_id")
        here = station is None or station in self._stations or context.get("device_id") in self._devices
        return here and self._is_of_no_other(members)


def _begin(course: _Course, between: Between) -> int:
    """Return from which record on a unit's time is on record: before its first one, if that came late.

    What a tool kept while it could not be heard is written when it is back, after all that says it was away.
    """
    since = max(course.occurred_at, _earlier(course.ingested_at))
    if since >= course.ingested_at:
        return course.first
    low, high = 0, course.first
    while low < high:
        middle = (low + high) // 2
        found = list(between(middle, middle + 1))
        if not found or _ingested_at(found[0][1]) < since:
            low = middle + 1
        else:
            high = middle
    return low


def _earlier(time: str) -> str:
    """Return the earliest time that a record of this time is believed to be about."""
    try:
        return text_of(max(0, unix_ns(time) - _BACK_S * NS_PER_S))
    except ValueError:  # no date: a verifier says so
        return time


def _ingested_at(data: bytes) -> str:
    """Return when a good record was written: the quotes of a name are never escaped, so it stands once."""
    at = data.find(_INGESTED) + len(_INGESTED)
    return data[at : at + _TIME_BYTES].decode("ascii", "replace")


def _note_return(data: bytes, heard: set[str], owed: set[str]) -> None:
    """Remember a device whose first word in a span is that it is back, after it was lost before."""
    if _kind_of(data) not in _AVAILABILITY:
        return
    sign = sign_of(record.parse(data))
    if sign.device not in heard and sign.after("away_ms") is not None:
        owed.add(sign.device)
    heard.add(sign.device)


def _lasting(data: bytes) -> tuple[str, str, bool]:
    """Return what a record begins or ends, of which device, and whether it begins it."""
    sign = sign_of(record.parse(data))
    if sign.kind == "source.gap":
        return f"{sign.device}/{sign.resource}", "", is_open_gap(sign)
    if sign.kind == "journal.pressure":
        return sign.kind, "", sign.after("level") == "full"
    return sign.device, sign.device, sign.kind == "device.lost"


def _kind_of(data: bytes) -> str:
    """Return the kind of a good record: the quotes of a name are never escaped, so it stands once."""
    found = _KIND.search(data)
    return found[1].decode() if found else ""
