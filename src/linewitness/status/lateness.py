"""Say why an event is on record long after it happened: what the journal itself tells about that time."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from linewitness.clock import NS_PER_MS, from_rfc3339

#: So many absences are remembered for each device; a back-fill seldom reaches further.
REMEMBERED: Final = 100

STARTED: Final = "gateway.started"
STOPPED: Final = "gateway.stopped"


class Cause(StrEnum):
    """Why an event is late, the first that applies."""

    STEP = "the clock was set in between"
    GATEWAY = "the gateway did not run"
    OUTAGE = "the device was away"
    BACKFILL = "the device handed it over later"
    UNCERTAIN = "its time is not known better"
    DEVICE_CLOCK = "the device's clock"
    UNKNOWN = "not explained"


@dataclass(slots=True)
class Span:
    """A time in which something was away: `until_ns` is None as long as it lasts."""

    since_ns: int
    until_ns: int | None = None

    def meets(self, first_ns: int, last_ns: int) -> bool:
        """Say whether some of the span lies between two times."""
        return self.since_ns <= last_ns and (self.until_ns is None or self.until_ns >= first_ns)


class Causes:
    """What befell gateway and devices, from the records so far."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self._away: dict[str, deque[Span]] = {}
        self._off: deque[Span] = deque(maxlen=REMEMBERED)
        self._stepped: deque[Span] = deque(maxlen=REMEMBERED)
        self._last_ns: int | None = None

    def note(self, members: Mapping[str, Any]) -> None:
        """Take the next record of the stream."""
        kind, now = members["kind"], from_rfc3339(members["ingested_at"])
        if kind == STARTED and self._last_ns is not None:
            self._off.append(Span(self._last_ns, now))
        elif kind == "clock.stepped":
            last = now if self._last_ns is None else self._last_ns
            self._stepped.append(Span(min(last, now), max(last, now)))
        elif kind in ("device.lost", "device.back"):
            self._note_device(members["context"].get("device_id", ""), kind, now)
        if kind != "key.rotated":  # the first record of a start, before it says so
            self._last_ns = now

    def _note_device(self, device: str, kind: str, now: int) -> None:
        spans = self._away.setdefault(device, deque(maxlen=REMEMBERED))
        open_span = spans[-1] if spans and spans[-1].until_ns is None else None
        if kind == "device.lost" and open_span is None:
            spans.append(Span(now))
        elif kind == "device.back" and open_span is not None:
            open_span.until_ns = now

    def of(self, members: Mapping[str, Any], occurred_ns: int, ingested_ns: int) -> Cause:
        """Return why a record's event was ingested long after it occurred, or long before."""
        first, last = min(occurred_ns, ingested_ns), max(occurred_ns, ingested_ns)
        spans = (
            (Cause.STEP, self._stepped),
            (Cause.GATEWAY, self._off),
            (Cause.OUTAGE, self._away.get(members["context"]["device_id"], ())),
        )
        for cause, found in spans:
            if any(span.meets(first, last) for span in found):
                return cause
        if any(change["field"] == "backfilled" and change["after"] for change in members["changes"]):
            return Cause.BACKFILL
        return _by_clock(members["clock"], (ingested_ns - occurred_ns) // NS_PER_MS)


def _by_clock(clock: Mapping[str, Any], delay_ms: int) -> Cause:
    """Say whether what is known of the clocks is enough to explain a delay."""
    if abs(delay_ms) <= clock.get("occurred_unc_ms", 0):
        return Cause.UNCERTAIN
    if clock["occurred_from"] not in ("device", "server"):
        return Cause.UNKNOWN
    # What is left of a device's measured offset after it was taken into account is no larger than itself.
    explained = delay_ms < 0 or delay_ms <= 2 * abs(clock.get("device_offset_ms", 0))
    return Cause.DEVICE_CLOCK if explained else Cause.UNKNOWN
