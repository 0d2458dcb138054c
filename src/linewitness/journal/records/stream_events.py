"""The event with which a journal says how a new generation begins."""

import getpass

from linewitness.base.clock import Stamp
from linewitness.evidence.format.gateway_event import gateway_event
from linewitness.evidence.format.record import Actor, Event, Resource
from linewitness.journal.submission import Continuation
from linewitness.records.builder import StreamIdentity


def continued_event(identity: StreamIdentity, stamp: Stamp, continues: Continuation) -> Event:
    """Return the event that says how a new generation begins."""
    return gateway_event(
        "stream.continuity",
        stamp.realtime_ns,
        actor=Actor("user", getpass.getuser()),
        resource=Resource("stream", identity.stream),
        changes=continues.changes,
        reason=continues.reason,
    )
