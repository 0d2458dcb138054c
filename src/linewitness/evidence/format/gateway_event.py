"""Build an event of the gateway about itself, the store or a device: its time is the gateway's own."""

from collections.abc import Mapping
from typing import Final

from linewitness.evidence.format.record import Actor, Change, Event, Resource

#: Who acts where no person, service or device does.
GATEWAY: Final = Actor("system", "linewitness")
#: Who acts where the machine's clock or its time sources do.
CLOCK: Final = Actor("system", "clock")


def gateway_event(
    kind: str,
    occurred_ns: int,
    *,
    resource: Resource,
    reason: str,
    changes: tuple[Change, ...] = (),
    actor: Actor = GATEWAY,
    context: Mapping[str, str] | None = None,
) -> Event:
    """Return an event that occurred at `occurred_ns` (Unix, nanoseconds) by the gateway's clock."""
    return Event(
        kind=kind,
        occurred_ns=occurred_ns,
        occurred_from="gateway",
        actor=actor,
        resource=resource,
        reason=reason,
        changes=changes,
        context=context or {},
    )
