"""Drop the views, and make them again from the evidence."""

from collections.abc import Callable
from typing import Final, NamedTuple

from sqlalchemy import Connection, delete

from linewitness.base.clock import NS_PER_S, Clock
from linewitness.store.database import view_tables as views
from linewitness.store.database.database import Database
from linewitness.store.database.errors import StoreError
from linewitness.store.database.sqlite import SqliteBackend
from linewitness.store.database.tenants import asked_tenants
from linewitness.store.views.filler import ViewFiller, filled_streams, is_behind

#: So many steps in which nothing could be taken mean that something is wrong.
_PATIENCE: Final = 100


class Rebuilt(NamedTuple):
    """How many records the views were made from, of how many streams, and how long it took."""

    records: int
    streams: int
    seconds: float


def rebuild(
    database: Database, *, clock: Clock, tenant: str | None = None, tell: Callable[[int], object]
) -> Rebuilt:
    """Make the views of a tenant again, or of all; `tell` is told how many records were taken.

    A store that runs meanwhile may take part of the work. StoreError where a stream cannot be read.
    """
    begun, tenants = clock.stamp(), asked_tenants(database, tenant)
    drop(database, None if tenant is None else tenants)
    filler, idle = ViewFiller(database), 0
    while idle < _PATIENCE and _is_behind(database, tenants):
        taken = sum(filler.step(tenant=each) for each in tenants)
        idle = 0 if taken else idle + 1
        tell(taken)
        if filler.damage and not taken:
            break
    for origin, why in filler.damage.items():
        raise StoreError(f"the views of {origin} are not complete: {why}", hint="`linewitness store check`")
    records = streams = 0
    for each in tenants:
        with database.reading(each) as connection:
            filled = list(filled_streams(connection, each))
        records, streams = records + sum(stream.filled for stream in filled), streams + len(filled)
    elapsed_ns = clock.stamp().boottime_ns - begun.boottime_ns
    return Rebuilt(records, streams, elapsed_ns / NS_PER_S)


def drop(database: Database, tenants: list[str] | None = None) -> None:
    """Empty the views of tenants; without any, of all: the tables of a file are made anew."""
    if tenants is None and isinstance(database.backend, SqliteBackend):
        with database.writing() as connection:
            views.metadata.drop_all(connection)
            views.metadata.create_all(connection)
        return
    for tenant in asked_tenants(database, None) if tenants is None else tenants:
        with database.writing(tenant) as connection:
            _empty(connection, tenant)


def _empty(connection: Connection, tenant: str) -> None:
    # Positions first: whoever fills the views waits for this transaction then, and begins anew.
    for view in sorted(views.VIEWS, key=lambda view: view is not views.view_positions):
        connection.execute(delete(view).where(view.c.tenant == tenant))


def _is_behind(database: Database, tenants: list[str]) -> bool:
    for tenant in tenants:
        with database.reading(tenant) as connection:
            if any(map(is_behind, filled_streams(connection, tenant))):
                return True
    return False
