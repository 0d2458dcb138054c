"""Say in a tenant's own stream how far the streams of its gateways are: that gives all of them one order."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, func, insert, select

from linewitness.base.clock import NS_PER_S, from_rfc3339, to_rfc3339
from linewitness.evidence.format.gateway_event import gateway_event
from linewitness.evidence.format.merkle import root_at
from linewitness.evidence.format.record import Event, Resource
from linewitness.evidence.tenant.custody import Custody, custody_changes
from linewitness.evidence.tenant.rules import CUSTODY
from linewitness.store.database import tables
from linewitness.store.database.enrolments import OWN
from linewitness.store.database.tenants import tenants_of
from linewitness.store.tenant.streams import TenantStreams, TenantTurn
from linewitness.store.tree import StoreTree

#: While streams grow, their custody is said so often, and not more.
EVERY_S: Final = 10.0
#: A record has room for the streams that need so many bytes in it.
ROOM: Final = 40_000
#: What the changes of a stream need besides its name, twice.
_EACH: Final = 260


def take_custody(streams: TenantStreams, *, at_once: bool = False) -> int:
    """Say of each tenant's streams how far they grew, and return how many grew.

    `at_once`: also where that was said less than `EVERY_S` ago, by whatever program.
    """
    return sum(_of_tenant(streams, tenant, at_once=at_once) for tenant in tenants_of(streams.database))


def _of_tenant(streams: TenantStreams, tenant: str, *, at_once: bool) -> int:
    with streams.database.reading(tenant) as connection:
        if not _grown(connection, tenant, _own_id(connection, tenant)):
            return 0  # without a lock: mostly there is nothing to say
    with streams.writing(tenant) as turn:
        own = turn.stream()
        own_id = own.stream_id if own else None
        if not at_once and own_id is not None and _said_lately(turn, own_id):
            return 0
        # One statement: one moment at which all of them were this far.
        grown = _grown(turn.connection, tenant, own_id)
        if not grown:
            return 0
        custody = [
            Custody(row.origin, row.taken, row.size, _root(turn.connection, row.id, row.size))
            for row in grown
        ]
        parts = list(_parts(custody))
        events = [_event(turn, part, more=number < len(parts)) for number, part in enumerate(parts, 1)]
        numbers = turn.append(events)
        own = turn.stream()
        if own is None:
            raise AssertionError("a record was written to no stream")
        rows, at = iter(grown), to_rfc3339(turn.now_ns)
        turn.connection.execute(
            insert(tables.custody),
            [
                {"own_id": own.stream_id, "stream_id": row.id, "size": row.size, "seq": seq, "taken_at": at}
                for part, seq in zip(parts, numbers, strict=True)
                for row, _ in zip(rows, part, strict=False)
            ],
        )
    return len(grown)


def _own_id(connection: Connection, tenant: str) -> int | None:
    streams = tables.streams
    mine = streams.c.tenant == tenant, streams.c.gateway == OWN
    found: int | None = connection.execute(select(func.max(streams.c.id)).where(*mine)).scalar_one()
    return found


def _grown(connection: Connection, tenant: str, own_id: int | None) -> Sequence[Row[Any]]:
    """Return the streams that hold more records than their own stream says: id, origin, taken, size."""
    streams, runs, custody = tables.streams, tables.runs, tables.custody
    end = select(runs.c.first_seq + runs.c["count"]).where(runs.c.stream_id == streams.c.id)
    size = end.order_by(runs.c.first_seq.desc()).limit(1).scalar_subquery()
    said = select(func.max(custody.c.size)).where(
        custody.c.own_id == own_id, custody.c.stream_id == streams.c.id
    )
    taken = func.coalesce(said.scalar_subquery(), 0)
    found = (
        select(streams.c.id, streams.c.origin, taken.label("taken"), size.label("size"))
        .where(streams.c.tenant == tenant, streams.c.gateway != OWN)
        .subquery()
    )
    query = select(found).where(found.c.size > found.c.taken).order_by(found.c.id)
    return connection.execute(query).all()


def _said_lately(turn: TenantTurn, own_id: int) -> bool:
    custody = tables.custody
    newest = select(custody.c.taken_at).where(custody.c.own_id == own_id).order_by(custody.c.seq.desc())
    said = turn.connection.execute(newest.limit(1)).scalar_one_or_none()
    # A clock that was set back must not silence it.
    return said is not None and 0 <= turn.now_ns - from_rfc3339(said) < EVERY_S * NS_PER_S


def _root(connection: Connection, stream_id: int, size: int) -> str:
    return f"sha256:{root_at(size, StoreTree(connection, stream_id).subtree).hex()}"


def _parts(custody: Sequence[Custody]) -> Iterator[list[Custody]]:
    """Yield what fits into a record each."""
    part: list[Custody] = []
    room = ROOM
    for one in custody:
        needed = _EACH + 2 * len(one.stream.encode())
        if part and needed > room:
            yield part
            part, room = [], ROOM
        part.append(one)
        room -= needed
    yield part


def _event(turn: TenantTurn, custody: Sequence[Custody], *, more: bool) -> Event:
    return gateway_event(
        CUSTODY,
        turn.now_ns,
        resource=Resource("tenant", turn.tenant),
        changes=tuple(custody_changes(custody, more=more)),
        reason="these streams have grown to this size, all of them at one moment",
    )
