"""The tables that the store's code knows are those that PostgreSQL has; what rows need there is added."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import pytest
from sqlalchemy import Inspector, Integer, LargeBinary, Table, UniqueConstraint, create_engine, inspect
from sqlalchemy.dialects.postgresql import BYTEA
from sqlalchemy.types import BIGINT, INTEGER, TEXT, TypeEngine

from linewitness.store.database import tables
from linewitness.store.database.text import StoredText
from linewitness.store.database.view_tables import VIEWS
from support.postgres import Cluster

#: PostgreSQL has them in each row: who owns it, and the month that it is a part of.
_OF_EVERY_ROW: Final = frozenset({"tenant", "month"})
_BY_MONTH: Final = frozenset({"runs", "entries"})
#: What refers to nothing there: a check for each record would cost more than the record, and views are made
#: again without their streams.
_WITHOUT_REFERENCES: Final = frozenset({"entries", "heads", "notices"})
_TYPES: Final[dict[type[TypeEngine[Any]], tuple[type[TypeEngine[Any]], ...]]] = {
    Integer: (INTEGER, BIGINT),
    StoredText: (TEXT,),
    LargeBinary: (BYTEA,),
}


@pytest.fixture(scope="module")
def catalogue(postgres: Cluster) -> Iterator[Inspector]:
    url = postgres.new_store().set(drivername="postgresql+psycopg", username="postgres")
    engine = create_engine(url)
    yield inspect(engine)
    engine.dispose()


def schema_of(table: Table) -> str:
    return "evidence" if table in tables.EVIDENCE or table is tables.store else "views"


def own(columns: Iterable[str]) -> frozenset[str]:
    return frozenset(columns) - _OF_EVERY_ROW


def test_no_table_is_in_one_of_them_alone(catalogue: Inspector) -> None:
    known = {(schema_of(table), name) for name, table in tables.metadata.tables.items()}
    there = {
        (schema, name)
        for schema in ("evidence", "views")
        for name in catalogue.get_table_names(schema=schema)
    }
    parts = {(schema, name) for schema, name in there if name[-6:].isdigit()}
    made = {("views", table.name) for table in VIEWS}  # from the very tables that are compared here
    assert there - parts - {("evidence", "alembic_version")} == known | made


@pytest.mark.parametrize("table", tables.metadata.tables.values(), ids=str)
def test_columns_agree(catalogue: Inspector, table: Table) -> None:
    there = {column["name"]: column for column in catalogue.get_columns(table.name, schema_of(table))}
    wanted = {"month"} if table.name in _BY_MONTH else set()
    wanted |= {"tenant"} if table is not tables.store else set()
    assert set(there) == set(table.c.keys()) | wanted
    for column in table.c:
        found = there[column.name]
        assert isinstance(found["type"], _TYPES[type(column.type)]), column
        assert found["nullable"] == column.nullable, column
    assert not any(there[name]["nullable"] for name in wanted)


@pytest.mark.parametrize("table", tables.metadata.tables.values(), ids=str)
def test_keys_agree(catalogue: Inspector, table: Table) -> None:
    place = table.name, schema_of(table)
    known = own(column.name for column in table.primary_key)
    assert own(catalogue.get_pk_constraint(*place)["constrained_columns"]) == known
    unique = {
        own(column.name for column in constraint.columns)
        for constraint in table.constraints
        if isinstance(constraint, UniqueConstraint)
    }
    there = {own(constraint["column_names"]) for constraint in catalogue.get_unique_constraints(*place)}
    assert there - {known} == unique
    indexes = {index["name"] for index in catalogue.get_indexes(*place)}
    assert {index.name for index in table.indexes} <= indexes


@pytest.mark.parametrize("table", tables.metadata.tables.values(), ids=str)
def test_references_agree_and_stay_with_the_tenant(catalogue: Inspector, table: Table) -> None:
    known = {(key.parent.name, key.column.table.name) for key in table.foreign_keys}
    there = set()
    for key in catalogue.get_foreign_keys(table.name, schema_of(table)):
        assert "tenant" in key["constrained_columns"], key
        there |= {(name, key["referred_table"]) for name in own(key["constrained_columns"])}
    assert there == (set() if table.name in _WITHOUT_REFERENCES else known)
