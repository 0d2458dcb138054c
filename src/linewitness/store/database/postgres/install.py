"""Make a store in PostgreSQL, or bring it to this version: as an administrator, once a version."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from linewitness.store.database.errors import StoreError
from linewitness.store.database.postgres import roles

_MIGRATIONS: Final = "linewitness.store.database.postgres:migrations"
_HEAD: Final = "head"
_AS_OWNER: Final = f"SET ROLE {roles.OWNER};\nSET linewitness.migration = 'on';\n"
_AS_ADMINISTRATOR: Final = "RESET ROLE;\nRESET linewitness.migration;\n"


@dataclass(frozen=True, slots=True)
class Installed:
    """What was done: the passwords of new roles, and what the administrator's rights did not allow."""

    passwords: dict[str, str]
    warnings: tuple[str, ...]


def install(admin_url: URL) -> Installed:
    """Make roles, tables, rights and policies, or bring them to this version; all of it, or nothing.

    StoreError where the administrator may not do it, or the server says no.
    """
    warnings = []
    with _administrator(admin_url) as connection:
        passwords = {role: secrets.token_urlsafe(24) for role in _without_password(connection)}
        _run(connection, roles.prelude(passwords))
        _run(connection, _AS_OWNER)
        configuration = _configuration()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, _HEAD)
        _run(connection, _AS_ADMINISTRATOR)
        if connection.exec_driver_sql("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").scalar():
            _run(connection, roles.closing())
        else:
            warnings.append(
                "the administrator is no superuser: run the end of `store init --print-sql` as one, so that "
                "injected SQL cannot name another tenant and nobody drops evidence by accident"
            )
    return Installed(passwords, tuple(warnings))


def script() -> str:
    """Return the same as SQL, for an administrator who runs it himself; it sets no passwords."""
    printed = StringIO()
    configuration = _configuration(printed)
    command.upgrade(configuration, _HEAD, sql=True)
    return (
        "-- Run this as a superuser in the database of the store, with psql -v ON_ERROR_STOP=1 -1.\n"
        "-- Then give the roles that log in their passwords: \\password linewitness_ledger …\n"
        + roles.prelude({})
        + _AS_OWNER
        # The driver would take a single percent sign for a value; psql does not.
        + printed.getvalue().replace("%%", "%").replace("BEGIN;", "", 1).rpartition("COMMIT;")[0]
        + _AS_ADMINISTRATOR
        + roles.closing()
    )


def _configuration(output: StringIO | None = None) -> Config:
    configuration = Config(output_buffer=output)
    configuration.set_main_option("script_location", _MIGRATIONS)
    configuration.set_main_option("path_separator", "os")
    return configuration


@contextmanager
def _administrator(url: URL) -> Iterator[Connection]:
    engine = create_engine(url.set(drivername="postgresql+psycopg"))
    try:
        with engine.connect() as connection, connection.begin():
            yield connection
    except DBAPIError as error:
        what = str(error.orig).strip().partition("\n")[0]
        raise StoreError(
            f"{url.render_as_string()}: {what}", hint="an administrator who may create roles is needed"
        ) from error
    finally:
        engine.dispose()


def _without_password(connection: Connection) -> list[str]:
    """Return the roles that this installation makes: one that is there keeps its password."""
    known = connection.exec_driver_sql("SELECT rolname FROM pg_roles").scalars().all()
    return [role for role in roles.LOGINS if role not in known]


def _run(connection: Connection, statements: str) -> None:
    """Run several statements as they stand."""
    driver = connection.connection.driver_connection
    if driver is None:
        raise AssertionError("there is no connection below this one")
    driver.execute(statements)
