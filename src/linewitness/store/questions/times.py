"""What came late, which gaps and disturbances there are, and who was signed on when."""

from typing import Any, Final

from sqlalchemy import Select, func, or_, select

from linewitness.store.database import view_tables as views
from linewitness.store.database.database import Database
from linewitness.store.questions.answers import AskedSpan, Inquiry, ViewAnswer, asking
from linewitness.store.views.rows import LATE_CUSTODY_MS, LATE_INGEST_MS

_GAPS: Final = ("what", "subject", "since", "until", "why", "stream", "first_record", "last_record")
_LATE: Final = (
    *("occurred_at", "ingested_at", "accepted_at", "why", "to_record_ms", "to_store_ms", "same_time"),
    *("clock", "bound_us", "time_from", "kind", "device", "station", "unit", "stream", "record"),
)
_SESSIONS: Final = (
    *("operator", "station", "since", "until", "auth_method", "ended_by", "stream"),
    *("first_record", "last_record"),
)
#: So many records of a device with one and the same time are a cluster.
CLUSTER: Final = 3
#: These concern every device of a stream.
_OF_ALL: Final = ("gateway", "clock")


def gaps(
    database: Database, *, tenant: str | None = None, device: str | None = None, span: AskedSpan | None = None
) -> ViewAnswer:
    """Return stretches without capture, and disturbances, of all devices or of one; oldest first."""
    asked = span or AskedSpan()
    with asking(database, tenant) as inquiry:
        rows: list[tuple[Any, ...]] = [
            (
                *("gap", row.subject, row.since, row.until, row.why, inquiry.origins[row.stream_id]),
                *(row.first_seq, row.last_seq),
            )
            for row in inquiry.rows(gaps_query(inquiry, device, asked))
        ]
        rows += [
            (
                *("disturbance", row.subject, row.occurred_at, row.occurred_at, f"{row.kind}: {row.reason}"),
                *(inquiry.origins[row.stream_id], row.seq, row.seq),
            )
            for row in inquiry.rows(disturbances_query(inquiry, device, asked))
        ]
        rows.sort(key=lambda row: (row[2] or "", row[5], row[6] or 0))
        return inquiry.answer(_GAPS, rows, asked)


def gaps_query(inquiry: Inquiry, device: str | None, span: AskedSpan) -> Select[Any]:
    """Return the question for stretches: those that have no end are older than none."""
    table = views.gaps
    wanted = [inquiry.mine(table)]
    if device is not None:
        within = (table.c.subject.startswith(device + end, autoescape=True) for end in "/.")
        wanted.append(or_(table.c.subject.in_((device, *_OF_ALL)), *within))
    if span.since is not None:
        wanted.append(or_(table.c.until >= span.since, table.c.until.is_(None)))
    if span.until is not None:
        wanted.append(or_(table.c.since < span.until, table.c.since.is_(None)))
    return select(table).where(*wanted)


def disturbances_query(inquiry: Inquiry, device: str | None, span: AskedSpan) -> Select[Any]:
    """Return the question for disturbances."""
    table = views.disturbances
    wanted = [inquiry.mine(table), *span.on(table.c.occurred_at)]
    if device is not None:
        wanted.append(table.c.device == device)
    return select(table).where(*wanted).order_by(table.c.occurred_at)


def late(
    database: Database,
    *,
    tenant: str | None = None,
    device: str | None = None,
    over_s: float | None = None,
    span: AskedSpan | None = None,
) -> ViewAnswer:
    """Return records that came late, or whose clock followed no source; `same_time`: how many share it."""
    asked = span or AskedSpan()
    with asking(database, tenant) as inquiry:
        rows = [
            (
                *(
                    row.occurred_at,
                    row.ingested_at,
                    row.accepted_at,
                    _why(row),
                    row.ingest_ms,
                    row.custody_ms,
                ),
                *(row.same_time if row.same_time >= CLUSTER else None, row.sync, row.bound_us),
                *(row.occurred_from, row.kind, row.device, row.station, row.unit),
                *(inquiry.origins[row.stream_id], row.seq),
            )
            for row in inquiry.rows(late_query(inquiry, device, over_s, asked))
        ]
        return inquiry.answer(_LATE, rows, asked.around(row[0] for row in rows))


def late_query(inquiry: Inquiry, device: str | None, over_s: float | None, span: AskedSpan) -> Select[Any]:
    """Return the question for late records."""
    table = views.lateness
    wanted = [inquiry.mine(table), *span.on(table.c.occurred_at)]
    if device is not None:
        wanted.append(table.c.device == device)
    if over_s is not None:
        limit = int(over_s * 1000)
        wanted.append(or_(table.c.ingest_ms > limit, table.c.custody_ms > limit))
    same = func.count().over(partition_by=(table.c.stream_id, table.c.device, table.c.occurred_at))
    query = select(table, same.label("same_time")).where(*wanted)
    return query.order_by(table.c.occurred_at, table.c.stream_id, table.c.seq)


def sessions(
    database: Database,
    *,
    tenant: str | None = None,
    operator: str | None = None,
    station: str | None = None,
    span: AskedSpan | None = None,
) -> ViewAnswer:
    """Return who was signed on where, from when to when; `until` is missing where that goes on."""
    asked = span or AskedSpan()
    with asking(database, tenant) as inquiry:
        rows = [
            (
                *(row.operator, row.station, row.occurred_at, row.until, row.auth_method, row.ended_by),
                *(inquiry.origins[row.stream_id], row.seq, row.last_seq),
            )
            for row in inquiry.rows(sessions_query(inquiry, operator, station, asked))
        ]
        return inquiry.answer(_SESSIONS, rows, asked.around(row[2] for row in rows))


def sessions_query(
    inquiry: Inquiry, operator: str | None, station: str | None, span: AskedSpan
) -> Select[Any]:
    """Return the question for sessions: each begins with a sign-on, and ends with what follows there."""
    on, off, between = (views.sign_ons.alias(name) for name in ("signed_on", "signed_off", "between"))

    def same_place(table: Any) -> list[Any]:
        return [table.c[name] == on.c[name] for name in ("tenant", "stream_id", "station")]

    follows = select(func.min(between.c.seq)).where(*same_place(between), between.c.seq > on.c.seq)
    ends = (off.c.tenant == on.c.tenant) & (off.c.stream_id == on.c.stream_id)
    wanted = [on.c.tenant == inquiry.tenant, on.c.deed == "on"]
    wanted += [] if operator is None else [on.c.operator == operator]
    wanted += [] if station is None else [on.c.station == station]
    if span.until is not None:
        wanted.append(on.c.occurred_at < span.until)
    if span.since is not None:
        wanted.append(or_(off.c.occurred_at >= span.since, off.c.seq.is_(None)))
    return (
        select(
            on, off.c.occurred_at.label("until"), off.c.reason.label("ended_by"), off.c.seq.label("last_seq")
        )
        .join_from(on, off, ends & (off.c.seq == follows.scalar_subquery()), isouter=True)
        .where(*wanted)
        .order_by(on.c.occurred_at, on.c.stream_id, on.c.seq)
    )


def _why(row: Any) -> str:
    said = (
        (row.ingest_ms > LATE_INGEST_MS, "late on record"),
        (row.ingest_ms < -LATE_INGEST_MS, "on record before its own time"),
        (row.custody_ms > LATE_CUSTODY_MS, "late in the store"),
        (bool(row.backfilled), "fetched afterwards"),
        (row.sync == "unsynced", "clock not synchronised"),
    )
    return ", ".join(text for holds, text in said if holds)
