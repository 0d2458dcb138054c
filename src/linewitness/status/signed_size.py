"""The newest size and root that somebody has signed: for a third party to keep, who compares them later."""

from dataclasses import dataclass
from typing import Self

from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.note import Note
from linewitness.journal.reader import JournalReader


@dataclass(frozen=True, slots=True)
class SignedSize:
    """How many records a stream has and their Merkle root (hex), with the signed note that says so."""

    size: int
    root: str
    note: str

    @classmethod
    def of(cls, reader: JournalReader) -> Self | None:
        """Return the newest checkpoint of a journal, with the store's signature where it has that."""
        found = [one for one in (reader.newest_receipt(), reader.newest_checkpoint()) if one]
        if not found:
            return None
        _, note = max(found, key=lambda one: one[0])
        checkpoint = Checkpoint.parse(Note.parse(note).text)
        return cls(checkpoint.size, checkpoint.root.hex(), note)
