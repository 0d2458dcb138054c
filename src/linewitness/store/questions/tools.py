"""What a tool did between two calibrations, and which units are affected."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from sqlalchemy import Row, Select, case, func, select

from linewitness.store.database import view_tables as views
from linewitness.store.database.database import Database
from linewitness.store.questions.answers import AskedSpan, Inquiry, ViewAnswer, asking

_PERIODS: Final = (
    *("calibrated", "next_calibration", "first_at", "last_at", "results", "not_ok", "units"),
    "stream",
)
_UNITS: Final = (
    *("calibrated", "next_calibration", "unit", "station", "first_at", "last_at", "results", "not_ok"),
    *("stream", "first_record", "last_record"),
)


def tool_work(
    database: Database,
    tool: str,
    *,
    tenant: str | None = None,
    between_calibrations: bool = False,
    span: AskedSpan | None = None,
) -> ViewAnswer:
    """Return what a tool did since each of its calibrations; `between_calibrations` names the units.

    A result belongs to the calibration that it states, or else to the one that its controller stated last.
    """
    asked = span or AskedSpan()
    with asking(database, tenant) as inquiry:
        found = inquiry.rows(work_query(inquiry, tool, asked, by_unit=between_calibrations))
        following = _following(
            [
                *inquiry.rows(work_query(inquiry, tool, AskedSpan(), by_unit=False)),
                *inquiry.rows(stated_query(inquiry, tool)),
            ]
        )
        rows: list[tuple[Any, ...]] = []
        for row in found:
            period = (row.calibration, following.get(row.calibration))
            stream, counts = inquiry.origins[row.stream_id], (row.results, row.not_ok)
            if between_calibrations:
                place = (row.unit, row.station, row.first_at, row.last_at)
                rows.append((*period, *place, *counts, stream, row.first_seq, row.last_seq))
            else:
                rows.append((*period, row.first_at, row.last_at, *counts, row.units, stream))
        columns = _UNITS if between_calibrations else _PERIODS
        return inquiry.answer(columns, rows, asked.around(time for row in found for time in row[:2]))


def work_query(inquiry: Inquiry, tool: str, span: AskedSpan, *, by_unit: bool) -> Select[Any]:
    """Return the question for results of a tool, together for each calibration, or for each unit as well."""
    results, tools = views.results, views.tools
    stated = (
        select(tools.c.calibrated)
        .where(
            tools.c.tenant == results.c.tenant,
            tools.c.tool == results.c.tool,
            tools.c.stream_id == results.c.stream_id,
            tools.c.seq < results.c.seq,
            tools.c.calibrated.is_not(None),
        )
        .order_by(tools.c.seq.desc())
        .limit(1)
        .scalar_subquery()
    )
    calibration = func.coalesce(results.c.calibrated, stated)
    made = (
        select(results, calibration.label("calibration"))
        .where(inquiry.mine(results), results.c.tool == tool, *span.on(results.c.occurred_at))
        .subquery()
    )
    by = [made.c.calibration, made.c.stream_id, *((made.c.unit,) if by_unit else ())]
    return (
        select(
            func.min(made.c.occurred_at).label("first_at"),
            func.max(made.c.occurred_at).label("last_at"),
            *by,
            func.max(made.c.station).label("station"),
            func.count().label("results"),
            func.sum(case((made.c.ok == 0, 1), else_=0)).label("not_ok"),
            func.count(made.c.unit.distinct()).label("units"),
            func.min(made.c.seq).label("first_seq"),
            func.max(made.c.seq).label("last_seq"),
        )
        .group_by(*by)
        .order_by(func.min(made.c.occurred_at), made.c.stream_id)
    )


def stated_query(inquiry: Inquiry, tool: str) -> Select[Any]:
    """Return the question for what controllers said of when the tool was calibrated."""
    tools = views.tools
    return (
        select(func.min(tools.c.occurred_at).label("first_at"), tools.c.calibrated.label("calibration"))
        .where(inquiry.mine(tools), tools.c.tool == tool, tools.c.calibrated.is_not(None))
        .group_by(tools.c.calibrated)
    )


def _following(stated: Sequence[Row[Any]]) -> dict[str | None, str]:
    """Return for each calibration the next one, in the order in which results or controllers named them."""
    order = dict.fromkeys(row.calibration for row in sorted(stated, key=lambda row: str(row.first_at)))
    return {now: later for now, later in pairwise(order) if later is not None}
