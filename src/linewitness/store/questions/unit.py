"""What happened to a unit, over all streams of its tenant; and what went into it, down to the last part."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import ColumnElement, Select, select

from linewitness.evidence.package.query import RecordQuery
from linewitness.evidence.package.spool import RecordSpool
from linewitness.store.database import view_tables as views
from linewitness.store.database.database import Database
from linewitness.store.database.tenants import the_tenant
from linewitness.store.ended.reports import read_handed_over
from linewitness.store.holdings import StoreHoldings
from linewitness.store.questions.answers import AskedSpan, Inquiry, ViewAnswer, asking
from linewitness.store.reports import read_records, read_streams
from linewitness.store.views.rows import RESULTS, measured_in, program_of, tool_of, verdict_of
from linewitness.store.views.viewed import ViewedRecord

_RECORDS: Final = (
    *("occurred_at", "kind", "station", "device", "subject", "result", "measured", "tool", "program"),
    *("actor", "reason", "stream", "record", "held"),
)
_PARTS: Final = (
    *("depth", "unit", "how", "part", "lot", "serial", "quantity", "supplier", "station", "occurred_at"),
    *("actor", "stream", "record"),
)
#: An assembly of assemblies is no deeper; a circle of mistaken records ends here.
_DEEPEST: Final = 20


@dataclass(frozen=True, slots=True)
class UnitRecord:
    """A record of a unit, with the exact bytes and where it is held."""

    occurred_at: str
    origin: str
    seq: int
    held: str
    receipted: bool
    in_stream: bool
    data: bytes

    @property
    def mark(self) -> str:
        """Which record it is, and how it is held."""
        return f"record {self.seq} {self.held}"


@dataclass(frozen=True, slots=True)
class UnitAccount:
    """All records of a unit in the order of their times, and the answer that has them as rows."""

    records: tuple[UnitRecord, ...]
    answer: ViewAnswer


def unit_history(database: Database, serial: str, *, tenant: str | None = None) -> UnitAccount:
    """Return what is held of a unit up to the last record: evidence itself is read, not a view of it."""
    name = the_tenant(database, tenant)
    records = tuple(sorted(_records(database, serial, name), key=lambda record: record.occurred_at))
    rows = [_row(record) for record in records]
    with asking(database, name) as inquiry:
        behind = [stream for stream in inquiry.streams if stream.filled < stream.size]
        remarks = tuple(
            f"gaps of {one.origin} are known for its first {one.filled} records" for one in behind
        )
        span = AskedSpan().around(row[0] for row in rows)
        answer = inquiry.answer(_RECORDS, rows, span, remarks=remarks, holds=lambda stream: stream.size)
    return UnitAccount(records, answer)


def went_into(database: Database, serial: str, *, tenant: str | None = None) -> ViewAnswer:
    """Return what is or was in a unit, and in its components that are units themselves."""
    with asking(database, tenant) as inquiry:
        rows: list[tuple[Any, ...]] = []
        seen, units = set[str](), [serial]
        for depth in range(1, _DEEPEST + 1):
            seen |= set(units)
            level = [(depth, *row) for unit in units for row in _parts(inquiry, unit)]
            rows += level
            units = [name for name in dict.fromkeys(row[5] for row in level) if name and name not in seen]
            if not units:
                break
        return inquiry.answer(_PARTS, rows, AskedSpan().around(row[9] for row in rows))


def parts_query(inquiry: Inquiry, unit: str) -> Select[Any]:
    """Return the question for components that were built into a unit or taken out of it."""
    parts = views.components
    mine = (inquiry.mine(parts), parts.c.unit == unit, parts.c.deed.in_(("installed", "removed")))
    return select(parts).where(*mine).order_by(parts.c.occurred_at, parts.c.stream_id, parts.c.seq)


def lots_query(inquiry: Inquiry, unit: str) -> Select[Any]:
    """Return the question for lots that were loaded when a requirement of the unit was met by them."""
    parts, met = views.components, views.met_by
    same: ColumnElement[bool] = (met.c.tenant == parts.c.tenant) & (met.c.event_id == parts.c.event_id)
    return (
        select(parts)
        .join_from(met, parts, same)
        .where(inquiry.mine(met), met.c.unit == unit, parts.c.deed == "loaded")
        .order_by(parts.c.occurred_at, parts.c.stream_id, parts.c.seq)
    )


def _parts(inquiry: Inquiry, unit: str) -> Iterator[tuple[Any, ...]]:
    inside: dict[str, int] = {}
    found = list(inquiry.rows(parts_query(inquiry, unit)))
    for row in found:
        step = 1 if row.deed == "installed" else -1
        inside[row.component] = max(0, inside.get(row.component, 0) + step)
    last = {row.component: row for row in found}
    direct = {(row.part, row.lot) for row in found}
    for row in last.values():
        how = "is in it" if inside[row.component] else "was removed"
        yield _part(inquiry, unit, how, row)
    for row in inquiry.rows(lots_query(inquiry, unit)):
        if (row.part, row.lot) not in direct:
            yield _part(inquiry, unit, "was loaded", row)


def _part(inquiry: Inquiry, unit: str, how: str, row: Any) -> tuple[Any, ...]:
    return (
        *(unit, how, row.part, row.lot, row.serial, row.quantity, row.supplier, row.station),
        *(row.occurred_at, row.actor, inquiry.origins[row.stream_id], row.seq),
    )


def _records(database: Database, serial: str, tenant: str) -> Iterator[UnitRecord]:
    receipted = {stream.origin: stream.receipt_size for stream in read_streams(database, tenant=tenant)}
    found = read_records(database, tenant=tenant, unit=serial)
    for origin in list(dict.fromkeys(each.origin for each in found)):
        for seq, data in _with_disturbances(database, tenant, origin, serial):
            safe = seq < receipted.get(origin, 0)
            held = f"of {origin}; {'with a receipt' if safe else 'no receipt yet'}"
            yield UnitRecord(orjson.loads(data)["occurred_at"], origin, seq, held, safe, True, data)
    for ended in read_handed_over(database, tenant=tenant, unit=serial):
        held = f"{ended.handover.mark}; no receipt"
        origin = ended.handover.origin
        yield UnitRecord(ended.occurred_at, origin, ended.seq, held, False, False, ended.data)


def _with_disturbances(
    database: Database, tenant: str, origin: str, serial: str
) -> Iterator[tuple[int, bytes]]:
    """Yield a unit's records in a stream, with what says when there was capture meanwhile."""
    with StoreHoldings.open(database, origin, tenant=tenant) as holdings, RecordSpool() as spool:
        RecordQuery(units=(serial,)).collect(holdings, spool, most=None)
        yield from spool


def _row(record: UnitRecord) -> tuple[Any, ...]:
    viewed = ViewedRecord.of(orjson.loads(record.data), "")
    ok = verdict_of(viewed) if viewed.kind in RESULTS else None
    result = viewed.kind in RESULTS
    return (
        *(viewed.occurred_at, viewed.kind, viewed.station, viewed.device, viewed.members["resource"]["id"]),
        None if ok is None else "ok" if ok else "not ok",
        _measured(viewed) if result else None,
        *((tool_of(viewed), program_of(viewed)) if result else (None, None)),
        *(viewed.actor, viewed.reason, record.origin, record.seq, record.held),
    )


def _measured(record: ViewedRecord) -> str:
    """Return the values of a result for people."""
    return ", ".join(
        " ".join(str(part) for part in (each["field"], each["after"], each.get("unit")) if part is not None)
        for each in measured_in(record)
    )
