"""Who changed what, from what to what, when and why; per machine, point, person, order and week."""

from datetime import UTC, date, datetime, timedelta
from itertools import zip_longest
from typing import Any, Final, NamedTuple

from sqlalchemy import Select, select

from linewitness.base.errors import ConfigurationError
from linewitness.store.database import view_tables as views
from linewitness.store.database.database import Database
from linewitness.store.questions.answers import AskedSpan, Inquiry, ViewAnswer, asking

_COLUMNS: Final = (
    *("occurred_at", "device", "point", "before", "after", "measure", "actor", "actor_type", "auth_method"),
    *("reason", "kind", "station", "unit", "stream", "record"),
)


class ChangesAsked(NamedTuple):
    """What is asked of changes; None asks nothing."""

    device: str | None = None
    point: str | None = None
    actor: str | None = None
    order: str | None = None
    span: AskedSpan = AskedSpan()


def week_span(week: str) -> AskedSpan:
    """Return the days of a week such as 2026-W47 (ISO 8601, UTC); ConfigurationError for anything else."""
    year, _, number = week.upper().partition("-W")
    try:
        monday = date.fromisocalendar(int(year), int(number), 1)
    except ValueError:
        raise ConfigurationError(f"{week!r} is no week", hint="it looks like 2026-W47") from None
    days = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (monday, monday + timedelta(7)))
    return AskedSpan(*(f"{day:%Y-%m-%dT%H:%M:%S}.000Z" for day in days))


def changes(database: Database, asked: ChangesAsked, *, tenant: str | None = None) -> ViewAnswer:
    """Return the changes that are asked for, in the order of their times."""
    with asking(database, tenant) as inquiry:
        query = changes_query(inquiry, asked)
        if asked.order is None:
            found = list(inquiry.rows(query))
        else:
            found = [row for stay in _stays(inquiry, asked.order) for row in inquiry.rows(query.where(*stay))]
            found.sort(key=lambda row: (row.occurred_at, row.stream_id, row.seq, row.nr))
        rows = [
            (
                *(row.occurred_at, row.device, row.point, row.before, row.after, row.measure, row.actor),
                *(row.actor_type, row.auth_method, row.reason, row.kind, row.station, row.unit),
                *(inquiry.origins[row.stream_id], row.seq),
            )
            for row in found
        ]
        return inquiry.answer(_COLUMNS, rows, asked.span.around(row[0] for row in rows))


def changes_query(inquiry: Inquiry, asked: ChangesAsked) -> Select[Any]:
    """Return the question, but for the order."""
    table = views.changes
    named = (("device", asked.device), ("point", asked.point), ("actor", asked.actor))
    wanted = [table.c[column] == value for column, value in named if value is not None]
    return (
        select(table)
        .where(inquiry.mine(table), *wanted, *asked.span.on(table.c.occurred_at))
        .order_by(table.c.occurred_at, table.c.stream_id, table.c.seq, table.c.nr)
    )


def _stays(inquiry: Inquiry, order: str) -> list[list[Any]]:
    """Return where and from which record to which an order was worked on: until the station got another."""
    table = views.changes
    of_orders = (inquiry.mine(table), table.c.point == "order", table.c.kind == "order.changed")
    stations = select(table.c.stream_id, table.c.station).where(*of_orders, table.c.after == order).distinct()
    found = []
    for place in inquiry.rows(stations):
        here = [table.c.stream_id == place.stream_id, table.c.station == place.station]
        # The record about the unit that stands there says the same once more.
        plain = select(table.c.seq, table.c.after).where(*of_orders, *here, table.c.unit.is_(None))
        turns = list(inquiry.rows(plain.order_by(table.c.seq)))
        ends = [turn.seq for turn in turns[1:]]
        for turn, end in zip_longest(turns, ends):
            if turn.after == order:
                last = [] if end is None else [table.c.seq < end]
                found.append([*here, table.c.seq >= turn.seq, *last])
    return found
