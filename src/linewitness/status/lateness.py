"""Find why an event was recorded long after it happened, from what the journal holds of that time."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from linewitness.base.clock import NS_PER_MS, from_rfc3339

#: So many absences are remembered for each device; a back-fill seldom reaches further.
REMEMBERED: Final = 100


class Cause(StrEnum):
    """Why an event is late, the first that applies."""

    STEP = "the clock was set in between"
    GATEWAY = "the gateway did not run"
    OUTAGE = "the device was away"
    BACKFILL = "the device handed it over later"
    UNCERTAIN = "its time is not known better"
    DEVICE_CLOCK = "the device's clock"
    UNKNOWN = "not explained"


@dataclass(frozen=True, slots=True)
class StepSpan:
    """The times, by the clock before and after, between which it jumped."""

    first_ns: int
    last_ns: int


class Causes:
    """What befell gateway and devices, from the records so far."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self._steps: deque[StepSpan] = deque(maxlen=REMEMBERED)
        self._started: deque[int] = deque(maxlen=REMEMBERED)
        self._away: set[str] = set()
        self._back: dict[str, deque[int]] = {}
        self._last_ns: int | None = None

    def note(self, members: Mapping[str, Any]) -> None:
        """Take the next record of the stream."""
        kind, now = members["kind"], from_rfc3339(members["ingested_at"])
        device = members["context"].get("device_id", "")
        if kind == "gateway.started":
            self._started.append(now)
        elif kind == "clock.stepped":
            last = now if self._last_ns is None else self._last_ns
            self._steps.append(StepSpan(min(last, now), max(last, now)))
        elif kind == "device.lost":
            self._away.add(device)
        elif kind == "device.back" and device in self._away:
            self._away.discard(device)
            self._back.setdefault(device, deque(maxlen=REMEMBERED)).append(now)
        self._last_ns = now

    def of(self, members: Mapping[str, Any], occurred_ns: int, ingested_ns: int) -> Cause:
        """Return why a record's event was ingested long after it occurred, or before."""
        first, last = min(occurred_ns, ingested_ns), max(occurred_ns, ingested_ns)
        if any(step.first_ns <= last and step.last_ns >= first for step in self._steps):
            return Cause.STEP
        if occurred_ns < ingested_ns and (absent := self._absence(members, occurred_ns)) is not None:
            return absent
        if any(change["field"] == "backfilled" and change["after"] for change in members["changes"]):
            return Cause.BACKFILL
        return _by_clock(members["clock"], (ingested_ns - occurred_ns) // NS_PER_MS)

    def _absence(self, members: Mapping[str, Any], occurred_ns: int) -> Cause | None:
        """Return who was away at some time since an event: whose return came after it, or is yet to come."""
        device = members["context"]["device_id"]
        if any(started >= occurred_ns for started in self._started):
            return Cause.GATEWAY
        if device in self._away or any(back >= occurred_ns for back in self._back.get(device, ())):
            return Cause.OUTAGE
        return None


def _by_clock(clock: Mapping[str, Any], delay_ms: int) -> Cause:
    """Return whether what is known of the clocks is enough to explain a delay."""
    if abs(delay_ms) <= clock.get("occurred_unc_ms", 0):
        return Cause.UNCERTAIN
    if clock["occurred_from"] not in ("device", "server"):
        return Cause.UNKNOWN
    # What is left of a device's measured offset after it was taken into account is no larger than itself.
    explained = delay_ms < 0 or delay_ms <= 2 * abs(clock.get("device_offset_ms", 0))
    return Cause.DEVICE_CLOCK if explained else Cause.UNKNOWN
