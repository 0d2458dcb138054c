"""Which units got a lot, a part, a tool, a program or an operator: forward tracing over all streams."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Row, Select, select

from linewitness.store.database import view_tables as views
from linewitness.store.database.database import Database
from linewitness.store.questions.answers import AskedSpan, Inquiry, ViewAnswer, asking

Used = Literal["lot", "serial", "material", "tool", "program", "operator"]

_COLUMNS: Final = (
    *("unit", "how", "through", "part", "lot", "serial", "station", "first_at", "last_at"),
    *("records", "not_ok", "stream", "first_record", "last_record"),
)
#: Of components: what is asked for is in this column. A material is a part.
_OF_COMPONENTS: Final = {"lot": "lot", "serial": "serial", "material": "part"}
#: So many units are asked about in one query.
_AT_ONCE: Final = 500
#: An assembly of assemblies is no deeper; a circle of mistaken records ends here.
_DEEPEST: Final = 20


@dataclass(slots=True)
class _PartInUnit:
    """A component in a unit, over all of its records."""

    first: Row[Any]
    last: Row[Any]
    through: str
    inside: int = 0
    records: int = 0
    loaded: bool = False

    @property
    def how(self) -> str:
        """Whether it is in it."""
        if self.loaded:
            return "was loaded"
        return "is in it" if self.inside > 0 else "was removed"


def where_used(
    database: Database, what: Used, name: str, *, tenant: str | None = None, span: AskedSpan | None = None
) -> ViewAnswer:
    """Return the units that had to do with something, in a time if one is given.

    Of components and lots it goes on: a unit that is built into another one takes them along.
    """
    asked = span or AskedSpan()
    with asking(database, tenant) as inquiry:
        if what in _OF_COMPONENTS:
            rows = _components(inquiry, _OF_COMPONENTS[what], name, asked)
        else:
            rows = _uses(inquiry, what, name, asked)
        times = [time for row in rows for time in (row[7], row[8])]
        return inquiry.answer(_COLUMNS, rows, asked.around(times))


def uses_query(inquiry: Inquiry, what: str, name: str, span: AskedSpan) -> Select[Any]:
    """Return the question for what results and records name."""
    uses = views.uses
    mine = (inquiry.mine(uses), uses.c.what == what, uses.c.name == name)
    return select(uses).where(*mine, *span.over(uses.c.first_at, uses.c.last_at)).order_by(uses.c.unit)


def components_query(inquiry: Inquiry, named: ColumnElement[bool], span: AskedSpan) -> Select[Any]:
    """Return the question for components that were built in or taken out."""
    parts = views.components
    deeds = parts.c.deed.in_(("installed", "removed"))
    return select(parts).where(inquiry.mine(parts), named, deeds, *span.on(parts.c.occurred_at))


def loaded_query(inquiry: Inquiry, named: ColumnElement[bool], span: AskedSpan) -> Select[Any]:
    """Return the question for lots that were loaded, and of which a unit's requirement was met."""
    parts, met = views.components, views.met_by
    same = (met.c.tenant == parts.c.tenant) & (met.c.event_id == parts.c.event_id)
    columns = (parts.c.part, parts.c.lot, parts.c.serial, parts.c.station, parts.c.deed)
    return (
        select(met, *columns)
        .join_from(parts, met, same)
        .where(inquiry.mine(parts), named, parts.c.deed == "loaded", *span.on(met.c.occurred_at))
    )


def _uses(inquiry: Inquiry, what: str, name: str, span: AskedSpan) -> list[tuple[Any, ...]]:
    return [
        (
            *(row.unit, what, None, None, None, None, row.station, row.first_at, row.last_at),
            *(row.records, row.not_ok, inquiry.origins[row.stream_id], row.first_seq, row.last_seq),
        )
        for row in inquiry.rows(uses_query(inquiry, what, name, span))
    ]


def _components(inquiry: Inquiry, column: str, name: str, span: AskedSpan) -> list[tuple[Any, ...]]:
    parts = views.components
    named = parts.c[column] == name
    found = _folded(inquiry.rows(components_query(inquiry, named, span)), "")
    given = _folded(inquiry.rows(loaded_query(inquiry, named, span)), "")
    direct = {key[0] for key in found}
    found |= {key: part for key, part in given.items() if key[0] not in direct}
    rows, seen = list(_rows(inquiry, found)), set[str]()
    units = {key[0] for key in found}
    for _ in range(_DEEPEST):
        seen |= units
        above: dict[tuple[Any, ...], _PartInUnit] = {}
        for some in _chunks(sorted(units)):
            above |= _folded(
                inquiry.rows(components_query(inquiry, parts.c.serial.in_(some), AskedSpan())), "serial"
            )
        rows += _rows(inquiry, above)
        units = {key[0] for key in above} - seen
        if not units:
            break
    return rows


def _folded(rows: Iterable[Row[Any]], through: str) -> dict[tuple[Any, ...], _PartInUnit]:
    """Return what became of each component in each unit; `through` names the column of what brought it."""
    found: dict[tuple[Any, ...], _PartInUnit] = {}
    # Asked for in the query, SQLite would look for units instead of for what is named.
    of_units = (row for row in rows if row.unit is not None)
    for row in sorted(of_units, key=lambda row: (row.occurred_at, row.stream_id, row.seq)):
        key = (row.unit, row.part, row.lot, row.serial)
        part = found.get(key)
        if part is None:
            part = found[key] = _PartInUnit(row, row, getattr(row, through) if through else "")
        part.last, part.records = row, part.records + 1
        part.loaded = row.deed == "loaded"
        part.inside = max(0, part.inside + (1 if row.deed == "installed" else -1))
    return found


def _rows(inquiry: Inquiry, found: dict[tuple[Any, ...], _PartInUnit]) -> Iterator[tuple[Any, ...]]:
    for (unit, part, lot, serial), one in found.items():
        first, last = one.first, one.last
        stream = inquiry.origins[last.stream_id]
        yield (
            *(unit, one.how, one.through or None, part, lot, serial, last.station),
            *(first.occurred_at, last.occurred_at, one.records, None, stream),
            *(first.seq if first.stream_id == last.stream_id else None, last.seq),
        )


def _chunks(names: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(names)
    while some := list(islice(rest, _AT_ONCE)):
        yield some
