"""The proof that one record is in a stream: an index, an audit path and a checkpoint (C2SP tlog-proof)."""

import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from linewitness.evidence.format import merkle
from linewitness.evidence.format.canonical import MAX_INTEGER
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.merkle import BadProof, Subtree
from linewitness.evidence.format.note import Note

HEADING: Final = "c2sp.org/tlog-proof@v1"
MAX_CHARACTERS: Final = 1_000_000

_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,15})")
_HASH_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class TlogProof:
    """Where a record stands, the hashes from its leaf to the root, and the signed root."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: str

    @classmethod
    def make(cls, index: int, checkpoint: str, subtree: Subtree) -> Self:
        """Return the proof of the record at `index` in the tree that a signed checkpoint is about."""
        size = Checkpoint.parse(Note.parse(checkpoint).text).size
        return cls(index, tuple(merkle.inclusion_proof(index, size, subtree)), checkpoint)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the proof of its text; BadProof if it is not of that form. `extra` is passed over."""
        head, separator, checkpoint = text.partition("\n\n")
        lines = head.split("\n")
        if len(text) > MAX_CHARACTERS or not separator or lines[0] != HEADING:
            raise BadProof(f"not a proof: its first line is not {HEADING}")
        if len(lines) > 1 and lines[1].startswith("extra "):
            del lines[1]
        place = _INDEX.fullmatch(lines[1]) if len(lines) > 1 else None
        if place is None or int(place[1]) > MAX_INTEGER:
            raise BadProof("a proof's second line is the index of its record")
        return cls(int(place[1]), tuple(_hash(line) for line in lines[2:]), checkpoint)

    def __str__(self) -> str:
        path = "".join(f"{b64encode(step).decode()}\n" for step in self.path)
        return f"{HEADING}\nindex {self.index}\n{path}\n{self.checkpoint}"

    def check(self, data: bytes, checkpoint: Checkpoint) -> None:
        """Raise BadProof unless the record's exact bytes are at this place in the checkpoint's tree."""
        merkle.verify_inclusion(
            merkle.leaf_hash(data), self.index, checkpoint.size, checkpoint.root, self.path
        )


def format_consistency(path: Sequence[bytes]) -> str:
    """Return a consistency proof as text: one base64 hash a line."""
    return "".join(f"{b64encode(step).decode()}\n" for step in path)


def parse_consistency(text: str) -> list[bytes]:
    """Return the hashes of a consistency proof; BadProof if it is not of that form."""
    if len(text) > MAX_CHARACTERS or (text and not text.endswith("\n")):
        raise BadProof("not a consistency proof: one base64 hash a line")
    return [_hash(line) for line in text.split("\n")[:-1]]


def _hash(line: str) -> bytes:
    try:
        raw = b64decode(line, validate=True)
    except ValueError:
        raise BadProof(f"{line!r} is not a hash in base64") from None
    if len(raw) != _HASH_BYTES or b64encode(raw).decode() != line:
        raise BadProof(f"{line!r} is not a hash in base64")
    return raw
