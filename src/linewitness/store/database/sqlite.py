"""A store in one SQLite file: the embedded profile."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, create_engine, event, insert, inspect, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from linewitness.base import room
from linewitness.base.durable import create_private
from linewitness.base.inspection import INSTRUCTIONS
from linewitness.store.database import tables, view_tables
from linewitness.store.database.backend import Backend
from linewitness.store.database.errors import StoreError, StoreFull

_BUSY_S: Final = 30
_WRITES: Final = "linewitness_writes"
#: After a long reader the log is as large as it became: it is cut when it begins again.
LOG_BYTES: Final = 32 * 2**20
_PRAGMAS: Final = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    f"journal_size_limit={LOG_BYTES}",
)


class SqliteBackend(Backend):
    """One file, and the one program that writes it."""

    def __init__(self, url: URL, *, pragmas: Sequence[str] = ()) -> None:
        """Prepare; nothing is opened yet. `pragmas` come after ours."""
        self.file = Path(url.database or "")
        self.name = str(self.file)
        self.engine = create_engine(url, connect_args={"timeout": _BUSY_S})
        event.listen(self.engine, "connect", partial(_on_connect, (*_PRAGMAS, *pragmas)))
        event.listen(self.engine, "begin", _on_begin)

    def create(self) -> None:
        """Make the tables, if they are not there; a new file is for its owner alone."""
        try:
            create_private(self.file)
        except OSError as error:
            raise StoreError(
                f"{self.file}: {error.strerror}", hint="check the disk and the rights to the folder"
            ) from error
        with self._transaction(writes=True) as connection:
            if inspect(connection).has_table(tables.store.name):
                _require_version(connection)
                _make_all(connection)
                return
            _make_all(connection)
            connection.execute(insert(tables.store).values(schema=tables.SCHEMA))

    def exists(self) -> bool:
        """Say whether there is a file."""
        return self.file.is_file()

    def is_empty(self) -> bool:
        """Say whether there is nothing: no file, or one without any table. The file is not changed."""
        if not self.file.is_file():
            return True
        address = f"{self.file.absolute().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(address, uri=True)) as connection:
                return not connection.execute("SELECT name FROM sqlite_master").fetchall()
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{self.file}: {error}", hint="name a new file") from None

    def check(self) -> None:
        """Require a database that `create` made: a missing one is never replaced by an empty one."""
        if not self.file.is_file():
            raise self._no_store()
        with self._transaction(writes=False) as connection:
            if not inspect(connection).has_table(tables.store.name):
                raise self._no_store()
            _require_version(connection)
            known = set(inspect(connection).get_table_names())
            missing = (set(tables.metadata.tables) | set(view_tables.metadata.tables)) - known
        if missing:
            # An older version of this schema made it: it goes on working with the file, and ignores the rest.
            self.create()

    def options(self, *, writes: bool) -> Mapping[str, Any]:
        """Return how a transaction is opened: one that writes locks the file at once."""
        return {_WRITES: writes}

    def use_tenant(self, connection: Connection, tenant: str) -> None:
        """Do nothing: every query names its tenant, and the file has no rights of its own."""

    def refusal(self) -> StoreFull | None:
        """Return why the disk does not take another megabyte, or None."""
        why = room.refusal_beside(self.file)
        return self._full(why) if why else None

    def error(self, error: DBAPIError) -> StoreError:
        """Return what an error of SQLite means."""
        if why := room.sqlite_refusal(error.orig, self.file):
            return self._full(why)
        return StoreError(
            f"the store's database failed: {error.orig}", hint="check the disk and the rights to the file"
        )

    @contextmanager
    def guarded(self, connection: Connection, left: Callable[[], bool]) -> Iterator[None]:
        """Let SQLite ask during each query whether to end it: one that starts late is interrupted as well."""
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(left, INSTRUCTIONS)
        try:
            yield
        finally:
            driver.set_progress_handler(None, 0)  # the connection goes back to the pool

    def _full(self, why: str) -> StoreFull:
        return StoreFull(
            f"the disk of {self.file} is full: {why.lower()}",
            hint="free space on it; gateways send again what has no receipt",
        )

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Connection]:
        options = self.options(writes=writes)
        with self.engine.connect().execution_options(**options) as connection, connection.begin():
            yield connection

    def _no_store(self) -> StoreError:
        return StoreError(
            f"there is no audit store in {self.file}",
            hint="`linewitness store init` makes a new one; if there was one, restore it",
        )


def _make_all(connection: Connection) -> None:
    tables.metadata.create_all(connection)
    view_tables.metadata.create_all(connection)


def _require_version(connection: Connection) -> None:
    schema = connection.execute(select(tables.store.c.schema)).scalar_one()
    if schema != tables.SCHEMA:
        raise StoreError(
            f"the database is of schema {schema}, this program knows {tables.SCHEMA}",
            hint="use the version of linewitness that made it, or a newer one",
        )


def _on_connect(pragmas: Sequence[str], connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we begin transactions ourselves, see below
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}")


def _on_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
