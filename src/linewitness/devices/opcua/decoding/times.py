"""Conclude when a value came to be from three clocks that need not agree: the PLC's, the server's, ours."""

from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from asyncua import ua

from linewitness.base.clock import NS_PER_MS, Stamp
from linewitness.devices.base import When

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
LATEST: Final = datetime.max.replace(tzinfo=UTC)
#: Offset samples that are kept; the one with the least delay and staleness counts.
SAMPLES: Final = 8
#: How much later than promised a delivery may come before its stamp is no longer believed.
SLACK_MS: Final = 10_000


def unix_ns(moment: datetime) -> int:
    """Return Unix nanoseconds of a time from the library, which means UTC where it names no zone."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - EPOCH) // MICROSECOND * 1000


def moment_of(unix: int) -> datetime:
    """Return the aware datetime of Unix nanoseconds, as the library takes it."""
    try:
        return EPOCH + timedelta(microseconds=unix // 1000)
    except OverflowError:
        return LATEST if unix > 0 else EARLIEST


def verbatim(moment: datetime) -> str:
    """Return a device's stamp as text, to the microsecond that the library keeps of it."""
    return f"{moment.isoformat(timespec='microseconds')[:26]}Z"


def from_verbatim(text: str) -> int:
    """Return the Unix nanoseconds of what `verbatim` wrote."""
    return unix_ns(datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Offset:
    """How far the server's clock is ahead of ours, and how well that is known.

    `setting_ns` is how our clock was set when they were compared, see `Stamp`.
    """

    ahead_ns: int
    unc_ns: int
    setting_ns: int

    def at(self, stamp: Stamp) -> "Offset":
        """Return the offset from our clock as it is set at `stamp`: the server's did not move with ours."""
        stepped_ns = stamp.stepped_since(self.setting_ns)
        if stepped_ns == 0:
            return self
        return Offset(self.ahead_ns - stepped_ns, self.unc_ns, stamp.setting_ns)


class ServerClock:
    """What we know about the server's clock, from reading it now and then.

    Many servers update their time once a second, so that a sample is up to a second too old but never
    too young: the largest of the last samples is the best one.
    """

    def __init__(self) -> None:
        """Begin knowing nothing."""
        self._samples: deque[Offset] = deque(maxlen=SAMPLES)

    def measure(self, *, asked: Stamp, answered: Stamp, server: datetime) -> Offset:
        """Take one reading of the server's time, which lies between the two stamps."""
        trip_ns = answered.boottime_ns - asked.boottime_ns
        middle_ns = answered.realtime_ns - trip_ns // 2
        sample = Offset(unix_ns(server) - middle_ns, trip_ns // 2 + NS_PER_MS, answered.setting_ns)
        self._samples.append(sample)
        return max((each.at(answered) for each in self._samples), key=lambda each: each.ahead_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockWitness:
    """How to judge the stamps of one server: its measured offset and what we tolerate."""

    offset: Offset | None
    tolerance_ms: int
    #: How long a change may wait on the server before it is delivered.
    delivery_ms: int

    def at(self, stamp: Stamp) -> "ClockWitness":
        """Return the same with the offset from our clock as it is set at `stamp`."""
        offset = None if self.offset is None else self.offset.at(stamp)
        return self if offset is self.offset else replace(self, offset=offset)

    @property
    def shift_ns(self) -> int:
        """What to take off the server's stamps: nothing while its clock is within tolerance."""
        if self.offset is None or abs(self.offset.ahead_ns) <= self.tolerance_ms * NS_PER_MS:
            return 0
        return self.offset.ahead_ns

    @property
    def offset_ms(self) -> int | None:
        """The measured offset for the record, in milliseconds."""
        return None if self.offset is None else round(self.offset.ahead_ns / NS_PER_MS)

    @property
    def unc_ms(self) -> int | None:
        """How uncertain a time computed with the offset is, in milliseconds."""
        if self.offset is None:
            return None
        within = 0 if self.shift_ns else abs(self.offset.ahead_ns)
        return (within + self.offset.unc_ns) // NS_PER_MS + 1

    def live(self, value: ua.DataValue, received: Stamp) -> When:
        """Conclude when a change happened that was delivered just now."""
        oldest = received.realtime_ns - (self.delivery_ms + self.tolerance_ms + SLACK_MS) * NS_PER_MS
        return self._conclude(value, received, oldest, self.delivery_ms)

    def initial(self, value: ua.DataValue, received: Stamp, last_contact_ns: int | None) -> When:
        """Conclude since when a value stands that was found on connecting.

        A last contact that lies ahead says that our clock was set back meanwhile: then nobody knows how long
        the value may have stood.
        """
        oldest = received.realtime_ns if last_contact_ns is None else last_contact_ns
        if oldest > received.realtime_ns:
            none_older = received.realtime_ns - self.tolerance_ms * NS_PER_MS
            return self._conclude(value, received, none_older, None)
        waited_ms = (received.realtime_ns - oldest) // NS_PER_MS + self.delivery_ms
        oldest -= self.tolerance_ms * NS_PER_MS
        return self._conclude(value, received, oldest, waited_ms)

    def historic(self, value: ua.DataValue, received: Stamp) -> When:
        """Take the time of a value from the server's history, which is all that is known of it."""
        return self._conclude(value, received, 0, None)

    def _conclude(
        self, value: ua.DataValue, received: Stamp, oldest_ns: int, else_unc_ms: int | None
    ) -> When:
        judge = self.at(received)
        newest_ns = received.realtime_ns + (self.tolerance_ms + 1000) * NS_PER_MS
        source, server = value.SourceTimestamp, value.ServerTimestamp
        own = source or server
        device_time = verbatim(own) if own else None
        for moment, kind in ((source, "device"), (server, "server")):
            if moment is None:
                continue
            concluded = unix_ns(moment) - judge.shift_ns
            if oldest_ns <= concluded <= newest_ns:
                return When(
                    occurred_ns=concluded,
                    occurred_from="device" if kind == "device" else "server",
                    unc_ms=judge.unc_ms,
                    device_time=device_time,
                    device_offset_ms=judge.offset_ms,
                )
        return When(
            occurred_ns=received.realtime_ns,
            occurred_from="gateway",
            unc_ms=else_unc_ms,
            device_time=device_time,
            device_offset_ms=judge.offset_ms,
        )


class LiveTimes:
    """When changes happened that were delivered together: those with the same stamps are judged once."""

    def __init__(self) -> None:
        """Begin with nothing judged."""
        self._judged: tuple[ClockWitness, Stamp, datetime | None, datetime | None, When] | None = None

    def when(self, witness: ClockWitness, value: ua.DataValue, received: Stamp) -> When:
        """Return what `witness.live` concludes."""
        source, server = value.SourceTimestamp, value.ServerTimestamp
        if (judged := self._judged) is not None:
            same = witness is judged[0] and received is judged[1]
            if same and (source, server) == judged[2:4]:
                return judged[4]
        when = witness.live(value, received)
        self._judged = (witness, received, source, server, when)
        return when


def polled(received: Stamp, value: ua.DataValue, *, since: Stamp | None, offset_ms: int | None) -> When:
    """Conclude when a change happened that polling found: since the poll before, if there was one."""
    own = value.SourceTimestamp or value.ServerTimestamp
    between_ns = 0 if since is None else received.boottime_ns - since.boottime_ns
    return When(
        occurred_ns=received.realtime_ns - between_ns // 2,
        occurred_from="poll",
        unc_ms=None if since is None else between_ns // 2 // NS_PER_MS + 1,
        device_time=verbatim(own) if own else None,
        device_offset_ms=offset_ms,
    )
