"""Two signed statements about a stream that has ended: where it ends, and what a store took over of it.

Neither is a checkpoint, and none can be read as one: a log key that signed checkpoints of two histories would
discredit both, and a store that cosigned a second root of one size would contradict its own receipt.
docs/format.md, section 9.1.
"""

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Final, Self

from nacl.signing import SigningKey

from linewitness.evidence.format import note
from linewitness.evidence.format.canonical import MAX_INTEGER
from linewitness.evidence.format.note import COSIGNATURE_V1, ED25519, BadNote, Note, Vkey

END: Final = "linewitness/ended/v1"
TAKEN: Final = "linewitness/taken-over/v1"
#: The field in which the first records of the next generation carry the signed end, as a note.
END_FIELD: Final = "end"

_END_LINES: Final = 5
_TAKEN_LINES: Final = 6
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,15}")
_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")
_ROOT_BYTES: Final = 32
_FORK: Final = "fork"
_REST: Final = "rest"


def successor(origin: str) -> str:
    """Return the origin of the next generation."""
    line, _, generation = origin.rpartition("/")
    return f"{line}/{int(generation) + 1}"


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """Where a stream ended for good: the number of its records, their root, and the last record's hash."""

    origin: str
    size: int
    root: bytes
    record_hash: str

    @property
    def text(self) -> str:
        """The note's text: five lines."""
        return f"{END}\n{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n{self.record_hash}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the end of a note's text; BadNote if it is none."""
        _, origin, size, root, record_hash = _lines(text, END, _END_LINES)
        if not _HASH.fullmatch(record_hash):
            raise BadNote("a stream's end has the hash of the last record in its fifth line")
        return cls(origin, _number(size), _root(root), record_hash)

    def sign(self, key: SigningKey) -> Note:
        """Return the end as a note signed by the stream's log key."""
        return Note(self.text, (note.sign(self.text, name=self.origin, key=key),))


@dataclass(frozen=True, slots=True)
class StreamTakenOver:
    """What a store holds of an ended stream besides the receipted one: records `first` to `size` - 1.

    The records before `first` are those of the receipted stream. It is a fork where that stream has other
    records from there on, and the rest of the stream where it has none.
    """

    origin: str
    fork: bool
    first: int
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The note's text: six lines."""
        kind = _FORK if self.fork else _REST
        root = b64encode(self.root).decode()
        return f"{TAKEN}\n{self.origin}\n{kind}\n{self.first}\n{self.size}\n{root}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what a note's text says; BadNote if it says something else."""
        _, origin, kind, first, size, root = _lines(text, TAKEN, _TAKEN_LINES)
        if kind not in (_FORK, _REST):
            raise BadNote(f"what was taken over is a {_FORK} or a {_REST}, not {kind!r}")
        return cls(origin, kind == _FORK, _number(first), _number(size), _root(root))

    def cosign(self, key: SigningKey, *, name: str, time_s: int) -> Note:
        """Return the statement as a note with the store's signature and time."""
        return Note(self.text, (note.cosign(self.text, name=name, key=key, time_s=time_s),))


def open_end(data: str, log_vkey: Vkey) -> StreamEnd:
    """Return the end that a stream's log key signed; BadNote otherwise."""
    signed = Note.parse(data)
    end = StreamEnd.parse(signed.text)
    if end.origin != log_vkey.name:
        raise BadNote(f"the end is that of {end.origin}, not of {log_vkey.name}")
    if log_vkey.algorithm != ED25519 or signed.signed_by(log_vkey) is None:
        raise BadNote(f"the end of the stream is not signed by the log key {log_vkey.key_id}")
    return end


def open_taken(data: str, store_vkey: Vkey) -> tuple[StreamTakenOver, int]:
    """Return what a store says that it took over, and since when (Unix seconds); BadNote otherwise."""
    signed = Note.parse(data)
    taken = StreamTakenOver.parse(signed.text)
    time_s = signed.signed_by(store_vkey) if store_vkey.algorithm == COSIGNATURE_V1 else None
    if time_s is None:
        raise BadNote(f"the statement is not signed by the store {store_vkey.name}")
    return taken, time_s


def _lines(text: str, heading: str, count: int) -> list[str]:
    lines = text.split("\n")
    if len(lines) != count + 1 or lines[0] != heading or lines[count]:
        raise BadNote(f"not such a statement: {count} lines, of which the first is {heading}")
    return lines[:count]


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > MAX_INTEGER:
        raise BadNote(f"{text!r} is not a number of records")
    return int(text)


def _root(text: str) -> bytes:
    try:
        root = b64decode(text, validate=True)
    except ValueError:
        root = b""
    if len(root) != _ROOT_BYTES or b64encode(root).decode() != text:
        raise BadNote(f"{text!r} is not the base64 of a root")
    return root
