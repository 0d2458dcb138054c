"""Tenants and their enrolled streams: who may write what, and how far each stream has come."""

import re
from dataclasses import dataclass
from typing import Any, Final, Self

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select

from linewitness.base.clock import Clock, to_rfc3339
from linewitness.base.errors import ConfigurationError
from linewitness.evidence.format.note import ED25519, BadNote, Vkey
from linewitness.store.database import tables
from linewitness.store.database.database import Database
from linewitness.uplink.topics import Topics

_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")
#: What a tenant's own stream, which the store writes, has in the place of its gateway.
OWN: Final = ""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A stream that a gateway may write: pinned by its log key and its record 0."""

    stream_id: int
    tenant: str
    gateway: str
    log_vkey: Vkey
    record0_hash: str

    @property
    def origin(self) -> str:
        """The stream's name."""
        return self.log_vkey.name

    @property
    def is_own(self) -> bool:
        """Whether the store itself writes it."""
        return self.gateway == OWN

    @property
    def topics(self) -> Topics:
        """Where the gateway is met."""
        return Topics(self.tenant, self.gateway)


def enroll(
    database: Database, *, clock: Clock, tenant: str, gateway: str, log_vkey: str, record0_hash: str
) -> Enrolment:
    """Allow a gateway to write one stream; the same again is fine, a contradiction a ConfigurationError.

    A new generation of a line has a new origin and is enrolled anew. Names of streams are a tenant's own:
    another tenant may have the same.
    """
    asked = EnrolmentRequest.checked(tenant, gateway, log_vkey, record0_hash)
    with database.writing(tenant) as connection:
        return enroll_within(connection, asked, to_rfc3339(clock.stamp().realtime_ns))[0]


@dataclass(frozen=True, slots=True)
class EnrolmentRequest:
    """A stream that is to be enrolled."""

    tenant: str
    gateway: str
    log_vkey: Vkey
    record0_hash: str

    @classmethod
    def checked(cls, tenant: str, gateway: str, log_vkey: str, record0_hash: str) -> Self:
        """Return the request; ConfigurationError where a part of it cannot be right."""
        return cls(tenant, gateway, _checked(tenant, gateway, log_vkey, record0_hash), record0_hash)


def enroll_within(connection: Connection, asked: EnrolmentRequest, at: str) -> tuple[Enrolment, bool]:
    """Enroll in a transaction of the tenant; also return whether it is new."""
    tenant, origin = asked.tenant, asked.log_vkey.name
    known = before = find(connection, tenant, origin)
    if known is None:
        if not connection.execute(select(tables.tenants).where(tables.tenants.c.tenant == tenant)).all():
            connection.execute(insert(tables.tenants).values(tenant=tenant, created_at=at))
        connection.execute(
            insert(tables.streams).values(
                origin=origin,
                tenant=tenant,
                gateway=asked.gateway,
                log_vkey=str(asked.log_vkey),
                record0_hash=asked.record0_hash,
                enrolled_at=at,
            )
        )
        known = find(connection, tenant, origin)
    if known is None or known != Enrolment(
        known.stream_id, tenant, asked.gateway, asked.log_vkey, asked.record0_hash
    ):
        raise ConfigurationError(
            f"the stream {origin} is enrolled already, with another gateway, log key or record 0",
            hint="a new generation of the line has a new origin; `linewitness store status` lists all",
        )
    return known, before is None


def find(connection: Connection, tenant: str, origin: str) -> Enrolment | None:
    """Return the enrolment of a tenant's stream, or None."""
    streams = tables.streams
    mine = (streams.c.tenant == tenant) & (streams.c.origin == origin)
    row = connection.execute(select(streams).where(mine)).one_or_none()
    return None if row is None else enrolment_of(row)


def required(connection: Connection, tenant: str, origin: str) -> Enrolment:
    """Return the enrolment of a tenant's stream; ConfigurationError where there is none."""
    found = find(connection, tenant, origin)
    if found is None:
        raise ConfigurationError(
            f"the stream {origin} is not enrolled here", hint="`linewitness store status` lists all"
        )
    return found


def enrolled(connection: Connection, tenant: str) -> list[Enrolment]:
    """Return all streams of a tenant's gateways, oldest enrolment first."""
    return _streams_of(connection, tenant, tables.streams.c.gateway != OWN)


def all_streams(connection: Connection, tenant: str) -> list[Enrolment]:
    """Return all streams of a tenant: those of its gateways, then those that the store writes."""
    return enrolled(connection, tenant) + own_streams(connection, tenant)


def own_streams(connection: Connection, tenant: str) -> list[Enrolment]:
    """Return the streams that the store writes itself about a tenant, oldest generation first."""
    return _streams_of(connection, tenant, tables.streams.c.gateway == OWN)


def _streams_of(connection: Connection, tenant: str, which: ColumnElement[bool]) -> list[Enrolment]:
    streams = tables.streams
    query = select(streams).where(streams.c.tenant == tenant, which).order_by(streams.c.id)
    return [enrolment_of(row) for row in connection.execute(query)]


def enrolment_of(row: Row[Any]) -> Enrolment:
    """Return what a row of `streams` says."""
    return Enrolment(row.id, row.tenant, row.gateway, Vkey.parse(row.log_vkey), row.record0_hash)


def newest_receipt(connection: Connection, stream_id: int) -> tuple[int, str]:
    """Return size and note of a stream's newest receipt, (0, "") if there is none."""
    receipts = tables.receipts
    newest = select(func.max(receipts.c.size)).where(receipts.c.stream_id == stream_id).scalar_subquery()
    row = connection.execute(
        select(receipts.c.size, receipts.c.note).where(
            receipts.c.stream_id == stream_id, receipts.c.size == newest
        )
    ).one_or_none()
    return (row.size, row.note) if row else (0, "")


def _checked(tenant: str, gateway: str, log_vkey: str, record0_hash: str) -> Vkey:
    try:
        vkey = Vkey.parse(log_vkey)
        Topics(tenant, gateway)
    except BadNote as error:
        raise ConfigurationError(
            error.what, hint="`linewitness init` of the gateway prints the vkey"
        ) from None
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    if vkey.algorithm != ED25519:
        raise ConfigurationError(f"{vkey.name} is a cosignature key", hint="give the gateway's log key")
    if not _HASH.fullmatch(record0_hash):
        raise ConfigurationError(
            f"{record0_hash!r} is not the hash of a record", hint="it is sha256: and 64 hex digits"
        )
    return vkey
