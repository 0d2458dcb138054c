"""`linewitness store migrate`: a store in a file is taken over by one in PostgreSQL."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from linewitness.base.errors import ConfigurationError
from linewitness.cli.progress import counting
from linewitness.cli.sources import load_store, store_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from linewitness.store.migration.migrate import MigrationStep

#: How every database of SQLite begins.
_MAGIC: Final = b"SQLite format 3\0"


def migrate(
    *,
    source: Annotated[Path, typer.Option("--from", help="The older store: its database file, or its YAML.")],
    target: Annotated[Path, typer.Option("--to", help="The YAML of the new store, in PostgreSQL.")],
) -> None:
    """Take an existing store over into PostgreSQL, verified record by record; repeat it if it was stopped.

    Stop both stores first. Nothing of the older one is changed.
    """
    from sqlalchemy.engine import URL

    from linewitness.store.database.database import SQLITE, Database
    from linewitness.store.database.upgrade import upgrade
    from linewitness.store.keys import Cosigner
    from linewitness.store.migration.migrate import migrate as steps_of
    from linewitness.store.migration.source import refuse_running

    options, file = load_store(target), _file_of(source)
    if options.database_file is not None:
        raise ConfigurationError(
            f"the database of {target} is a file",
            hint="write database: postgresql://linewitness_ledger@HOST/DATABASE",
        )
    store_key = Cosigner.load(options.name, options.key).vkey
    refuse_running(file)
    older = Database(URL.create(SQLITE, database=str(file)))
    try:
        if upgrade(older):
            typer.echo("the older database was brought to this version", err=True)
        older.check()
        with store_database(target) as database:
            total = _follow(steps_of(older, database, store_key=store_key))
    finally:
        older.close()
    typer.echo(f"taken over: {total} records and all that belongs to them; compare both stores with")
    typer.echo(f"  linewitness store check {target}")


def _follow(steps: "Iterator[MigrationStep]") -> int:
    """Say on standard error how far it is: a bar on a terminal, and a line for each stream."""
    last = None
    with counting("records") as show:
        for step in steps:
            if last is not None and (last.tenant, last.origin) != (step.tenant, step.origin):
                _say(last)
            show(step.done)
            last = step
    if last is None:
        return 0
    _say(last)
    return last.total


def _say(step: "MigrationStep") -> None:
    records = f"{step.size} records of {step.origin} of {step.tenant}"
    typer.echo(f"{records} ({step.done} of {step.total})", err=True)


def _file_of(source: Path) -> Path:
    """Return the database file that is named itself, or by its store's YAML."""
    if not source.is_file():
        raise ConfigurationError(f"there is no {source}", hint="name the older store's database or its YAML")
    with source.open("rb") as opened:
        if opened.read(len(_MAGIC)) == _MAGIC:
            return source
    file = load_store(source).database_file
    if file is None:
        raise ConfigurationError(
            f"the database of {source} is on a server", hint="only a store in a file is taken over"
        )
    if not file.is_file():
        raise ConfigurationError(f"there is no {file}", hint="it is named by " + str(source))
    return file
