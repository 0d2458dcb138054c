"""What the parts of a station share: its settings, its operator, and how its events begin."""

from linewitness.devices.base import Observation, Reading, Readings
from linewitness.evidence.format.record import Actor, Change, Event, Resource
from linewitness.stations.operators import Badges
from linewitness.stations.options import StationOptions
from linewitness.stations.outcome import context_of, event_of


class StationContext:
    """What the parts of a station share. `options` is None for devices that stand at no station."""

    def __init__(self, options: StationOptions | None, badges: Badges) -> None:
        """Take the station's settings; `take_over` replaces them."""
        self.options = options
        self.id = options.id if options else None
        self.badges = badges
        self.take_over(options)

    def take_over(self, options: StationOptions | None) -> None:
        """Go on with other settings of the same station."""
        self.options = options
        if options:
            self.badges.names.update(options.operator.names)

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
        )
