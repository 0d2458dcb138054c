"""The signed statement "this stream has N records and this Merkle root" (C2SP tlog-checkpoint)."""

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Final, Self

from nacl.signing import SigningKey

from linewitness.evidence.format import note
from linewitness.evidence.format.canonical import MAX_INTEGER
from linewitness.evidence.format.merkle import EMPTY_ROOT
from linewitness.evidence.format.note import ED25519, BadNote, Note, Vkey

_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,15}")
_LINES: Final = 3
_ROOT_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A stream's head: its origin, the number of its records and the Merkle root over them."""

    origin: str
    size: int
    root: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the checkpoint of a note's text: exactly three lines, no extensions."""
        lines = text.split("\n")
        if len(lines) != _LINES + 1 or lines[_LINES]:
            raise BadNote("a checkpoint has exactly three lines")
        origin, size, encoded = lines[:_LINES]
        if not origin or not _SIZE.fullmatch(size) or int(size) > MAX_INTEGER:
            raise BadNote("a checkpoint's first lines are its origin and its size")
        try:
            root = b64decode(encoded, validate=True)
        except ValueError:
            raise BadNote("a checkpoint's root is not base64") from None
        if len(root) != _ROOT_BYTES or b64encode(root).decode() != encoded:
            raise BadNote("a checkpoint's root is not the base64 of 32 bytes")
        if size == "0" and root != EMPTY_ROOT:
            raise BadNote("the checkpoint of no records has a root that is not the empty tree's")
        return cls(origin, int(size), root)

    @property
    def text(self) -> str:
        """The note's text: three lines, each ended by a line feed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"

    def sign(self, key: SigningKey) -> Note:
        """Return the checkpoint as a note signed by the stream's log key; the key's name is the origin."""
        return Note(self.text, (note.sign(self.text, name=self.origin, key=key),))


def open_checkpoint(data: str, log_vkey: Vkey) -> tuple[Checkpoint, Note]:
    """Parse a note, require the log key's signature, and return checkpoint and note; BadNote otherwise."""
    signed = Note.parse(data)
    checkpoint = Checkpoint.parse(signed.text)
    if checkpoint.origin != log_vkey.name:
        raise BadNote(f"the checkpoint is of {checkpoint.origin}, not of {log_vkey.name}")
    if log_vkey.algorithm != ED25519 or signed.signed_by(log_vkey) is None:
        raise BadNote(f"the checkpoint is not signed by the log key {log_vkey.key_id}")
    return checkpoint, signed
