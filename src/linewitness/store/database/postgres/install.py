"""Make a store in PostgreSQL, or bring it to this version: as an administrator, once a version."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from typing import Final

from alembic import command
from alembic.config import Config
from psycopg import OperationalError, errors
from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from linewitness.store.database.errors import StoreError
from linewitness.store.database.postgres import roles

_ADMINISTRATOR: Final = """
    SELECT rolname, rolsuper, rolcreaterole, current_database() AS database,
        pg_has_role(datdba, 'USAGE') AS owns, current_setting('server_version_num')::integer AS version
    FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()
"""
_MIGRATIONS: Final = "linewitness.store.database.postgres:migrations"
_HEAD: Final = "head"
_BEGIN: Final = "SET linewitness.migration = 'on';\n"
_AS_OWNER: Final = f"SET ROLE {roles.OWNER};\n"
_AS_ADMINISTRATOR: Final = "RESET ROLE;\n"
_END: Final = "RESET linewitness.migration;\n"
#: The oldest server that is supported, as `server_version_num` says it.
OLDEST_SERVER: Final = 150_000


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
        is_superuser = _checked(connection)
        passwords = {role: secrets.token_urlsafe(24) for role in _without_password(connection)}
        _run(connection, _BEGIN + roles.prelude(passwords) + _AS_OWNER)
        configuration = _configuration()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, _HEAD)
        _run(connection, _AS_ADMINISTRATOR + (roles.closing() if is_superuser else "") + _END)
    if not is_superuser:
        warnings.append(
            "the administrator is no superuser: run the same once more as one, so that injected SQL cannot "
            "name another tenant and nobody drops evidence by accident"
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
        + _BEGIN
        + roles.prelude({})
        + _AS_OWNER
        + printed.getvalue().replace("BEGIN;", "", 1).rpartition("COMMIT;")[0]
        + _AS_ADMINISTRATOR
        + roles.closing()
        + _END
    )


def _configuration(output: StringIO | None = None) -> Config:
    configuration = Config(output_buffer=output)
    configuration.set_main_option("script_location", _MIGRATIONS)
    configuration.set_main_option("path_separator", "os")
    return configuration


@contextmanager
def _administrator(url: URL) -> Iterator[Connection]:
    if url.get_backend_name() != "postgresql" or not url.database:
        raise StoreError(
            f"{url.render_as_string()} names no database of PostgreSQL",
            hint="it looks like postgresql://postgres@HOST/DATABASE",
        )
    engine = create_engine(url.set(drivername="postgresql+psycopg"))
    try:
        with engine.connect() as connection, connection.begin():
            yield connection
    except DBAPIError as error:
        what = str(error.orig).strip().partition("\n")[0]
        raise StoreError(f"{url.render_as_string()}: {what}", hint=_hint(error)) from error
    finally:
        engine.dispose()


def _hint(error: DBAPIError) -> str:
    if isinstance(error.orig, errors.InsufficientPrivilege):
        return "a superuser may do it, or the database's owner, who may create roles (CREATEROLE)"
    if isinstance(error.orig, OperationalError):
        return "check --admin-url, and that the database is there: CREATE DATABASE makes an empty one"
    return "nothing was changed; the server's log says more"


def _checked(connection: Connection) -> bool:
    """Require a server and an administrator that will do, and return whether that is a superuser."""
    found = connection.exec_driver_sql(_ADMINISTRATOR).one()
    if found.version < OLDEST_SERVER:
        raise StoreError(
            f"the server is PostgreSQL {found.version // 10_000}: it is too old",
            hint=f"version {OLDEST_SERVER // 10_000} or newer is needed",
        )
    if not found.rolsuper and not (found.rolcreaterole and found.owns):
        missing = "does not own the database" if found.rolcreaterole else "may not create roles"
        raise StoreError(
            f"{found.rolname} {missing} {found.database if found.rolcreaterole else ''}".strip(),
            hint="a superuser may do it, or the database's owner, who may create roles (CREATEROLE)",
        )
    return bool(found.rolsuper)


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
