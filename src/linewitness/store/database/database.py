"""The store's database: a snapshot to read in, a transaction to write in, and every error a StoreError."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from sqlalchemy import Connection, inspect, make_url, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from linewitness.base.secrets import Secret
from linewitness.store.database import tables
from linewitness.store.database.backend import Backend
from linewitness.store.database.errors import StoreUnready
from linewitness.store.database.sqlite import SqliteBackend

SQLITE: Final = "sqlite"


class Database:
    """The store's database, of whatever kind; every error of it is a StoreError."""

    def __init__(
        self, url: URL | str, *, password: Secret | None = None, backend: Backend | None = None
    ) -> None:
        """Prepare; nothing is opened yet."""
        self.backend = backend or _backend(make_url(url), password)

    @property
    def name(self) -> str:
        """The database in words, without a password."""
        return self.backend.name

    def create(self) -> None:
        """Make the tables, if they are not there."""
        with self._told():
            self.backend.create()

    def is_empty(self) -> bool:
        """Say whether there is nothing yet; nothing is changed."""
        with self._told():
            return self.backend.is_empty()

    def check(self) -> None:
        """Require a database that `create` made: a missing one is never replaced by an empty one."""
        with self._told():
            self.backend.check()

    def schema(self) -> int | None:
        """Return the version of the tables; None where there is no database, or no store in it."""
        if not self.backend.exists() or not self.has_table(tables.store.name):
            return None
        with self.reading() as connection:
            return int(connection.execute(select(tables.store.c.schema)).scalar_one())

    def has_table(self, name: str) -> bool:
        """Return whether there is a table."""
        with self.reading() as connection:
            return bool(inspect(connection).has_table(name))

    def refusal(self) -> StoreUnready | None:
        """Return why nothing can be stored now, or None; StoreError where that will not end by itself."""
        with self._told():
            return self.backend.refusal()

    def close(self) -> None:
        """Close all connections."""
        self.backend.engine.dispose()

    @contextmanager
    def reading(self, tenant: str | None = None) -> Iterator[Connection]:
        """Run a block in one snapshot, with the rows of one tenant, or with what belongs to none."""
        with self._transaction(tenant, writes=False) as connection:
            yield connection

    @contextmanager
    def writing(self, tenant: str | None = None) -> Iterator[Connection]:
        """Run a block in one transaction, committed durably at its end, rolled back if it raises."""
        with self._transaction(tenant, writes=True) as connection:
            yield connection

    def prepare(self, at: str) -> None:
        """Make ready to store what is accepted at a time; to be called before such a transaction."""
        with self._told():
            self.backend.prepare(at)

    def use_tenant(self, connection: Connection, tenant: str) -> None:
        """Go on with another tenant in the same transaction."""
        self.backend.use_tenant(connection, tenant)

    def guarded(self, connection: Connection, left: Callable[[], bool]) -> AbstractContextManager[None]:
        """Let queries of a block end early once `left` says so."""
        return self.backend.guarded(connection, left)

    @contextmanager
    def _transaction(self, tenant: str | None, *, writes: bool) -> Iterator[Connection]:
        options = self.backend.options(writes=writes)
        with (
            self._told(),
            self.backend.engine.connect().execution_options(**options) as connection,
            connection.begin(),
        ):
            if tenant is not None:
                self.backend.use_tenant(connection, tenant)
            yield connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self.backend.error(error) from error


def _backend(url: URL, password: Secret | None) -> Backend:
    if url.get_backend_name() == SQLITE:
        return SqliteBackend(url)
    # Only a store in PostgreSQL needs its libraries.
    from linewitness.store.database.postgres.backend import PostgresBackend  # noqa: PLC0415

    return PostgresBackend(url, password)
