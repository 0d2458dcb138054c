"""What a device may still put into the journal: records and bytes that come back with time."""

from dataclasses import dataclass
from typing import Final

import orjson

from linewitness.base.clock import NS_PER_S
from linewitness.devices.base import Readings
from linewitness.evidence.format.record import Change, Event
from linewitness.evidence.format.value_changes import ValueChanges, count_records
from linewitness.stations.rules import ShareRule

#: A record without its changes, and each change of it, on disk with tree and indexes.
RECORD_BYTES: Final = 1000
CHANGE_BYTES: Final = 120
#: Under which keys of the journal's state it is kept that a device is above its share.
PREFIX: Final = "share/"


@dataclass(frozen=True, slots=True)
class AboveShare:
    """Since when a device sends more than its share, and the begin of the gap that is open, if one is."""

    since: str
    gap: str | None

    def dump(self) -> str:
        """Return the durable form, which `linewitness status` reads."""
        return orjson.dumps([self.since, self.gap]).decode()

    @classmethod
    def load(cls, text: str) -> "AboveShare":
        """Return what `dump` wrote."""
        return cls(*orjson.loads(text))


class Allowance:
    """A token bucket in records and in bytes, paid afterwards: what is taken costs what it became."""

    def __init__(self, rule: ShareRule) -> None:
        """Begin with the whole burst."""
        self._rates = (rule.records_per_s, float(rule.bytes_per_s))
        self._most = tuple(rate * rule.burst_s for rate in self._rates)
        self._records, self._bytes = self._most
        self._at_ns: int | None = None

    @property
    def spent(self) -> bool:
        """Return whether nothing is left of records or of bytes."""
        return self._records <= 0 or self._bytes <= 0

    @property
    def debt_s(self) -> float:
        """Seconds until something is left again."""
        return max(0.0, -self._records / self._rates[0], -self._bytes / self._rates[1])

    def refill(self, boottime_ns: int) -> None:
        """Add what came back until this time, in nanoseconds since the machine's start."""
        passed_s = 0.0 if self._at_ns is None else max(0, boottime_ns - self._at_ns) / NS_PER_S
        self._at_ns = boottime_ns
        self._records = min(self._most[0], self._records + passed_s * self._rates[0])
        self._bytes = min(self._most[1], self._bytes + passed_s * self._rates[1])

    def covers(self, readings: Readings) -> bool:
        """Return whether all values could become records, without a debt."""
        count = len(readings.points)
        texts = sum(map(len, readings.points))
        texts += sum([len(value) for value in readings.values if isinstance(value, str)])
        size = (RECORD_BYTES + CHANGE_BYTES + len(readings.device) + 1) * count + texts
        return self._records > count and self._bytes > size

    def spend(self, events: list[Event | ValueChanges], raw: bytes | None) -> None:
        """Pay for the events of one observation and its raw bytes; the last one may end in debt."""
        self._records -= count_records(events)
        self._bytes -= sum(map(_bytes_of, events)) + (len(raw) if raw is not None else 0)


def _bytes_of(event: Event | ValueChanges) -> int:
    """Return about how many bytes of the journal an event takes, or some together."""
    if isinstance(event, ValueChanges):
        names = sum([len(value[0].resource.id) for value in event.values])
        texts = sum([len(after) for _, _, after, _, _, _ in event.values if isinstance(after, str)])
        return (RECORD_BYTES + CHANGE_BYTES) * len(event) + names + texts
    return RECORD_BYTES + len(event.resource.id) + sum(map(_change_bytes, event.changes))


def _change_bytes(change: Change) -> int:
    after = change.after
    return CHANGE_BYTES + (len(after) if isinstance(after, str) else 0)
