"""What people do with a tenant's streams: each deed in one transaction with the record that says so."""

import getpass
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import insert, select

from linewitness.base.errors import ConfigurationError
from linewitness.evidence.format.gateway_event import GATEWAY, gateway_event
from linewitness.evidence.format.record import Actor, Change, Event, Resource
from linewitness.store.database import tables
from linewitness.store.database.enrolments import Enrolment, EnrolmentRequest, enroll_within, find
from linewitness.store.database.statements import statements_for
from linewitness.store.database.tenants import retention_of, the_tenant
from linewitness.store.tenant.inspected import InspectedStream
from linewitness.store.tenant.streams import TenantStreams, TenantTurn

#: How it is known who ran a command: the operating system says so.
LOGIN: Final = "login"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportDeed:
    """What left the house: of which stream (None: of all), in which form, how much, and what it was."""

    tenant: str
    origin: str | None
    form: str
    records: int
    digest: str | None
    asked: tuple[Change, ...] = ()


def person() -> Actor:
    """Return who runs this command."""
    return Actor("user", getpass.getuser(), auth_method=LOGIN)


def enroll_stream(streams: TenantStreams, asked: EnrolmentRequest) -> Enrolment:
    """Allow a gateway to write a stream; the same again is fine and says nothing."""
    with streams.writing(asked.tenant) as turn:
        enrolment, is_new = enroll_within(turn.connection, asked, turn.at)
        if is_new:
            changes = (
                Change("gateway", None, asked.gateway),
                Change("log_key", None, str(asked.log_vkey)),
                Change("record_0", None, asked.record0_hash),
            )
            resource = Resource("stream", enrolment.origin)
            reason = "the gateway may write this stream"
            turn.append([_event(turn, "stream.enrolled", resource, changes, reason)])
    return enrolment


def retire_stream(streams: TenantStreams, tenant: str | None, origin: str, reason: str) -> int:
    """End a stream: no record of it is accepted any more. Return how many are held."""
    tenant = the_tenant(streams.database, tenant)
    with streams.writing(tenant) as turn:
        found = find(turn.connection, tenant, origin)
        if found is None or found.is_own:
            raise ConfigurationError(
                f"the stream {origin} is not enrolled here", hint="`linewitness store status` lists all"
            )
        statements, retired = statements_for(turn.connection), tables.retirements
        # Whoever writes the stream at this moment is waited for, and finds the end after us.
        statements.lock(turn.connection, found.stream_id)
        known = select(retired.c.retired_at).where(retired.c.stream_id == found.stream_id)
        if at := turn.connection.execute(known).scalar_one_or_none():
            raise ConfigurationError(f"the stream {origin} was retired at {at}", hint="nothing was changed")
        size = statements.size(turn.connection, found.stream_id)
        turn.connection.execute(
            insert(retired).values(stream_id=found.stream_id, size=size, retired_at=turn.at, reason=reason)
        )
        changes = (Change("size", None, size),)
        turn.append([_event(turn, "stream.retired", Resource("stream", origin), changes, reason)])
    return size


def change_retention(streams: TenantStreams, tenant: str, days: int | None, reason: str) -> int | None:
    """Set for how many days a tenant's records are kept, None for ever; return what it was."""
    tenant, retentions = the_tenant(streams.database, tenant), tables.retentions
    with streams.writing(tenant) as turn:
        turn.stream()  # locked: what is read next is what the record says it was
        before = retention_of(turn.connection, tenant)
        resource, changes = Resource("tenant", tenant), (Change("days", before, days),)
        turn.append([_event(turn, "retention.changed", resource, changes, reason)])
        turn.connection.execute(insert(retentions).values(tenant=tenant, days=days, changed_at=turn.at))
    return before


def say_exported(streams: TenantStreams, deed: ExportDeed, reason: str) -> None:
    """Record what left the house."""
    changes = [Change("form", None, deed.form), Change("records", None, deed.records), *deed.asked]
    if deed.digest is not None:
        changes.append(Change("digest", None, deed.digest))
    resource = Resource("stream", deed.origin) if deed.origin else Resource("tenant", deed.tenant)
    with streams.writing(deed.tenant) as turn:
        turn.append([_event(turn, "evidence.exported", resource, tuple(changes), reason)])


def say_checked(
    streams: TenantStreams, found: Sequence[InspectedStream], *, by: Actor = GATEWAY, reason: str
) -> None:
    """Record what an inspection found of each stream."""
    for tenant in dict.fromkeys(one.tenant for one in found):
        with streams.writing(tenant) as turn:
            turn.append([_checked(turn, one, by, reason) for one in found if one.tenant == tenant])


def continue_stream(streams: TenantStreams, tenant: str | None, reason: str) -> Enrolment:
    """Begin the next generation of a tenant stream whose keys are lost, or whose database was restored."""
    tenant = the_tenant(streams.database, tenant)
    with streams.writing(tenant) as turn:
        return turn.begin_again(reason, person())


def _checked(turn: TenantTurn, one: InspectedStream, by: Actor, reason: str) -> Event:
    root = None if one.root is None else f"sha256:{one.root.hex()}"
    changes = [
        Change("first", None, 0),
        Change("size", None, one.size),
        Change("root", None, root),
        Change("verdict", None, "damaged" if one.damage else "sound"),
    ]
    if one.damage:
        changes.append(Change("damage", None, one.damage))
    return gateway_event(
        "integrity.checked",
        turn.now_ns,
        actor=by,
        resource=Resource("stream", one.origin),
        changes=tuple(changes),
        reason=reason,
    )


def _event(
    turn: TenantTurn, kind: str, resource: Resource, changes: tuple[Change, ...], reason: str
) -> Event:
    return gateway_event(kind, turn.now_ns, actor=person(), resource=resource, changes=changes, reason=reason)
