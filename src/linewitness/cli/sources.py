"""Open the source of a command: a line's YAML, a journal's folder, exported records, or a package."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from linewitness.base.errors import ConfigurationError

if TYPE_CHECKING:
    from linewitness.evidence.verify.source import EvidenceSource
    from linewitness.journal.reader import JournalReader
    from linewitness.store.database.database import Database
    from linewitness.store.options import AuditStoreOptions

_JOURNAL: Final = "journal.sqlite"

StoreFile = Annotated[Path, typer.Argument(help="The audit store's YAML.", show_default=False)]
TenantName = Annotated[
    str | None,
    typer.Option("--tenant", help="The tenant; to be named where several have streams here."),
]


@contextmanager
def evidence(source: Path) -> "Iterator[EvidenceSource]":
    """Open an evidence package, exported records, or the journal that `journal` finds."""
    from linewitness.evidence.package.open import is_evidence, open_evidence
    from linewitness.journal.source import journal_source

    if source.name != _JOURNAL and is_evidence(source):
        with open_evidence(source) as opened:
            yield opened
    else:
        with journal(source) as reader:
            yield journal_source(reader)


@contextmanager
def journal(source: Path) -> "Iterator[JournalReader]":
    """Open the journal of a line's YAML, or the one in a folder."""
    from linewitness.journal.reader import JournalReader

    with JournalReader(_directory(source)) as reader:
        yield reader


def _directory(source: Path) -> Path:
    from linewitness.config import load

    if source.is_dir():
        return source
    if source.name == _JOURNAL:
        return source.parent
    if not source.exists():
        raise ConfigurationError(f"there is no {source}", hint="name the line's YAML or its journal's folder")
    return load(source).journal.directory


def load_store(file: Path) -> "AuditStoreOptions":
    """Return the settings of a store's YAML, its paths absolute; errors are those of `config.load_as`."""
    from linewitness.config import load_as
    from linewitness.store.options import AuditStoreOptions

    return load_as(file, AuditStoreOptions).seen_from(file.absolute().parent)


@contextmanager
def store_database(file: Path) -> "Iterator[Database]":
    """Open the database that a store's YAML names; StoreError if it is none."""
    from linewitness.store.database.database import Database
    from linewitness.store.database.upgrade import upgrade

    options = load_store(file)
    database = Database(options.database_url, password=options.database_password)
    try:
        if upgrade(database):
            typer.echo("the store's database was brought to this version", err=True)
        database.check()
        yield database
    finally:
        database.close()
