"""What the parts of a station share: its settings, its operator, and how its events begin."""

from dataclasses import replace

from linewitness.base.clock import Stamp
from linewitness.devices.base import Observation, Reading, Readings
from linewitness.evidence.format.gateway_event import GATEWAY, gateway_event
from linewitness.evidence.format.record import Actor, Change, Event, Resource
from linewitness.stations.options import StationOptions
from linewitness.stations.outcome import context_of, event_of
from linewitness.stations.shared_state import SharedState


class StationContext:
    """What the parts of a station share. `options` is None for devices that stand at no station."""

    def __init__(self, options: StationOptions | None, shared: SharedState) -> None:
        """Take the station's settings; `take_over` replaces them."""
        self.options = options
        self.id = options.id if options else None
        self.shared = shared
        self.badges = shared.badges
        self.take_over(options)

    def take_over(self, options: StationOptions | None) -> None:
        """Go on with other settings of the same station."""
        self.options = options
        if options is not None and options.is_tracking:
            self.badges.watching.add(options.id)
        elif self.id is not None:
            self.badges.watching.discard(self.id)
        if options:
            self.shared.stations[options.id] = options
            self.badges.names.update(options.operator.names)

    def leave(self) -> None:
        """Be no station of the line any more."""
        self.badges.watching.discard(str(self.id))
        self.shared.stations.pop(str(self.id), None)

    def key(self, name: str) -> str:
        """Return under which key of the journal's state a part of the station is kept."""
        return f"station/{self.id}/{name}"

    def actor(self, device: str, operator: str | None = None, named_by: str = "device") -> Actor:
        """Return the actor: whom the device names, who is signed on here, or the device itself.

        `named_by` is how the device knows: a `tag`, or its own account of what was done (`device`).
        """
        if operator:
            return self.badges.person(operator, named_by)
        return self.badges.actor(self.id, device)

    def actor_of(self, device: str, operator: str | None) -> Actor:
        """Return the operator who is known to have made something, or the device itself."""
        if operator is None:
            return Actor("device", device)
        return self.badges.person(operator, self.badges.method(self.id))

    def actor_of_reading(self, reading: Reading | Readings, *, first: bool) -> Actor:
        """Return the actor of a value: nobody but the device where it is not known when it changed."""
        if first or reading.initial or reading.backfilled:
            return Actor("device", reading.device)
        if isinstance(reading, Readings):
            return self.actor(reading.device)
        return self.actor(reading.device, reading.operator, reading.operator_by)

    def exception(self, cause: Observation | Stamp, code: str, reason: str, resource: Resource) -> Event:
        """Return the record of something that must not be and that nobody prevented."""
        return self.event_by(
            cause,
            kind="exception.raised",
            resource=resource,
            reason=reason,
            changes=(Change("code", None, code),),
        )

    def unit_resource(self, serial: str) -> Resource:
        """Return this station as a resource with a unit as the parent."""
        return Resource("station", str(self.id), ("unit", serial))

    @property
    def tracks(self) -> bool:
        """Whether records of this station name each other and the line remembers its units."""
        return self.options is not None and self.options.is_tracking

    def mint(self, stamp: Stamp) -> str | None:
        """Return the id of an event that others name, None where nobody makes ids."""
        return self.shared.mint(stamp.realtime_ns) if self.shared.mint is not None else None

    def event_by(
        self,
        cause: Observation | Stamp,
        *,
        kind: str,
        resource: Resource,
        reason: str,
        actor: Actor | None = None,
        changes: tuple[Change, ...] = (),
    ) -> Event:
        """Return an event that an observation or the passing of time caused, with an id; ours by default.

        It has none of the device's bytes: those belong to the record of what the device said.
        """
        actor = actor or GATEWAY
        if isinstance(cause, Stamp):
            event = gateway_event(
                kind,
                cause.realtime_ns,
                resource=resource,
                reason=reason,
                changes=changes,
                actor=actor,
                context={"station_id": str(self.id)},
            )
            return replace(event, event_id=self.mint(cause))
        return event_of(
            cause,
            kind=kind,
            actor=actor,
            resource=resource,
            reason=reason,
            context=context_of(cause, self.id),
            changes=changes,
            event_id=self.mint(cause.received),
            raw=None,
        )

    def event(
        self,
        observation: Observation,
        *,
        kind: str,
        resource: Resource,
        reason: str,
        actor: Actor | None = None,
        changes: tuple[Change, ...] = (),
    ) -> Event:
        """Return an event at this station; by default the device or the operator signed on is the actor."""
        return event_of(
            observation,
            kind=kind,
            actor=actor or self.actor(observation.device),
            resource=resource,
            reason=reason,
            context=context_of(observation, self.id),
            changes=changes,
            raw=observation.raw,
        )
