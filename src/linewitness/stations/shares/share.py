"""Let one device put into the journal what its share allows, and count the rest as one gap."""

from collections.abc import Sequence
from typing import Final

from linewitness.base.clock import NS_PER_S, Stamp, to_rfc3339
from linewitness.devices.base import Gap, Observation, Reading, Readings, Seen, Signals, When
from linewitness.stations.rules import ShareRule
from linewitness.stations.shares.allowance import PREFIX, AboveShare, Allowance
from linewitness.stations.shares.taken import ClosedTime, Taken
from linewitness.stations.station import Station

#: Once a device was above its share, nothing that it pushes is taken for this long.
PERIOD_NS: Final = 10 * NS_PER_S
#: A device is within its share again when it was not above it for this long.
CALM_NS: Final = 60 * NS_PER_S


class DeviceShare:
    """Interpret the observations of one device, within its share.

    What the device or its driver keeps until it is taken (results that wait for a confirmation, what is read
    from a memory) is always taken; the device is read more slowly then. What is pushed and not kept is taken
    while the share lasts. After that it is counted, and of each point the newest reading waits.
    """

    def __init__(self, device: str, rule: ShareRule, station: Station) -> None:
        """Begin with a whole burst."""
        self._device = device
        self._rule = rule
        self._station = station
        self._allowance = Allowance(rule)
        self._period_ns = min(PERIOD_NS, int(rule.burst_s * NS_PER_S))
        self._closed: ClosedTime | None = None
        self._calm_at_ns = 0
        self._barred = False
        self._delayed_since_ns: int | None = None
        self._left_open: str | None = None
        self._since = ""
        #: The device sends, or lately sent, more than its share.
        self.above = False
        #: Something of this time is not on record, or may not be.
        self.losing = False
        #: Observations that are not on record, since the start.
        self.dropped = 0

    @property
    def state_key(self) -> str:
        """Under which key the journal's state says that the device is above its share."""
        return f"{PREFIX}{self._device}"

    def recall(self, stored: str | None) -> None:
        """Begin with what the journal's state says: a gap that a crash left open is closed first."""
        self._left_open = stored

    def due_s(self, now: Stamp) -> float | None:
        """Return after how many seconds `take` is to be called even if nothing comes; None: never."""
        if self._left_open is not None:
            return 0.0
        if self._closed is not None:
            left_ns = self._closed.until_ns - now.boottime_ns
            return max(0.0, left_ns / NS_PER_S, self._allowance.debt_s)
        return max(0.0, (self._calm_at_ns - now.boottime_ns) / NS_PER_S) if self.above else None

    @property
    def holds_back(self) -> bool:
        """Whether readings may wait here of which the station does not know."""
        return self._closed is not None

    @property
    def debt_s(self) -> float:
        """Seconds for which a device that keeps its data is to be left alone."""
        return self._allowance.debt_s

    def take(
        self,
        group: Sequence[Observation],
        now: Stamp,
        session_id: str,
        *,
        scarce: bool = False,
        delayed_since_ns: int | None = None,
    ) -> Taken:
        """Return what a group means, and what became due.

        While room is `scarce`, a device that is above its share gets no more of it before it has calmed down.
        """
        taken, self._delayed_since_ns = Taken(), delayed_since_ns
        self._allowance.refill(now.boottime_ns)
        if self._left_open is not None:
            self._mend(self._left_open, now, session_id, taken)
        waited: list[Reading] = []
        closed = self._closed
        if closed is not None and now.boottime_ns >= closed.until_ns and not self._allowance.spent:
            if scarce and now.boottime_ns < self._calm_at_ns:
                closed.until_ns = min(now.boottime_ns + self._period_ns, self._calm_at_ns)
            else:
                waited = self._reopen(closed, now, session_id, taken)
        if self.above and self._closed is None and now.boottime_ns >= self._calm_at_ns:
            self.above = self.losing = False
            taken.outcome.state[self.state_key] = None
        self._barred = scarce and self.above
        for observation in (*waited, *group):
            self._take_one(observation, now, taken)
        return taken

    def finish(self, now: Stamp, session_id: str) -> Taken:
        """Return what is left to say when the session ends: the gap, and the readings that waited."""
        taken = Taken()
        if self._closed is not None:
            for reading in self._reopen(self._closed, now, session_id, taken):
                self._interpret(reading, taken)
        return taken

    def _take_one(self, observation: Observation, now: Stamp, taken: Taken) -> None:
        if isinstance(observation, Signals):
            taken.count += 1
        elif isinstance(observation, Readings):
            self._take_together(observation, now, taken)
        elif _is_kept(observation):
            if self._allowance.spent:
                taken.slower = True
                self._be_above(now)
            self._interpret(observation, taken)
        elif self._closed is None and (self._has_room or self._says_nothing_new(observation)):
            self._interpret(observation, taken)
        elif not isinstance(observation, Seen):  # a duplicate means nothing that could be missing
            self._refuse(observation, now, self._closed or self._close(observation, now, taken))

    def _take_together(self, readings: Readings, now: Stamp, taken: Taken) -> None:
        """Take the values at once where all of them are within the share, and one by one otherwise."""
        if self._closed is None and not self._barred and self._allowance.covers(readings):
            self._interpret(readings, taken)
            taken.count += len(readings.points) - 1
            return
        for reading in readings.singly():
            self._take_one(reading, now, taken)

    @property
    def _has_room(self) -> bool:
        return not self._allowance.spent and not self._barred

    def _says_nothing_new(self, observation: Observation) -> bool:
        return isinstance(observation, Reading) and self._station.news(observation, None) is None

    def _interpret(self, observation: Observation, taken: Taken) -> None:
        part = self._station.interpret(observation, delayed_since_ns=self._delayed_since_ns)
        self._allowance.spend(part.events, observation.raw)
        taken.outcome.add(part)
        taken.count += 1
        if observation.raw is not None and all(event.raw is None for event in part.events):
            taken.raw.append(observation.raw)

    def _be_above(self, now: Stamp) -> None:
        if not self.above:
            self.above, self._since = True, to_rfc3339(now.realtime_ns)
        self._calm_at_ns = now.boottime_ns + CALM_NS

    def _close(self, observation: Observation, now: Stamp, taken: Taken) -> ClosedTime:
        """Say at once that something may be missing from now on: the unit may have changed unseen.

        Crash after this: the number is lost, the fact is on record.
        """
        first_ns = observation.received.realtime_ns
        self._closed = ClosedTime(now.boottime_ns + self._period_ns, first_ns, first_ns)
        self._be_above(now)
        self.losing = True
        first = to_rfc3339(first_ns)
        gap = self._gap(
            now,
            observation.session_id,
            first=first,
            reason=f"{self._limits}: from here on what it sends is only counted, until the next source.gap",
        )
        self._record(gap, taken)
        self._remember(first, taken)
        return self._closed

    def _refuse(self, observation: Observation, now: Stamp, closed: ClosedTime) -> None:
        """Count an observation that is above the share; of readings only those that say something new."""
        closed.last_ns = observation.received.realtime_ns
        if isinstance(observation, Reading):
            values = self._station.news(observation, closed.values.get(observation.point))
            if values is None:
                return
            closed.values[observation.point] = values
            closed.waiting.pop(observation.point, None)
            closed.waiting[observation.point] = observation
            closed.changes += 1
        else:
            closed.others += 1
            self.dropped += 1
        closed.size += _bytes_of(observation)
        self._be_above(now)

    def _reopen(self, closed: ClosedTime, now: Stamp, session_id: str, taken: Taken) -> list[Reading]:
        """Put the count on record and return the readings that waited, the oldest first."""
        self._closed = None
        waited = list(closed.waiting.values())
        news = [reading for reading in waited if self._station.news(reading, None) is not None]
        lost = closed.changes - len(news)
        self.dropped += lost
        gap = self._gap(
            now,
            session_id,
            first=to_rfc3339(closed.first_ns),
            last=to_rfc3339(closed.last_ns),
            count=lost + closed.others,
            size=closed.size - sum(map(_bytes_of, news)),
            reason=f"{self._limits}: so many observations are not on record; other devices are not affected",
        )
        self._record(gap, taken)
        self._remember(None, taken)
        return waited

    def _mend(self, stored: str, now: Stamp, session_id: str, taken: Taken) -> None:
        """Close the gap that the last run of the gateway left open."""
        self._left_open = None
        taken.outcome.state[self.state_key] = None
        since = AboveShare.load(stored).gap
        if since is not None:
            reason = f"{self._limits} until the gateway ended: how many observations are missing is not known"
            gap = self._gap(now, session_id, first=since, last=to_rfc3339(now.realtime_ns), reason=reason)
            self._record(gap, taken)

    def _remember(self, gap: str | None, taken: Taken) -> None:
        taken.outcome.state[self.state_key] = AboveShare(self._since, gap).dump()

    def _record(self, gap: Gap, taken: Taken) -> None:
        taken.outcome.add(self._station.interpret(gap))

    @property
    def _limits(self) -> str:
        records, size = self._rule.records_per_s, int(self._rule.bytes_per_s)
        return f"the device sends more than its share ({records:g} records/s, {size:,} B/s)"

    def _gap(
        self,
        now: Stamp,
        session_id: str,
        *,
        first: str,
        reason: str,
        last: str | None = None,
        count: int | None = None,
        size: int | None = None,
    ) -> Gap:
        return Gap(
            device=self._device,
            session_id=session_id,
            received=now,
            when=When(occurred_ns=now.realtime_ns, occurred_from="gateway"),
            source=self._device,
            first=first,
            last=last,
            count=count,
            size=size,
            untaken=True,
            reason=reason,
        )


def _is_kept(observation: Observation) -> bool:
    """Return whether the device waits for us to take it, or the driver knows its place in the device."""
    if observation.confirmable or observation.backfilled or isinstance(observation, Gap):
        return True
    return bool(observation.remember) and not isinstance(observation, Reading)


def _bytes_of(observation: Observation) -> int:
    """Return the bytes that the device sent, or of its value where the protocol has no bytes of its own."""
    if observation.raw is not None:
        return len(observation.raw)
    return len(str(observation.value)) if isinstance(observation, Reading) else 0
