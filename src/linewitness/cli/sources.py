"""Open the source of a command: a line's YAML, a journal's folder, exported records, or a package."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import is_zipfile

from linewitness.base.errors import ConfigurationError

if TYPE_CHECKING:
    from linewitness.evidence.package.archive import Package
    from linewitness.evidence.package.time_stamps import Stamped
    from linewitness.evidence.policy.policy import Policy
    from linewitness.evidence.verify.statements import Statement
    from linewitness.evidence.verify.verdict import Verdict
    from linewitness.journal.reader import JournalReader


@dataclass(frozen=True, slots=True)
class Evidence:
    """Records, the signed statements about them, and the function that verifies both.

    `records` may be called repeatedly; `total` is None where the number of records is not known in advance.
    """

    records: Callable[[], Iterator[bytes]]
    statements: "Sequence[Statement]"
    judge: "Callable[[Policy | None, Callable[[int], None]], Verdict]"
    total: int | None = None


@contextmanager
def evidence(source: Path) -> Iterator[Evidence]:
    """Open exported records, an evidence package, or the journal that `journal` finds."""
    from linewitness.evidence.verify.stream import read_ndjson

    if source.is_file() and source.suffix in (".ndjson", ".jsonl"):
        yield _stream(lambda: read_ndjson(source), _beside(source))
        return
    if source.suffix == ".zip" or (source.is_file() and is_zipfile(source)):
        with _package(source) as packed:
            yield packed
        return
    with journal(source) as reader:
        # A gateway may be writing: read the statements first, so that the records they cover are present.
        statements = _statements(reader)
        size = reader.size()

        def records() -> Iterator[bytes]:
            return (data for _, data in reader.records(0, size))

        if reader.pruned:
            yield Evidence(records, statements, partial(_kept, reader, statements), size)
        else:
            yield _stream(records, statements, size)


@contextmanager
def _package(source: Path) -> Iterator[Evidence]:
    from linewitness.evidence.package.archive import Package

    if not source.is_file():
        raise ConfigurationError(f"there is no {source}", hint="name an evidence package (.zip)")
    with Package.open(source) as package:
        if package.is_selection:
            yield Evidence(package.records, package.proven(), partial(_selected, package))
        else:
            yield _stream(package.records, package.statements())


def _stream(
    records: Callable[[], Iterator[bytes]], statements: "Sequence[Statement]", total: int | None = None
) -> Evidence:
    """Return evidence that is a whole stream."""
    from linewitness.cli.stamps import signatures
    from linewitness.evidence.verify.stream import verify

    def judge(policy: "Policy | None", progress: Callable[[int], None]) -> "Verdict":
        return verify(
            records(),
            policy=policy,
            statements=statements,
            verifies=signatures(),
            workers=os.cpu_count() or 1,
            progress=progress,
        )

    return Evidence(records, statements, judge, total)


def _kept(
    reader: "JournalReader",
    statements: "Sequence[Statement]",
    policy: "Policy | None",
    progress: Callable[[int], None],
) -> "Verdict":
    from linewitness.cli.stamps import signatures
    from linewitness.journal.proofs import verify_kept

    return verify_kept(
        reader,
        policy,
        statements=statements,
        verifies=signatures(),
        workers=os.cpu_count() or 1,
        progress=progress,
    )


def _selected(package: "Package", policy: "Policy | None", progress: Callable[[int], None]) -> "Verdict":
    from linewitness.cli.stamps import signatures
    from linewitness.evidence.verify.selection import verify_selection

    if policy is None:
        raise ConfigurationError(
            "a selection proves nothing without a policy: it cannot say itself whose word counts",
            hint="give --policy, from your own files and not from whoever gave you the package",
        )
    return verify_selection(
        package.records(),
        package.key_records(),
        package.proof_of,
        policy=policy,
        statements=package.statements(),
        verifies=signatures(),
        workers=os.cpu_count() or 1,
        progress=progress,
    )


@contextmanager
def journal(source: Path) -> Iterator["JournalReader"]:
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


def _statements(reader: "JournalReader") -> "list[Statement]":
    from linewitness.evidence.verify.statements import Statement, Token
    from linewitness.journal.attestations import is_time_stamp

    statements = [Statement(f"receipt over {size} records", note) for size, note in reader.receipts()]
    for one in reader.attestations():
        source = f"{one.source} over {one.size} records"
        token = Token(source, one.proof) if one.proof and is_time_stamp(one.source) else None
        statements.append(Statement(source, one.note, token))
    newest = reader.newest_checkpoint()
    if newest is not None:
        statements.append(Statement(f"checkpoint over {newest[0]} records", newest[1]))
    return statements


def _beside(source: Path) -> "list[Statement]":
    from linewitness.evidence.verify.statements import Statement

    path = source.with_suffix(".receipts")
    if not path.exists():
        return []
    notes = path.read_text(encoding="utf-8").split("\x1e")
    return [Statement(f"{path.name}[{index}]", note) for index, note in enumerate(notes) if note]


class JournalHoldings:
    """A journal as the source of evidence packages."""

    def __init__(self, reader: "JournalReader") -> None:
        """Take an open reader."""
        self._reader = reader
        self.origin = reader.identity.stream
        self.size = reader.size()
        self.first = reader.pruned
        self.subtree = reader.tree().subtree

    def records(self) -> Iterator[tuple[int, bytes]]:
        """Yield the records that the journal holds."""
        return self._reader.records(0, self.size)

    def of_unit(self, unit: str) -> Iterator[tuple[int, bytes]]:
        """Yield the records of one unit."""
        return self._reader.of_unit(unit)

    def key_records(self) -> Iterator[tuple[int, bytes]]:
        """Yield record 0 and the rotations."""
        return self._reader.key_records()

    def notes(self) -> Iterator[str]:
        """Yield receipts and the notes of witnesses and other anchors."""
        yield from (note for _, note in self._reader.receipts())
        yield from (one.note for one in self._reader.attestations())

    def stamps(self) -> "Iterator[Stamped]":
        """Yield the tokens of time-stamping authorities, oldest first."""
        from linewitness.evidence.package.time_stamps import Stamped
        from linewitness.journal.attestations import TIME_STAMP, is_time_stamp

        for one in self._reader.attestations():
            if one.proof and is_time_stamp(one.source):
                yield Stamped(one.size, one.source.removeprefix(TIME_STAMP), one.note, one.proof)
