"""The state of every stream and what was refused, as `linewitness store status` prints it."""

from collections.abc import Iterator

from linewitness.store.ahead.reports import HeadReport, count_notices, read_heads, read_notice_refusals
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import own_streams
from linewitness.store.database.tenants import asked_tenants, retention_of, retired
from linewitness.store.ended.reports import read_handovers
from linewitness.store.reports import StreamReport, read_refusals, read_streams


def status_lines(database: Database, tenant: str | None = None) -> Iterator[str]:
    """Yield the state of every stream and what was refused, of one tenant or of all, for people."""
    tenants = asked_tenants(database, tenant)
    for each in tenants:
        yield from _streams(database, each)
        yield from _own(database, each)
    if not tenants:
        yield "no stream is enrolled: see `linewitness store enroll`"
    for refusal in read_refusals(database):
        if tenant in (None, refusal.tenant):
            yield f"refused {refusal.origin or 'data'} from {refusal.gateway} of {refusal.tenant}"
            yield f"  {refusal.detail} ({refusal.reason}), first {refusal.first_at}, last {refusal.last_at}"
    for counted in read_notice_refusals(database):
        if tenant in (None, counted.tenant):
            yield counted.text


def _streams(database: Database, tenant: str) -> Iterator[str]:
    heads, notices = read_heads(database, tenant=tenant), count_notices(database, tenant=tenant)
    handovers = read_handovers(database, tenant=tenant)
    for stream in read_streams(database, tenant=tenant):
        yield f"{stream.origin} (gateway {stream.gateway} of {stream.tenant})"
        receipt = f"{stream.receipt_size}, at {stream.receipt_at}" if stream.receipt_at else "none yet"
        yield f"  held {stream.size}, receipted {receipt}, conflicts {stream.conflicts}"
        if stream.root:
            yield f"  signed {stream.receipt_size}, root {stream.root}"
        yield from _on_their_way(stream, heads.get(stream.origin))
        if states := notices.get(stream.origin):
            counts = ", ".join(
                f"{state} {states.get(state, 0)}" for state in ("open", "confirmed", "contradicted")
            )
            yield f"  notices: {counts}"
        for handover in handovers:
            if handover.origin == stream.origin:
                yield f"  {handover.size - handover.first} records {handover.mark}; {handover.held_at}"


def _own(database: Database, tenant: str) -> Iterator[str]:
    """Yield what the store itself says of a tenant, and what was set for it."""
    with database.reading(tenant) as connection:
        own = own_streams(connection, tenant)
        kept, ended = retention_of(connection, tenant), retired(connection, tenant)
    sizes = {stream.origin: stream.size for stream in read_streams(database, tenant=tenant, own=True)}
    for stream in own:
        yield f"{stream.origin} (the store's own stream about {tenant})"
        yield f"  held {sizes[stream.origin]}, log key {stream.log_vkey}"
        yield f"  record 0 {stream.record0_hash}"
    for origin, at in ended:
        yield f"{origin} was retired at {at}"
    if kept is not None:
        yield f"records of {tenant} are to be kept for {kept} days"


def _on_their_way(stream: StreamReport, head: HeadReport | None) -> Iterator[str]:
    if head is not None and head.size > stream.size:
        yield f"  {head.size - stream.size} on their way: the gateway signed {head.size} at {head.seen_at}"
