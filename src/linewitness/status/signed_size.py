"""The newest size and root that somebody has signed: for a third party to keep, who compares them later."""

from dataclasses import dataclass
from typing import Self

from linewitness.base.errors import EvidenceError
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
        """Return the newest checkpoint of a journal, with the store's signature where it has that.

        None where there is none that can be read: what is damaged is the inspection's to say.
        """
        found = [one for one in (reader.newest_receipt(), reader.newest_checkpoint()) if one]
        if not found:
            return None
        _, note = max(found, key=lambda one: one[0])
        try:
            checkpoint = Checkpoint.parse(Note.parse(note).text)
        except EvidenceError:
            return None
        return cls(checkpoint.size, checkpoint.root.hex(), note)
