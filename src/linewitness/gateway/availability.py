"""Put on record and log when a device is lost and when it is back, once each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import orjson
import structlog

from linewitness.base.clock import NS_PER_MS, Clock
from linewitness.base.errors import DeviceError
from linewitness.devices.base import Session
from linewitness.devices.polling import PollFigures
from linewitness.evidence.format.gateway_event import gateway_event
from linewitness.evidence.format.record import Change, Resource
from linewitness.journal.journal import Journal

log = structlog.get_logger()


class DeviceStatusSink(Protocol):
    """Where the state of devices is shown."""

    def device(self, name: str, state: str, why: str) -> None:
        """Record the state: up, lost or refused."""

    def observed(self, name: str, count: int) -> None:
        """Count observations that became durable."""

    def unbound(self, name: str, count: int, why: str) -> None:
        """Count results of which it is not known to which unit they belong."""

    def binding_conflict(self, name: str, count: int, why: str) -> None:
        """Count results of which two sources name different units."""

    def refused_at_station(self, name: str, count: int) -> None:
        """Count what a station refused of what the device read or made, and exceptions."""

    def share(self, name: str, *, above: bool, losing: bool, dropped: int) -> None:
        """Record whether the device sends more than its share, and how much is not on record."""

    def polls(self, name: str, figures: PollFigures) -> None:
        """Record how many polls of all sessions were due, how many were not made, and what keeps them."""

    def refused_points(self, name: str, refused: Mapping[str, str]) -> None:
        """Record why the device refuses points, by their ids; none where it refuses none."""

    def untold(self, name: str, why: str) -> None:
        """Record why the device was not told of the unit at its station, nothing where it was."""

    def unmoved(self, name: str, why: str) -> None:
        """Record which gates of the device are not where they should be, and why; nothing where all are."""

    def lost_segments(self, name: str, count: int) -> None:
        """Record how many segments were lost on the way to the device, over all sessions."""

    def at_work(self, name: str, busy: bool) -> None:
        """Record whether observations of the device are being made durable or confirmed."""


@dataclass(frozen=True, slots=True)
class LastSeen:
    """How a device was last seen: `state` is up, lost or refused, since a Unix time in nanoseconds."""

    state: str
    since_ns: int
    why: str

    def dump(self) -> str:
        """Return the durable form, which `linewitness status` reads."""
        return orjson.dumps({"state": self.state, "since_ns": self.since_ns, "why": self.why}).decode()

    @classmethod
    def load(cls, text: str) -> "LastSeen":
        """Return what `dump` wrote."""
        return cls(**orjson.loads(text))


class Availability:
    """The availability of one device: `device.back` and `device.lost`, across restarts."""

    def __init__(
        self, device: str, station_id: str | None, *, journal: Journal, clock: Clock, health: DeviceStatusSink
    ) -> None:
        """Take the device and its station; `recall` reads the last recorded state."""
        self._device = device
        self._station_id = station_id
        self._journal = journal
        self._clock = clock
        self._health = health
        self._seen: LastSeen | None = None
        self._on_record = False

    async def back(self, session: Session) -> None:
        """Record that the device is connected, and how long it was not."""
        now = self._clock.stamp().realtime_ns
        before = self._seen
        self._seen = LastSeen("up", now, "")
        changes = [Change("state", before.state if before else None, "up")]
        away_ms = None
        if before is not None and before.state != "up":
            away_ms = max(0, now - before.since_ns) // NS_PER_MS
            changes.append(Change("away_ms", None, away_ms))
        changes += [Change(f"identity.{name}", None, value) for name, value in session.identity.items()]
        reason = "connected for the first time" if before is None else "the device answers"
        await self._record("device.back", now, changes, reason, session.session_id)
        self._health.device(self._device, "up", "")
        log.info("device connected", device=self._device, away_ms=away_ms)

    async def lost(self, error: DeviceError, state: str) -> None:
        """Record that the device is lost; again only when it begins or ceases to refuse the connection.

        After a start it is recorded again: so a start is followed by a record of each device.
        """
        self._health.device(self._device, state, str(error))
        before = self._seen
        if before is not None and before.state == state and self._on_record:
            return
        now = self._clock.stamp().realtime_ns
        away = before is not None and before.state != "up"
        self._seen = LastSeen(state, before.since_ns if before and away else now, str(error))
        changes = [Change("state", before.state if before else None, state), Change("why", None, error.what)]
        await self._record("device.lost", now, changes, str(error), None)
        log.warning("device lost", device=self._device, state=state, why=error.what, hint=error.hint)

    async def _record(
        self, kind: str, now: int, changes: list[Change], reason: str, session: str | None
    ) -> None:
        self._on_record = True
        context = {"device_id": self._device}
        if self._station_id is not None:
            context["station_id"] = self._station_id
        if session is not None:
            context["session_id"] = session
        event = gateway_event(
            kind,
            now,
            resource=Resource("device", self._device),
            reason=reason,
            changes=tuple(changes),
            context=context,
        )
        state = self._seen.dump() if self._seen else None
        await self._journal.pressure.gate()
        await self._journal.submit([event], state={f"capture/{self._device}": state})

    async def recall(self) -> None:
        """Begin with the last recorded state."""
        stored = await self._journal.read(lambda reader: reader.state_value(f"capture/{self._device}"))
        if stored is not None:
            self._seen = LastSeen.load(stored)
