"""Read what the store holds: records, streams, conflicts and refusals, for people and for exports."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Column, Connection, ScalarSelect, Select, func, select

from linewitness.store.database import tables
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import OWN, required
from linewitness.store.database.stored_records import StoredRecords
from linewitness.store.database.tenants import asked_tenants, rows_of

_FETCH: Final = 1000


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as it is held."""

    origin: str
    seq: int
    kind: str
    unit: str | None
    occurred_at: str
    accepted_at: str
    data: bytes


@dataclass(frozen=True, slots=True)
class StreamReport:
    """How much of a stream is held and receipted; `root` (hex) and `note` are those of the newest receipt."""

    tenant: str
    gateway: str
    origin: str
    enrolled_at: str
    size: int
    receipt_size: int
    receipt_at: str | None
    root: str | None
    note: str | None
    conflicts: int


@dataclass(frozen=True, slots=True)
class ConflictReport:
    """A signed statement of a gateway that contradicts what is held."""

    origin: str
    seq: int
    reason: str
    seen_at: str
    data: bytes


@dataclass(frozen=True, slots=True)
class RefusalReport:
    """Something that was not accepted and proves nothing."""

    tenant: str
    gateway: str
    origin: str
    reason: str
    detail: str
    first_at: str
    last_at: str


def read_records(
    database: Database,
    *,
    tenant: str | None = None,
    origin: str | None = None,
    unit: str | None = None,
    first: int = 0,
    last: int | None = None,
    since: str | None = None,
    until: str | None = None,
) -> Iterator[StoredRecord]:
    """Yield records in the order of their streams: positions first to last, occurred in [since, until).

    Everything of a tenant is read in one snapshot and in bounded memory, one tenant after the other unless
    one is named. An unknown origin is a ConfigurationError; without one, those of gateways are read.
    """
    entries, streams = tables.entries, tables.streams
    query = (
        select(streams.c.origin, entries)
        .join(streams, streams.c.id == entries.c.stream_id)
        .where(entries.c.seq >= first)
        .order_by(entries.c.stream_id, entries.c.seq)
    )
    if unit is not None:
        query = query.where(entries.c.unit == unit)
    if last is not None:
        query = query.where(entries.c.seq <= last)
    if since is not None:
        query = query.where(entries.c.occurred_at >= since)
    if until is not None:
        query = query.where(entries.c.occurred_at < until)
    for each in asked_tenants(database, tenant, about=origin or unit):
        with database.reading(each) as connection:
            of_tenant = query.where(streams.c.tenant == each)
            if origin is None:
                of_tenant = of_tenant.where(streams.c.gateway != OWN)
            else:
                of_tenant = of_tenant.where(
                    entries.c.stream_id == required(connection, each, origin).stream_id
                )
            yield from _read(connection, of_tenant)


def _read(connection: Connection, query: Select[Any]) -> Iterator[StoredRecord]:
    found = connection.execution_options(yield_per=_FETCH).execute(query)
    for stream_id, of_stream in groupby(found, key=lambda row: row.stream_id):
        records = StoredRecords(connection, stream_id)
        for row in of_stream:
            held = records.at(row.seq)
            yield StoredRecord(
                row.origin, row.seq, row.kind, row.unit, row.occurred_at, held.accepted_at, held.data
            )


def read_streams(database: Database, *, tenant: str | None = None, own: bool = False) -> list[StreamReport]:
    """Return the state of every enrolled stream, or of the store's `own` ones about its tenants."""
    streams, runs = tables.streams, tables.runs
    receipts, conflicts = tables.receipts, tables.conflicts

    def newest(column: Column[Any]) -> ScalarSelect[Any]:
        own = select(column).where(receipts.c.stream_id == streams.c.id)
        return own.order_by(receipts.c.size.desc()).limit(1).scalar_subquery()

    end = select(runs.c.first_seq + runs.c["count"]).where(runs.c.stream_id == streams.c.id)
    size = end.order_by(runs.c.first_seq.desc()).limit(1).scalar_subquery()
    disputes = select(func.count()).where(conflicts.c.stream_id == streams.c.id).scalar_subquery()
    query = select(
        streams.c.tenant,
        streams.c.gateway,
        streams.c.origin,
        streams.c.enrolled_at,
        func.coalesce(size, 0),
        func.coalesce(newest(receipts.c.size), 0),
        newest(receipts.c.cosigned_at),
        newest(receipts.c.root),
        newest(receipts.c.note),
        disputes,
    ).order_by(streams.c.gateway, streams.c.id)
    query = query.where(streams.c.gateway == OWN if own else streams.c.gateway != OWN)
    return [StreamReport(*map(_plain, row)) for row in rows_of(database, query, tenant=tenant)]


def read_receipts(database: Database, origin: str, *, tenant: str | None = None) -> list[str]:
    """Return the notes of a stream's receipts, oldest first."""
    receipts = tables.receipts
    notes: list[str] = []
    for each in asked_tenants(database, tenant, about=origin):
        with database.reading(each) as connection:
            stream_id = required(connection, each, origin).stream_id
            query = select(receipts.c.note).where(receipts.c.stream_id == stream_id)
            notes += connection.execute(query.order_by(receipts.c.size)).scalars()
    return notes


def read_conflicts(database: Database, *, tenant: str | None = None) -> list[ConflictReport]:
    """Return all conflicts, oldest first."""
    conflicts, streams = tables.conflicts, tables.streams
    query = (
        select(
            streams.c.origin,
            conflicts.c.seq,
            conflicts.c.reason,
            conflicts.c.seen_at,
            conflicts.c.data,
        )
        .join(streams, streams.c.id == conflicts.c.stream_id)
        .order_by(conflicts.c.id)
    )
    return [ConflictReport(*row) for row in rows_of(database, query, tenant=tenant)]


def read_refusals(database: Database) -> list[RefusalReport]:
    """Return all refusals, oldest first: of all who sent, also in the name of a tenant that nobody knows."""
    refusals = tables.refusals
    query = select(
        refusals.c.tenant,
        refusals.c.gateway,
        refusals.c.origin,
        refusals.c.reason,
        refusals.c.detail,
        refusals.c.first_at,
        refusals.c.last_at,
    ).order_by(refusals.c.id)
    with database.reading() as connection:
        return [RefusalReport(*row) for row in connection.execute(query)]


def _plain(value: Any) -> Any:
    """Return bytes as hex, and everything else as it is."""
    return value.hex() if isinstance(value, bytes) else value
