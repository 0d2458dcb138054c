"""The journals of ended generations: which records of theirs no store has, and how they are handed over.

An ended journal is never changed. Once the store has said that it holds the rest, its statement lies beside
the journal's file.
"""

import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from linewitness.base.clock import Clock, to_rfc3339
from linewitness.base.durable import create_file
from linewitness.base.errors import JournalError, LinewitnessError
from linewitness.evidence.format.ended import END_FIELD, StreamEnd, StreamTakenOver, open_taken
from linewitness.evidence.format.note import BadNote, Vkey
from linewitness.evidence.format.record import parse
from linewitness.evidence.package.handover import HandoverRequest
from linewitness.journal import database
from linewitness.journal.generations.generation import Conflict
from linewitness.journal.reader import JournalReader

#: The store's statement that it holds the rest, beside the ended journal.
TAKEN_OVER: Final = "taken-over.note"
#: What to do about an ended journal that holds what the store does not have.
HAND_OVER: Final = "hand it over: `linewitness handover`, see docs/keys-and-anchors.md, a frozen stream"
_ENDED: Final = re.compile(r"ended-([0-9]+|damaged)")
_LONGEST_NOTE: Final = 65_536


@dataclass(frozen=True, slots=True)
class EndedRest:
    """What of an ended journal no receipt covers: `count` is None where the journal cannot be read."""

    folder: Path
    stream: str
    count: int | None

    @property
    def is_waiting(self) -> bool:
        """Return whether there is something that no store is known to hold, and the journal is still here."""
        if self.count == 0 or not database.path_of(self.folder).exists():
            return False
        return not (self.folder / TAKEN_OVER).exists()

    @property
    def sentence(self) -> str:
        """What is not at the store, in words."""
        count = (
            "records" if self.count is None else "1 record" if self.count == 1 else f"{self.count:,} records"
        )
        return f"{self.folder.name} holds {count} of {self.stream} that the store does not have"


def ended_folders(directory: Path) -> list[Path]:
    """Return the folders of ended generations below a journal's folder, oldest first."""
    found = [path for path in directory.glob("ended-*") if _ENDED.fullmatch(path.name)]
    return sorted(found, key=_generation)


def rests_of(directory: Path) -> tuple[EndedRest, ...]:
    """Return what each ended generation below a journal's folder holds that no receipt covers."""
    return tuple(_rest_of(folder) for folder in ended_folders(directory))


def hand_over(folder: Path, target: IO[bytes], *, clock: Clock) -> int:
    """Write what no receipt covers of an ended journal as a package, and return the number of its records.

    JournalError where there is nothing to hand over, or a gateway runs on this journal.
    """
    with JournalReader(folder) as reader:
        if reader.has_writer:
            raise JournalError(f"a gateway runs on {folder}", hint="only an ended journal is handed over")
        head, receipt = reader.head(), reader.newest_receipt()
        first, note = receipt or (0, "")
        if first >= head.size:
            raise JournalError(f"the store has a receipt for all records in {folder}: nothing is left")
        end = StreamEnd(reader.identity.stream, head.size, head.root, head.record_hash)
        conflict = Conflict.of(reader)
        request = HandoverRequest(
            end=end,
            signed_end=_signed_end(folder, end),
            receipt=note,
            records=reader.records(first, head.size),
            key_records=list(reader.key_records()),
            subtree=reader.tree().subtree,
            # Only the store's receipt of another history belongs into the package: it says where they part.
            contradiction=conflict.note if conflict and conflict.store_size is not None else None,
            created_at=to_rfc3339(clock.stamp().realtime_ns),
        )
        return request.write(target)


def note_taken_over(folder: Path, text: str, store: Vkey) -> StreamTakenOver:
    """Keep the store's statement that it holds the rest; BadNote if it is about anything else."""
    if len(text) > _LONGEST_NOTE:
        raise BadNote("this is no statement of a store")
    taken, _ = open_taken(text, store)
    with JournalReader(folder) as reader:
        head = reader.head()
        if (taken.origin, taken.size, taken.root) != (reader.identity.stream, head.size, head.root):
            raise BadNote(
                f"the statement is about {taken.size} records of {taken.origin}, and {folder.name} holds "
                f"{head.size} of {reader.identity.stream}, or others",
                hint="give the statement that the store wrote for this package",
            )
    path = folder / TAKEN_OVER
    if not path.exists():
        with database.translated(path):
            create_file(path, text.encode(), mode=0o600)
            database.own_like(folder, path)
    return taken


def _rest_of(folder: Path) -> EndedRest:
    try:
        with JournalReader(folder) as reader:
            figures = reader.ask(JournalReader.figures)
            return EndedRest(folder, reader.identity.stream, figures.pending)
    except (sqlite3.DatabaseError, LinewitnessError, TypeError, ValueError):
        # A gateway starts whatever became of the journals before its own.
        return EndedRest(folder, "a stream whose journal cannot be read", None)


def _signed_end(folder: Path, end: StreamEnd) -> str | None:
    """Return the signed end that the first records of the next generation carry, if it is about this end."""
    later = [other for other in ended_folders(folder.parent) if _generation(other) > _generation(folder)]
    successor = later[0] if later else folder.parent
    try:
        with JournalReader(successor) as reader:
            _, data = next(reader.records(0, 1))
    except (LinewitnessError, StopIteration):
        return None
    notes = [change["after"] for change in parse(data)["changes"] if change["field"] == END_FIELD]
    return notes[0] if notes and isinstance(notes[0], str) and notes[0].startswith(end.text) else None


def _generation(folder: Path) -> int:
    number = folder.name.partition("-")[2]
    return int(number) if number.isdigit() else 0
