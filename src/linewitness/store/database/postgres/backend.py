"""A store in PostgreSQL: the plant's profile."""

import base64
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread
from typing import Any, Final

import psycopg
from psycopg import errors, sql
from sqlalchemy import Connection, Engine, create_engine, event, inspect, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from linewitness.base.room import PROBE_BYTES
from linewitness.base.secrets import Secret
from linewitness.store.database import tables
from linewitness.store.database.backend import Backend
from linewitness.store.database.errors import StoreAway, StoreError, StoreFull, StoreMoved, StoreUnready
from linewitness.store.database.statements import month_of
from linewitness.store.database.text import without_nul

_CONNECT_S: Final = 10
#: A server that is silent for so long is away. Linux gives up what nobody acknowledges.
_SILENT_S: Final = 30
#: A role may give itself other settings for its next sessions: these come after them. All looks are along an
#: index, also where the planner knows nothing of a new month's tables yet.
_SETTINGS: Final = (
    "-c search_path=evidence,views -c synchronous_commit=on -c client_encoding=UTF8 -c row_security=on "
    "-c enable_bitmapscan=off"
)
#: How often a query that runs is asked about by whoever may end it.
_LOOK_S: Final = 0.2
_FULL: Final = (errors.DiskFull, errors.ConfigurationLimitExceeded)
#: Nothing of these is for ever, and nothing was stored.
_AWAY: Final = (
    errors.ReadOnlySqlTransaction,
    errors.TooManyConnections,
    errors.CannotConnectNow,
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.IdleInTransactionSessionTimeout,
    errors.LockNotAvailable,
    errors.QueryCanceled,
    errors.OutOfMemory,
)
#: Why a server refuses a login for ever, in its words: libpq gives no code for them. A server that speaks
#: another language is asked again and again, and its words are shown.
_REFUSED_LOGIN: Final = re.compile(
    r"password authentication failed|no password supplied|authentication failed for user"
    r"|role .* does not exist|is not permitted to log in|no pg_hba\.conf entry"
    r"|database .* does not exist|permission denied for database"
)
#: Another writer was quicker: what is in memory is no longer true.
_MOVED: Final = (errors.UniqueViolation, errors.DeadlockDetected, errors.SerializationFailure)
_RIGHTS: Final = (errors.InsufficientPrivilege, errors.UndefinedTable, errors.InvalidSchemaName)
_WRITES: Final = "linewitness_writes"
#: A writer that is frozen keeps others waiting until the server ends its transaction; who waits gives up
#: sooner, says so and tries again. No limit of a whole statement: a commit whose wait for a standby ended by
#: it would look like one that reached the standby.
_LIMITS: Final = "SET LOCAL lock_timeout = '10s'; SET LOCAL idle_in_transaction_session_timeout = '30s'"
_PROBE: Final = (
    "INSERT INTO refusals (tenant, gateway, origin, reason, detail, first_at, last_at) "
    "VALUES ('', '', '', 'probe', %s, '', '')"
)
_UPGRADE: Final = (
    "`linewitness store init FILE --admin-url …` makes the tables or brings them to this version"
)


class PostgresBackend(Backend):
    """One database of a server."""

    def __init__(self, url: URL, password: Secret | None = None) -> None:
        """Prepare; nothing is opened yet."""
        self.name = url.render_as_string(hide_password=True)
        arguments: dict[str, Any] = {
            "options": _SETTINGS,
            "connect_timeout": _CONNECT_S,
            "application_name": "linewitness",
            "tcp_user_timeout": _SILENT_S * 1000,
            "keepalives_idle": _SILENT_S,
        }
        if password is not None:
            arguments["password"] = password.read()
        self.engine: Engine = create_engine(
            url.set(drivername="postgresql+psycopg"), connect_args=arguments, pool_pre_ping=True
        )
        event.listen(self.engine, "do_execute", _as_one_statement)
        event.listen(self.engine, "begin", _on_begin)
        self._months: set[int] = set()

    def create(self) -> None:
        """Do nothing: only the owner makes tables, see `postgres.install`."""
        self.check()

    def exists(self) -> bool:
        """Say whether there is a database: its server says so."""
        return True

    def is_empty(self) -> bool:
        """Say whether there is no store in it."""
        with self.engine.connect() as connection:
            return not inspect(connection).has_table(tables.store.name, schema="evidence")

    def check(self) -> None:
        """Require tables of this version, the ledger's rights, and a server that keeps what it commits."""
        with self.engine.connect() as connection:
            if not inspect(connection).has_table(tables.store.name, schema="evidence"):
                raise StoreError(f"there is no audit store in {self.name}", hint=_UPGRADE)
            schema = connection.execute(select(tables.store.c.schema)).scalar_one()
            if schema != tables.SCHEMA:
                raise StoreError(
                    f"the database is of schema {schema}, this program knows {tables.SCHEMA}", hint=_UPGRADE
                )
            for setting in ("fsync", "full_page_writes"):
                if connection.exec_driver_sql(f"SHOW {setting}").scalar_one() != "on":
                    raise StoreError(
                        f"the server of {self.name} runs with {setting} off: what it commits may be lost",
                        hint=f"set {setting} = on in postgresql.conf: a receipt says that records are kept",
                    )
            if too_many := connection.exec_driver_sql(_TOO_MANY_RIGHTS).scalars().all():
                raise StoreError(
                    f"the role {too_many[0]} may change evidence, and so may whoever has its password",
                    hint="connect as linewitness_ledger, which may only insert and read",
                )

    def options(self, *, writes: bool) -> Mapping[str, Any]:
        """Return how a transaction is opened: who reads sees one snapshot, who writes what was committed."""
        if writes:
            return {"isolation_level": "READ COMMITTED", _WRITES: True}
        return {"isolation_level": "REPEATABLE READ", _WRITES: False}

    def use_tenant(self, connection: Connection, tenant: str) -> None:
        """Let row-level security show this tenant's rows, and no others, until the transaction ends."""
        name = sql.Literal(without_nul(tenant)).as_string(None)
        connection.exec_driver_sql(f"SET LOCAL linewitness.tenant = {name}".replace("%", "%%"))

    def prepare(self, at: str) -> None:
        """Make the tables of a month, if they are not there yet."""
        month = month_of(at)
        if month in self._months:
            return
        with self.engine.connect() as connection, connection.begin():
            connection.exec_driver_sql("SELECT make_month(%s)", (month,))
        self._months.add(month)

    def refusal(self) -> StoreUnready | None:
        """Return why nothing can be stored now, or None: a megabyte is written, and not kept."""
        probe = base64.b85encode(os.urandom(PROBE_BYTES)).decode()  # nothing that could be compressed
        try:
            with self.engine.connect() as connection, connection.begin() as transaction:
                if connection.exec_driver_sql("SHOW transaction_read_only").scalar_one() == "on":
                    return self._away("the server is read-only")
                connection.exec_driver_sql(_PROBE, (probe,))
                transaction.rollback()
        except DBAPIError as error:
            found = self.error(error)
            if isinstance(found, StoreUnready):
                return found
            raise
        return None

    def error(self, error: DBAPIError) -> StoreError:
        """Return what an error of PostgreSQL means; nothing was committed."""
        found = error.orig
        what = _first_line(found)
        if isinstance(found, _FULL):
            return StoreFull(
                f"the disk of {self.name} is full: {what}",
                hint="free space on the server; gateways send again what has no receipt",
            )
        if isinstance(found, _MOVED):
            return StoreMoved(
                f"another program wrote to {self.name} at the same time: {what}",
                hint="only one worker may serve a gateway; it is tried again",
            )
        if _is_refused_login(found, what):
            return StoreError(f"{self.name}: {what}", hint="check the user and database_password in the YAML")
        if isinstance(found, _RIGHTS):
            return StoreError(f"{self.name}: {what}", hint=f"connect as linewitness_ledger; {_UPGRADE}")
        if isinstance(found, _AWAY) or _is_lost(found, error):
            return self._away(what)
        return StoreError(f"the database {self.name} failed: {what}", hint="look into the server's log")

    def _away(self, what: str) -> StoreAway:
        return StoreAway(
            f"the database {self.name} is away: {what}", hint="it is tried again until it is there"
        )

    @contextmanager
    def guarded(self, connection: Connection, left: Callable[[], bool]) -> Iterator[None]:
        """Cancel the query of a block once `left` says so: a thread of its own looks."""
        driver: Any = connection.connection.driver_connection
        done = Event()
        watch = Thread(target=partial(_watch, driver, left, done), name="store:guard", daemon=True)
        watch.start()
        try:
            yield
        finally:
            done.set()
            watch.join()


#: What the role that is connected, or one that it may become, can do to evidence besides inserting.
_TOO_MANY_RIGHTS: Final = """
    SELECT current_user FROM pg_tables, unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE']) AS deed
    WHERE schemaname = 'evidence'
    AND has_table_privilege(quote_ident(schemaname) || '.' || quote_ident(tablename), deed)
    LIMIT 1
"""


def _as_one_statement(
    cursor: "psycopg.Cursor[Any]", statement: str, parameters: Any, _context: object
) -> bool:
    """Let the server refuse a text of several statements: without values, psycopg would run them all.

    What is injected into a query is so a part of one SELECT, which can name no other tenant.
    """
    if parameters or isinstance(cursor, psycopg.ServerCursor):
        return False  # then psycopg's protocol takes one statement alone
    cursor.execute(statement, parameters, prepare=True)
    return True


def _on_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES)
    if writes is not None:
        # Never READ WRITE in so many words: a server that is to take nothing says so by its default.
        # Our own words, several in one: the driver itself takes them.
        driver: Any = connection.connection.driver_connection
        driver.execute(_LIMITS if writes else "SET TRANSACTION READ ONLY")


def _is_refused_login(found: BaseException | None, what: str) -> bool:
    if isinstance(found, errors.InvalidPassword | errors.InvalidAuthorizationSpecification):
        return True
    return isinstance(found, psycopg.OperationalError) and bool(_REFUSED_LOGIN.search(what))


def _watch(driver: "psycopg.Connection[Any]", left: Callable[[], bool], done: Event) -> None:
    while not done.wait(_LOOK_S):
        if left():
            driver.cancel_safe()
            return


def _is_lost(found: BaseException | None, error: DBAPIError) -> bool:
    """Return whether the connection is gone or never was: psycopg has no class of its own for most of it."""
    if error.connection_invalidated:
        return True
    return isinstance(found, psycopg.OperationalError) and (
        found.sqlstate is None or found.sqlstate[:2] in ("08", "57", "53")
    )


def _first_line(error: BaseException | None) -> str:
    return str(error).strip().partition("\n")[0]
