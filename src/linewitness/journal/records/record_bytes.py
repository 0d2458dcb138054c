"""Assemble the canonical bytes of a record from prepared pieces, as the format's own encoder writes them.

What is the same in many records (who, what, units, limits, reasons) is encoded once. A property test holds
the result against `evidence.format.canonical`.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from linewitness.base.clock import ClockState, Stamp, to_rfc3339
from linewitness.evidence.format.canonical import MAX_INTEGER
from linewitness.evidence.format.kinds import KINDS
from linewitness.evidence.format.record import Actor, Change, Draft, Event, Resource, Scalar, draft_of

#: Pieces of each sort that are kept, and how long a text among them may be.
_KEPT: Final = 1024
_SHORT: Final = 200
_SORTED: Final = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_NULL: Final = b"null"
_BOOLS: Final = {True: b"true", False: b"false"}


class NotAssembled(ValueError):
    """The event holds something for which the general encoder has rules of its own."""


class RecordFacts(NamedTuple):
    """All that a record says, but for its place in the chain before it."""

    event: Event
    event_id: str
    context: Mapping[str, str]
    sequence_no: int
    stamp: Stamp
    clock: ClockState
    steps: int
    reason: str


class RecordBytes:
    """Assemble records of one stream."""

    def __init__(self, *, stream: str, tenant: str, boot_id: str) -> None:
        """Take what all records of the stream and of this boot have in common."""
        self._stream = stream
        self._tenant = _text(tenant)
        self._boot_id = _text(boot_id)

    def draft(self, facts: RecordFacts, *, prev_hash: str, key_id: str) -> Draft:
        """Return the record but for its signature; NotAssembled where a text is not Unicode."""
        try:
            head, tail = self._head(facts), self._tail(facts)
        except (TypeError, UnicodeEncodeError) as error:
            raise NotAssembled(str(error)) from None
        return draft_of(head, tail, stream=self._stream, key_id=key_id, prev_hash=prev_hash)

    def _head(self, facts: RecordFacts) -> bytes:
        event = facts.event
        return (
            b'{"action":"%b","actor":%b,"changes":[%b],"clock":%b,"context":%b,"event_id":%b,"ingested_at":"%b"'
        ) % (
            (event.action or KINDS[event.kind]).encode(),
            _actor(event.actor),
            b",".join(map(_change, event.changes)),
            self._clock(facts),
            orjson.dumps(facts.context, option=_SORTED),
            orjson.dumps(facts.event_id),
            to_rfc3339(facts.stamp.realtime_ns).encode(),
        )

    def _tail(self, facts: RecordFacts) -> bytes:
        event = facts.event
        return (
            b'"kind":"%b","occurred_at":"%b","reason":%b,"resource":%b,"sequence_no":%d,"tenant_id":%b}'
        ) % (
            event.kind.encode(),
            to_rfc3339(event.occurred_ns).encode(),
            _text(facts.reason) if len(facts.reason) <= _SHORT else orjson.dumps(facts.reason),
            orjson.dumps(members_of_resource(event.resource), option=_SORTED),
            facts.sequence_no,
            self._tenant,
        )

    def _clock(self, facts: RecordFacts) -> bytes:
        event, state = facts.event, facts.clock
        parts = [b'{"boot_id":%b,"boottime_us":%d' % (self._boot_id, facts.stamp.boottime_ns // 1000)]
        if state.bound_us is not None:
            parts.append(b',"bound_us":%d' % state.bound_us)
        if event.device_offset_ms is not None:
            parts.append(b',"device_offset_ms":%d' % event.device_offset_ms)
        if event.device_time is not None:
            parts.append(b',"device_time":%b' % orjson.dumps(event.device_time))
        parts.append(b',"occurred_from":"%b"' % event.occurred_from.encode())
        # The store would refuse a record with less than none, and everything after it.
        if event.occurred_unc_ms is not None and event.occurred_unc_ms >= 0:
            parts.append(b',"occurred_unc_ms":%d' % event.occurred_unc_ms)
        parts.append(b',"step":%d,"sync":"%b"}' % (facts.steps, state.sync.encode()))
        return b"".join(parts)


@lru_cache(_KEPT)
def _text(text: str) -> bytes:
    return orjson.dumps(text)


@lru_cache(_KEPT)
def _actor(actor: Actor) -> bytes:
    return orjson.dumps(members_of_actor(actor), option=_SORTED)


def _change(change: Change) -> bytes:
    field, before, after, unit, low, high, status = change
    return b'{"after":%b,"before":%b%b' % (
        _value(after),
        _value(before),
        _frame(field, high, low, status, unit),
    )


@lru_cache(_KEPT)
def _frame(field: str, high: str | None, low: str | None, status: str | None, unit: str | None) -> bytes:
    """Return a change but for its values, from the field on."""
    named = {"field": field, "high": high, "low": low, "status": status, "unit": unit}
    members = {name: text for name, text in named.items() if text is not None}
    return b"," + orjson.dumps(members, option=_SORTED)[1:]


def _value(value: Scalar) -> bytes:
    if value is None:
        return _NULL
    kind = type(value)
    if kind is str:
        return orjson.dumps(value)
    if kind is bool:
        return _BOOLS[value]  # type: ignore[index]  # a bool, as said
    return orjson.dumps(scalar_of(value))


def members_of_actor(actor: Actor) -> dict[str, str]:
    """Return the members of a record's `actor`."""
    members: dict[str, str] = {"id": actor.id, "type": actor.type}
    for name in ("display_name", "auth_method", "source_ip"):
        if (value := getattr(actor, name)) is not None:
            members[name] = value
    return members


def members_of_resource(resource: Resource) -> dict[str, Any]:
    """Return the members of a record's `resource`."""
    members: dict[str, Any] = {"id": resource.id, "type": resource.type}
    if resource.parent is not None:
        members["parent"] = {"id": resource.parent[1], "type": resource.parent[0]}
    return members


def scalar_of(value: Scalar) -> Scalar:
    """Keep what the format has no form for as its text: integers beyond 2^53, and whatever is no scalar."""
    kind = type(value)
    if value is None or kind is str or kind is bool:
        return value
    if kind is int and abs(value) <= MAX_INTEGER:  # type: ignore[arg-type]  # an int, as said
        return value
    return str(value)
