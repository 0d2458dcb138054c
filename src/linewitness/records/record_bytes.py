"""Assemble the canonical bytes of a record from prepared pieces, as the format's own encoder writes them.

What is the same in many records (who, what, units, limits, reasons) is encoded once. A property test holds
the result against `evidence.format.canonical`.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from linewitness.base.clock import ClockState, Stamp, to_rfc3339
from linewitness.evidence.format.canonical import MAX_INTEGER
from linewitness.evidence.format.kinds import KINDS
from linewitness.evidence.format.record import (
    Actor,
    Change,
    Draft,
    Event,
    Resource,
    Scalar,
    draft_of,
    rest_of_integrity,
)
from linewitness.evidence.format.value_changes import Occurrence

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
        #: The member `tenant_id`.
        self.tenant = b'"tenant_id":%b' % _text(tenant)
        self._boot_id = _text(boot_id)
        self._ends: tuple[Stamp | None, ClockState | None, int, tuple[bytes, bytes]] = (
            None,
            None,
            0,
            (b"", b""),
        )
        self._ingested: tuple[Stamp | None, bytes] = (None, b"")

    def draft(self, facts: RecordFacts, *, prev_hash: str, key_id: str) -> Draft:
        """Return the record but for its signature; NotAssembled where a text is not Unicode."""
        try:
            head, tail = self._head(facts), self._tail(facts)
        except (TypeError, UnicodeEncodeError) as error:
            raise NotAssembled(str(error)) from None
        return draft_of(head, tail, stream=self._stream, key_id=key_id, prev_hash=prev_hash)

    def _head(self, facts: RecordFacts) -> bytes:
        event = facts.event
        return b"".join(
            (
                self.begin(event),
                _changes(event.changes),
                b'],"clock":',
                self.clock(event, facts),
                b',"context":',
                orjson.dumps(facts.context, option=_SORTED),
                b',"event_id":',
                orjson.dumps(facts.event_id),
                b",",
                self.ingested(facts.stamp),
            )
        )

    def _tail(self, facts: RecordFacts) -> bytes:
        event = facts.event
        return b'%b%b,"sequence_no":%d,%b}' % (
            self._kind(event.kind, event.occurred_ns, facts.reason),
            _resource(event.resource),
            facts.sequence_no,
            self.tenant,
        )

    def begin(self, event: Event) -> bytes:
        """Return the record up to its first change."""
        return b'{"action":"%b","actor":%b,"changes":[' % (
            (event.action or KINDS[event.kind]).encode(),
            _actor(event.actor),
        )

    def context(self, facts: RecordFacts) -> bytes:
        """Return the value of `context`."""
        return orjson.dumps(facts.context, option=_SORTED)

    def ingested(self, stamp: Stamp) -> bytes:
        """Return the member `ingested_at`."""
        if stamp is not self._ingested[0]:
            self._ingested = (stamp, b'"ingested_at":"%b"' % to_rfc3339(stamp.realtime_ns).encode())
        return self._ingested[1]

    def kind(self, kind: str, occurred_ns: int, reason: str) -> bytes:
        """Return the record from the end of `integrity`, with that, up to the resource."""
        return b"%b,%b" % (rest_of_integrity(self._stream), self._kind(kind, occurred_ns, reason))

    def _kind(self, kind: str, occurred_ns: int, reason: str) -> bytes:
        return b'"kind":"%b","occurred_at":"%b","reason":%b,"resource":' % (
            kind.encode(),
            to_rfc3339(occurred_ns).encode(),
            _text(reason) if len(reason) <= _SHORT else orjson.dumps(reason),
        )

    def clock(self, told: Event | Occurrence, facts: RecordFacts) -> bytes:
        """Return the value of `clock`, for what an event or a value says of its time."""
        before, after = self._clock_ends(facts)
        parts = [before]
        if told.device_offset_ms is not None:
            parts.append(b',"device_offset_ms":%d' % told.device_offset_ms)
        if told.device_time is not None:
            parts.append(b',"device_time":%b' % orjson.dumps(told.device_time))
        parts.append(b',"occurred_from":"%b"' % told.occurred_from.encode())
        # The store would refuse a record with less than none, and everything after it.
        if told.occurred_unc_ms is not None and told.occurred_unc_ms >= 0:
            parts.append(b',"occurred_unc_ms":%d' % told.occurred_unc_ms)
        parts.append(after)
        return b"".join(parts)

    def _clock_ends(self, facts: RecordFacts) -> tuple[bytes, bytes]:
        """Return what the clock's value begins and ends with, which the records of one commit share."""
        stamp, state, steps, ends = self._ends
        if facts.stamp is stamp and facts.clock is state and facts.steps == steps:
            return ends
        begin = b'{"boot_id":%b,"boottime_us":%d' % (self._boot_id, facts.stamp.boottime_ns // 1000)
        bound = facts.clock.bound_us
        ends = (
            begin if bound is None else b'%b,"bound_us":%d' % (begin, bound),
            b',"step":%d,"sync":"%b"}' % (facts.steps, facts.clock.sync.encode()),
        )
        self._ends = (facts.stamp, facts.clock, facts.steps, ends)
        return ends


@lru_cache(_KEPT)
def _text(text: str) -> bytes:
    return orjson.dumps(text)


@lru_cache(_KEPT)
def _actor(actor: Actor) -> bytes:
    return orjson.dumps(members_of_actor(actor), option=_SORTED)


def _changes(changes: Sequence[Change]) -> bytes:
    dumps = orjson.dumps
    return b",".join(
        [
            b'{"after":%b,"before":%b%b'
            % (
                dumps(after) if type(after) is str else encode_value(after),
                _NULL if before is None else encode_value(before),
                encode_frame(field, high, low, status, unit),
            )
            for field, before, after, unit, low, high, status in changes
        ]
    )


def _resource(resource: Resource) -> bytes:
    dumps, parent = orjson.dumps, resource.parent
    if parent is None:
        return b'{"id":%b,"type":%b}' % (dumps(resource.id), dumps(resource.type))
    return b'{"id":%b,"parent":{"id":%b,"type":%b},"type":%b}' % (
        *(dumps(resource.id), dumps(parent[1])),
        *(dumps(parent[0]), dumps(resource.type)),
    )


@lru_cache(_KEPT)
def encode_frame(
    field: str, high: str | None, low: str | None, status: str | None, unit: str | None
) -> bytes:
    """Return a change but for its values, from the field on."""
    named = {"field": field, "high": high, "low": low, "status": status, "unit": unit}
    members = {name: text for name, text in named.items() if text is not None}
    return b"," + orjson.dumps(members, option=_SORTED)[1:]


def encode_value(value: Scalar) -> bytes:
    """Return a value as a record has it; TypeError where a text is not Unicode."""
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
