"""The state of every stream and what was refused, as `linewitness store status` prints it."""

from collections.abc import Iterator

from linewitness.store.ahead.reports import HeadReport, count_notices, read_heads, read_notice_refusals
from linewitness.store.database.database import Database
from linewitness.store.ended.reports import read_handovers
from linewitness.store.reports import StreamReport, read_refusals, read_streams


def status_lines(database: Database) -> Iterator[str]:
    """Yield the state of every stream and what was refused, for people."""
    heads, notices = read_heads(database), count_notices(database)
    streams, handovers = read_streams(database), read_handovers(database)
    for stream in streams:
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
    if not streams:
        yield "no stream is enrolled: see `linewitness store enroll`"
    for refusal in read_refusals(database):
        yield f"refused {refusal.origin or 'data'} from {refusal.gateway} of {refusal.tenant}"
        yield f"  {refusal.detail} ({refusal.reason}), first {refusal.first_at}, last {refusal.last_at}"
    for counted in read_notice_refusals(database):
        yield counted.text


def _on_their_way(stream: StreamReport, head: HeadReport | None) -> Iterator[str]:
    if head is not None and head.size > stream.size:
        yield f"  {head.size - stream.size} on their way: the gateway signed {head.size} at {head.seen_at}"
