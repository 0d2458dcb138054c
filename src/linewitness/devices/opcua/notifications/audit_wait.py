"""Wait for the audit events that say who made a change: they come in messages of their own."""

import asyncio
from typing import Final

from linewitness.base.clock import NS_PER_MS, NS_PER_S
from linewitness.devices.opcua.backlog import Delivery
from linewitness.devices.opcua.conversation import Conversation
from linewitness.devices.opcua.sources import Source

#: How long the change waits for the audit event that says who made it, in publishing intervals.
AUDIT_INTERVALS: Final = 1.5


async def await_audit(talk: Conversation, source: Source, delivery: Delivery) -> None:
    """Wait until the audit events of this delivery's changes must have come, and take them over."""
    age_ns = talk.clock.stamp().boottime_ns - delivery.received.boottime_ns
    patience_ns = int(AUDIT_INTERVALS * talk.options.publishing_ms * NS_PER_MS)
    if delivery.changes and age_ns < patience_ns:
        await asyncio.sleep((patience_ns - age_ns) / NS_PER_S)
    for later in source.waiting():
        if isinstance(later, Delivery):
            talk.interpreter.listen_ahead(later)
