"""Events of the journal about itself: a stream begins, or its clock was set."""

import getpass

from linewitness.base.clock import ClockStep, Stamp, to_rfc3339
from linewitness.evidence.format import keys
from linewitness.evidence.format.gateway_event import CLOCK, gateway_event
from linewitness.evidence.format.record import Actor, Change, Event, Resource
from linewitness.journal.records.builder import StreamIdentity
from linewitness.journal.submission import Continuation


def step_event(step: ClockStep) -> Event:
    """Return the event that puts a jump of the clock on record, before the next record is written."""
    return gateway_event(
        "clock.stepped",
        step.found_ns,
        actor=CLOCK,
        resource=Resource("clock", "realtime"),
        changes=(
            Change("time", to_rfc3339(step.expected_ns), to_rfc3339(step.found_ns)),
            Change("step_ms", None, str((step.found_ns - step.expected_ns) // 1_000_000)),
            Change("boottime_us", None, step.boottime_ns // 1000),
        ),
        reason="the system clock was set",
    )


def created_event(
    identity: StreamIdentity, stamp: Stamp, stream_keys: keys.StreamKeys, heads: tuple[Change, ...]
) -> Event:
    """Return the event of record 0; `heads` name the stream that this one continues."""
    return gateway_event(
        "stream.created",
        stamp.realtime_ns,
        resource=Resource("stream", identity.stream),
        changes=(*keys.creation_changes(stream_keys), *heads),
        reason="a new stream was started by an explicit act",
    )


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
