"""What a command is told to read: a line's YAML, a journal's folder, exported records, or a package."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from linewitness.base.errors import ConfigurationError

if TYPE_CHECKING:
    from linewitness.evidence.verify.source import EvidenceSource
    from linewitness.journal.reader import JournalReader


@contextmanager
def evidence(source: Path) -> "Iterator[EvidenceSource]":
    """Open what is named: an evidence package, exported records, or the journal that `journal` finds."""
    from linewitness.evidence.package.open import is_evidence, open_evidence
    from linewitness.journal.source import journal_source

    if is_evidence(source):
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
    if source.name == "journal.sqlite":
        return source.parent
    if not source.exists():
        raise ConfigurationError(f"there is no {source}", hint="name the line's YAML or its journal's folder")
    return load(source).journal.directory
