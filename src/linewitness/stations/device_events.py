"""Events that stand for what a device said as it stands: gaps and notices."""

from linewitness.devices.base import Gap, Notice
from linewitness.evidence.format.gateway_event import GATEWAY
from linewitness.evidence.format.record import Change, Event, Resource
from linewitness.stations.context import StationContext


def gap(context: StationContext, missing: Gap) -> Event:
    """Return the record of a range that a device produced and that is not here."""
    fields = [Change("first", None, missing.first), Change("last", None, missing.last)]
    counted = (("count", missing.count), ("bytes", missing.size))
    fields += [Change(name, None, number) for name, number in counted if number is not None]
    return context.event(
        missing,
        kind="source.gap",
        actor=GATEWAY,
        resource=Resource("source", missing.source),
        reason=missing.reason,
        changes=tuple(fields),
    )


def notice(context: StationContext, said: Notice) -> Event:
    """Return the record of something that becomes one event of its kind."""
    return context.event(
        said,
        kind=said.kind,
        actor=context.actor(said.device, said.operator),
        resource=Resource(said.resource_type, said.resource_id),
        reason=said.reason,
        changes=tuple(Change(*change) for change in said.changes),
    )
