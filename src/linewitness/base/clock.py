"""The only place that reads a clock: stamps, what is known about them, and waiting."""

import asyncio
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal, Protocol

Sync = Literal["locked", "holdover", "unsynced"]

#: A change of CLOCK_REALTIME against CLOCK_BOOTTIME by more than this between two stamps is a step.
STEP_THRESHOLD_NS: Final = 50_000_000
#: Linux slews both clocks alike, so that slewing shows in neither; this much is allowed all the same.
DRIFT_PER_NS: Final = 0.001
#: Two reads of CLOCK_REALTIME further apart than this were interrupted: read again.
READ_GAP_NS: Final = 1_000_000
READ_ATTEMPTS: Final = 5

NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Stamp:
    """One reading of both clocks, in nanoseconds: CLOCK_REALTIME (Unix, UTC) and CLOCK_BOOTTIME."""

    realtime_ns: int
    boottime_ns: int

    @property
    def setting_ns(self) -> int:
        """How CLOCK_REALTIME is set against CLOCK_BOOTTIME: a step changes it, time does not."""
        return self.realtime_ns - self.boottime_ns

    def stepped_since(self, setting_ns: int) -> int:
        """Return by how much the clock was set since it had this setting; 0 where that is no step."""
        moved_ns = self.setting_ns - setting_ns
        return moved_ns if abs(moved_ns) > STEP_THRESHOLD_NS else 0


@dataclass(frozen=True, slots=True)
class ClockState:
    """What is known about CLOCK_REALTIME: `bound_us` is None where nothing was measured."""

    sync: Sync = "unsynced"
    bound_us: int | None = None

    def moved(self, by_ns: int, *, allowed_ns: float = STEP_THRESHOLD_NS) -> "ClockState":
        """Return the state for a stamp between which and the judgement the clock was moved.

        The bound grows by that; a movement above `allowed_ns` is a step, after which the clock is unsynced.
        """
        if not by_ns:
            return self
        sync = "unsynced" if abs(by_ns) > allowed_ns else self.sync
        return ClockState(sync, None if self.bound_us is None else self.bound_us + -(-abs(by_ns) // 1000))


@dataclass(frozen=True, slots=True)
class ClockStep:
    """A jump of CLOCK_REALTIME: what it would have read without the jump, and what it read."""

    expected_ns: int
    found_ns: int
    boottime_ns: int


class Clock(Protocol):
    """A source of stamps; the system's own, or a test's."""

    @property
    def boot_id(self) -> str:
        """Identity of this boot of the machine."""

    def stamp(self) -> Stamp:
        """Read both clocks now."""


class SystemClock:
    """The machine's clocks."""

    def __init__(self) -> None:
        """Read the kernel's boot id once; it cannot change while the process lives."""
        self._boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()

    @property
    def boot_id(self) -> str:
        """The kernel's boot id, a UUID."""
        return self._boot_id

    def stamp(self) -> Stamp:
        """Read CLOCK_BOOTTIME between two reads of CLOCK_REALTIME, again if we were interrupted."""
        for _ in range(READ_ATTEMPTS):
            before = time.clock_gettime_ns(time.CLOCK_REALTIME)
            boottime = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            after = time.clock_gettime_ns(time.CLOCK_REALTIME)
            if 0 <= after - before < READ_GAP_NS:
                break
        return Stamp(after, boottime)


class StepDetector:
    """Find jumps of CLOCK_REALTIME by comparing it with CLOCK_BOOTTIME from stamp to stamp.

    One detector sees stamps in the order in which they were taken.
    """

    def __init__(self, last: Stamp | None = None, *, count: int = 0) -> None:
        """Start with no stamp seen, which cannot be a step, or after the last one of another detector."""
        self.count = count
        self._last = last

    def observe(self, stamp: Stamp) -> ClockStep | None:
        """Return the step between the last stamp and this one, or None."""
        last, self._last = self._last, stamp
        if last is None:
            return None
        elapsed = stamp.boottime_ns - last.boottime_ns
        expected = last.realtime_ns + elapsed
        if abs(stamp.realtime_ns - expected) <= STEP_THRESHOLD_NS + DRIFT_PER_NS * max(elapsed, 0):
            return None
        self.count += 1
        return ClockStep(expected, stamp.realtime_ns, stamp.boottime_ns)


class SharedClockState:
    """The newest `ClockState`: written by the clock watch, read by the journal's writer thread."""

    def __init__(self) -> None:
        """Begin as unsynced: nothing has been measured."""
        self._lock = threading.Lock()
        self._state = ClockState()
        self._judged: Stamp | None = None

    def get(self) -> ClockState:
        """Return the newest state."""
        with self._lock:
            return self._state

    def at(self, stamp: Stamp) -> ClockState:
        """Return what is known of the clock at `stamp`, which may be later than the last judgement.

        What the clock was moved by since then is added to the bound; after a step the clock counts as
        unsynced, until it is judged anew.
        """
        with self._lock:
            state, judged = self._state, self._judged
        if judged is None or state.bound_us is None:
            return state
        elapsed_ns = stamp.boottime_ns - judged.boottime_ns
        allowed_ns = STEP_THRESHOLD_NS + DRIFT_PER_NS * abs(elapsed_ns)
        return state.moved(stamp.setting_ns - judged.setting_ns, allowed_ns=allowed_ns)

    def set(self, state: ClockState, judged: Stamp | None = None) -> None:
        """Replace the state; `judged` is the stamp for which it was found."""
        with self._lock:
            self._state, self._judged = state, judged


def to_rfc3339(realtime_ns: int) -> str:
    """Return Unix nanoseconds as `YYYY-MM-DDTHH:MM:SS.mmmZ`, truncated to milliseconds (FORMAT 2)."""
    seconds, rest = divmod(realtime_ns, NS_PER_S)
    return f"{_whole_second(seconds)}.{rest // NS_PER_MS:03d}Z"


@lru_cache(maxsize=256)
def _whole_second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def from_rfc3339(text: str) -> int:
    """Return the Unix nanoseconds of a time written by `to_rfc3339`; ValueError for any other form."""
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    whole = moment.replace(microsecond=0)
    return int(whole.timestamp()) * NS_PER_S + moment.microsecond * 1000


def from_datetime(moment: datetime) -> int:
    """Return the Unix nanoseconds of an aware datetime, or of a naive one that means UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    whole = aware.replace(microsecond=0)
    return int(whole.timestamp()) * NS_PER_S + aware.microsecond * 1000


def monotonic() -> float:
    """Return seconds of the running event loop's clock, which a test may drive."""
    return asyncio.get_running_loop().time()


def elapsed_s() -> float:
    """Return seconds of the system's monotonic clock, for any thread."""
    return time.monotonic()  # noqa: TID251 (this is the clock)


def thread_busy_s() -> float:
    """Return seconds of processor time that this thread has used."""
    return time.thread_time()


def next_tick(scheduled: float, now: float, period: float) -> tuple[float, int]:
    """Return the next tick of a grid and how many were missed: it skips, it never bunches.

    `scheduled` is the tick that was just served; all in seconds. The grid keeps its phase.
    """
    if now < scheduled + period:
        return scheduled + period, 0
    missed = int((now - scheduled) // period)
    return scheduled + (missed + 1) * period, missed
