"""Events of a stream about itself: it begins, its key is replaced, or its clock was set."""

from linewitness.base.clock import ClockStep, Stamp, to_rfc3339
from linewitness.evidence.format import keys
from linewitness.evidence.format.gateway_event import CLOCK, gateway_event
from linewitness.evidence.format.note import Vkey
from linewitness.evidence.format.record import Change, Event, Resource
from linewitness.records.builder import StreamIdentity


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


def rotated_event(stamp: Stamp, old: Vkey, new: Vkey, proof: str) -> Event:
    """Return the event with which a new event key takes over from the next record on."""
    return gateway_event(
        "key.rotated",
        stamp.realtime_ns,
        resource=Resource("key", "event_key"),
        changes=keys.rotation_changes(old, new, proof),
        reason="the event key is replaced at every start and when its time is over",
    )
