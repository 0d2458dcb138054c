"""The statements that make the views in PostgreSQL, as the tables of this version say.

A migration that changes a view drops all of them and makes them anew: they hold nothing that is not in the
evidence, so that an earlier shape of them is no part of history.
"""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import MetaData
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from linewitness.store.database.view_tables import VIEWS

_SCHEMA: Final = "views"
_OWN: Final = "tenant = current_setting('linewitness.tenant', true)"


def make_views() -> Iterator[str]:
    """Yield what makes all views: tables and indexes, the ledger's rights, and row-level security."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    for view in VIEWS:
        table = view.to_metadata(MetaData(), schema=_SCHEMA)
        name = f"{_SCHEMA}.{table.name}"
        yield str(CreateTable(table).compile(dialect=dialect))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            yield str(CreateIndex(index).compile(dialect=dialect))
        yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO linewitness_ledger"
        yield f"GRANT SELECT ON {name} TO linewitness_desk"
        yield f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY"
        yield f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY"
        yield f"CREATE POLICY own_tenant ON {name} USING ({_OWN}) WITH CHECK ({_OWN})"
