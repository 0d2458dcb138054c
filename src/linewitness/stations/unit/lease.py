"""How long a station knows what it holds: as long as whoever named it can be heard, and not longer."""

from dataclasses import dataclass

from linewitness.base.clock import NS_PER_MS, NS_PER_S, Stamp, to_rfc3339
from linewitness.devices.base import Observation, Result
from linewitness.evidence.format.record import Change


@dataclass(frozen=True, slots=True)
class Lapse:
    """Why a station does not know what it holds, and since when (Unix, nanoseconds; None where unknown)."""

    because: str
    since_ns: int | None

    def changes(self) -> tuple[Change, ...]:
        """Return what a record says about it."""
        since = to_rfc3339(self.since_ns) if self.since_ns is not None else None
        return (
            Change("binding", None, "unknown"),
            Change("unknown_because", None, self.because),
            Change("unknown_since", None, since),
        )


@dataclass(frozen=True, slots=True)
class Lease:
    """Which device named what the station holds, when it began to count, and when it was last confirmed."""

    namer: str
    since: Stamp
    confirmed: Stamp

    @classmethod
    def of(cls, naming: Observation) -> "Lease":
        """Begin with the observation that names something."""
        return cls(naming.device, naming.received, naming.received)

    def renewed(self, naming: Observation) -> "Lease":
        """Return the lease after the same was named again."""
        return Lease(naming.device, self.since, naming.received)

    def overdue(self, now: Stamp, valid_s: float | None) -> Lapse | None:
        """Return the lapse of a lease that was not confirmed for `valid_s` seconds, None before that."""
        if valid_s is None:
            return None
        valid_ns = int(valid_s * NS_PER_S)
        if now.boottime_ns - self.confirmed.boottime_ns <= valid_ns:
            return None
        because = f"{self.namer} has not read it again for {valid_s:g} s"
        return Lapse(because, self.confirmed.realtime_ns + valid_ns)

    def covers(self, result: Result, delayed_since_ns: int | None) -> bool:
        """Return whether a result was certainly made after the lease began.

        `delayed_since_ns` (boot time) is since when the result may have waited in the device or in our
        socket; None where it arrived at once, so that the order of arrival is the order of events.
        """
        if result.received.boottime_ns < self.since.boottime_ns:
            return False  # it arrived before, and its driver had to look into it first
        if delayed_since_ns is not None and delayed_since_ns < self.since.boottime_ns:
            return False
        when = result.when
        if when.unc_ms is None:
            # Found by the first poll after an interruption: it may be of any age.
            return when.occurred_from != "poll"
        doubt_ns = when.unc_ms * NS_PER_MS
        # What was found by polling, or was delivered to us, was made since the last poll or delivery. A
        # device's own clock has seconds only: it may say that a result is older than the lease, and not that
        # it is younger.
        own = when.occurred_from in ("device", "server")
        return when.occurred_ns + (doubt_ns if own else -doubt_ns) >= self.since.realtime_ns
