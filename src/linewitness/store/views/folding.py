"""Put rows into the views: where two rows have one key, they become one."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, case, func
from sqlalchemy.dialects import postgresql, sqlite

from linewitness.store.views.rows import FOLDED
from linewitness.store.views.viewed import ViewRow

FoldedRows = dict[Table, list[dict[str, Any]]]

_IN_PYTHON: Final[Mapping[str, Callable[[Any, Any], Any]]] = MappingProxyType(
    {
        "last": lambda old, new: old if new is None else new,
        "sum": lambda old, new: old + new,
        "least": min,
        "most": max,
    }
)
_IN_SQL: Final[Mapping[str, Callable[[Any, Any], ColumnElement[Any]]]] = MappingProxyType(
    {
        "last": lambda old, new: func.coalesce(new, old),
        "sum": lambda old, new: old + new,
        "least": lambda old, new: case((new < old, new), else_=old),
        "most": lambda old, new: case((new > old, new), else_=old),
    }
)


def folded(rows: Iterable[ViewRow], place: Mapping[str, Any]) -> FoldedRows:
    """Return rows by their tables, each with `place` (tenant and stream), and one for each key."""
    found: FoldedRows = {}
    by_key: dict[tuple[Any, ...], dict[str, Any]] = {}
    for table, values in rows:
        row = {**place, **values}
        rules = FOLDED.get(table)
        if rules is not None:
            key = (table.name, *(row[column.name] for column in table.primary_key))
            before = by_key.setdefault(key, row)
            if before is not row:
                for name, rule in rules.items():
                    before[name] = _IN_PYTHON[rule](before[name], row[name])
                continue
        found.setdefault(table, []).append(row)
    return found


def store_rows(connection: Connection, rows: FoldedRows) -> None:
    """Add rows to the views."""
    for table, values in rows.items():
        connection.execute(_statement(table, connection.dialect.name), values)


@lru_cache(maxsize=64)
def _statement(table: Table, dialect: str) -> Any:
    into = (sqlite if dialect == "sqlite" else postgresql).insert(table)
    rules = FOLDED.get(table)
    if rules is None:
        return into
    if not rules:
        return into.on_conflict_do_nothing()
    key = [column.name for column in table.primary_key]
    return into.on_conflict_do_update(index_elements=key, set_=dict(_sets(table, into, rules)))


def _sets(table: Table, into: Any, rules: Mapping[str, str]) -> Iterator[tuple[str, ColumnElement[Any]]]:
    for name, rule in rules.items():
        yield name, _IN_SQL[rule](table.c[name], into.excluded[name])
