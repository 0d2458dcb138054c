"""What a station makes of one observation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from linewitness.devices.base import Observation
from linewitness.evidence.format.record import Actor, Change, Event, Resource
from linewitness.evidence.format.value_changes import ValueChanges
from linewitness.stations.gate.orders import Order


class Ask(NamedTuple):
    """A measurement that a device is asked for, of which unit."""

    device: str
    unit: str


@dataclass(slots=True)
class StationOutcome:
    """Events in order, the state that must become durable with them, and what devices should do then.

    `unbound` says why it is not known to which unit a result belongs, `conflicts` which sources contradict
    each other; once for each such result. `refusals` say what was refused, for people. `arrived` says that a
    unit was read, so that its devices may have to be told of it.
    """

    events: list[Event | ValueChanges] = field(default_factory=list)
    state: dict[str, str | None] = field(default_factory=dict)
    order: Order | None = None
    asks: list[Ask] = field(default_factory=list)
    unbound: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    arrived: bool = False

    def add(self, later: "StationOutcome") -> None:
        """Let another outcome follow this one."""
        self.events += later.events
        self.state |= later.state
        self.order = later.order or self.order
        self.asks += later.asks
        self.unbound += later.unbound
        self.conflicts += later.conflicts
        self.refusals += later.refusals
        self.arrived |= later.arrived


def context_of(observation: Observation, station: str | None) -> dict[str, str]:
    """Return the place of an observation: device, session and station."""
    context = {"device_id": observation.device, "session_id": observation.session_id}
    if station is not None:
        context["station_id"] = station
    return context


def event_of(
    observation: Observation,
    *,
    kind: str,
    actor: Actor,
    resource: Resource,
    reason: str,
    context: Mapping[str, str],
    raw: bytes | None,
    changes: tuple[Change, ...] = (),
    event_id: str | None = None,
) -> Event:
    """Return an event with the time of the observation; `raw` are the device's own bytes."""
    when = observation.when
    if observation.backfilled:
        changes = (*changes, Change("backfilled", None, after=True))
    return Event(
        kind=kind,
        occurred_ns=when.occurred_ns,
        occurred_from=when.occurred_from,
        occurred_unc_ms=when.unc_ms,
        device_time=when.device_time,
        device_offset_ms=when.device_offset_ms,
        clock_setting_ns=observation.received.setting_ns,
        actor=actor,
        resource=resource,
        reason=reason,
        context=context,
        changes=changes,
        event_id=event_id,
        raw=raw,
    )
