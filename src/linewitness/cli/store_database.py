"""`linewitness store init`: the database, in a file or on a PostgreSQL server."""

import sys
from typing import TYPE_CHECKING

import typer

from linewitness.base.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.engine import URL

    from linewitness.store.options import AuditStoreOptions


def make_database(options: "AuditStoreOptions", admin_url: str | None) -> None:
    """Make the database that a store's YAML names, and print what there is to keep."""
    if options.database_file is None:
        _make_on_server(options, admin_url)
    elif admin_url is not None:
        raise ConfigurationError(
            "--admin-url is for a store in PostgreSQL, and this YAML names a file",
            hint="write database: postgresql://linewitness_ledger@HOST/DATABASE",
        )
    else:
        _make_file(options, options.database_file)


def print_script() -> None:
    """Print the SQL for an administrator who runs it himself."""
    from linewitness.store.database.postgres.install import script

    sys.stdout.write(script())


def _make_file(options: "AuditStoreOptions", file: "Path") -> None:
    from linewitness.base.durable import make_folder
    from linewitness.store.database.database import Database

    make_folder(file.parent, mode=0o700)
    database = Database(options.database_url)
    try:
        if not database.is_empty():
            raise ConfigurationError(f"there is a database in {file} already", hint="nothing was changed")
        database.create()
    finally:
        database.close()
    typer.echo(f"database    {file}")


def _make_on_server(options: "AuditStoreOptions", admin_url: str | None) -> None:
    from linewitness.store.database.database import Database
    from linewitness.store.database.postgres.install import install

    name = options.database_url.render_as_string()
    if admin_url is not None:
        installed = install(_admin_url(options, admin_url))
        for role, password in installed.passwords.items():
            typer.echo(f"password    {role} {password}")
        for warning in installed.warnings:
            typer.echo(f"warning: {warning}", err=True)
        if installed.passwords:
            typer.echo("Keep them now: they are shown once. The ledger's goes into database_password.")
    else:
        database = Database(options.database_url, password=options.database_password)
        try:
            database.check()
        finally:
            database.close()
    typer.echo(f"database    {name}")


def _admin_url(options: "AuditStoreOptions", text: str) -> "URL":
    """Return the administrator's URL of the database that the YAML names."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # Not repeated: there may be a password in it.
        raise ConfigurationError(
            "what --admin-url names is no URL", hint="it looks like postgresql://postgres@HOST/DATABASE"
        ) from None
    named = options.database_url.database
    if url.database and url.database != named:
        raise ConfigurationError(
            f"the YAML names the database {named}, and --admin-url {url.database}",
            hint="name the same database in both",
        )
    return url
