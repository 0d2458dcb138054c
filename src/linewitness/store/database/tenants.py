"""Ask one tenant after the other: no query crosses from one to another."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Select, select

from linewitness.base.errors import ConfigurationError
from linewitness.store.database import tables
from linewitness.store.database.database import Database


def tenants_of(database: Database) -> list[str]:
    """Return the names of all tenants that have enrolled streams."""
    with database.reading() as connection:
        names = select(tables.tenants.c.tenant).order_by(tables.tenants.c.tenant)
        return list(connection.execute(names).scalars())


def the_tenant(database: Database, named: str | None) -> str:
    """Return the tenant that was named, or the only one; ConfigurationError where that is not clear."""
    known = tenants_of(database)
    if named is not None and named not in known:
        raise ConfigurationError(
            f"no stream of a tenant {named} is enrolled here", hint="`linewitness store status` lists all"
        )
    if named is None and len(known) > 1:
        raise ConfigurationError(
            f"{len(known)} tenants have streams here", hint="name the one in question with --tenant"
        )
    return named or next(iter(known), "")


def asked_tenants(database: Database, named: str | None, *, about: str | None = None) -> list[str]:
    """Return whom a question is about: the tenant that it names, or all.

    The name of a stream or of a unit means nothing without its tenant's: a question `about` it is to one.
    """
    return tenants_of(database) if named is None and about is None else [the_tenant(database, named)]


def retention_of(connection: Connection, tenant: str) -> int | None:
    """Return for how many days a tenant's records are kept; None for ever, and where nobody has said."""
    said = tables.retentions
    newest = select(said.c.days).where(said.c.tenant == tenant).order_by(said.c.id.desc()).limit(1)
    days: int | None = connection.execute(newest).scalar_one_or_none()
    return days


def retired(connection: Connection, tenant: str) -> list[tuple[str, str]]:
    """Return the streams of a tenant that are at their end, and since when."""
    streams, ends = tables.streams, tables.retirements
    query = (
        select(streams.c.origin, ends.c.retired_at)
        .join(ends, ends.c.stream_id == streams.c.id)
        .where(streams.c.tenant == tenant)
        .order_by(streams.c.id)
    )
    return [(row.origin, row.retired_at) for row in connection.execute(query)]


def rows_of(database: Database, query: Select[Any], *, tenant: str | None = None) -> Iterator[Any]:
    """Yield the rows of a query that names `streams`, of one tenant or of one after the other."""
    for each in asked_tenants(database, tenant):
        with database.reading(each) as connection:
            yield from connection.execute(query.where(tables.streams.c.tenant == each))
