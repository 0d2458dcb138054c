"""The store's signed statement that a stream contradicts what it holds (docs/format.md, section 10.2)."""

import hashlib
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Final, Literal, Self

from nacl.signing import SigningKey

from linewitness.evidence.format.canonical import MAX_INTEGER
from linewitness.evidence.format.note import COSIGNATURE_V1, BadNote, Note, NoteSignature, Vkey

HEADING: Final = "linewitness/conflict/v1"
#: The type byte of signatures whose type has a name instead of a number of its own.
_NAMED: Final = b"\xff"
_LINES: Final = 7
_ABOUT: Final = re.compile(r"(record|checkpoint) (0|[1-9][0-9]{0,15})")
_ABSENT: Final = "-"
_ID_BYTES: Final = 4
_TIME_BYTES: Final = 8
_LAST_TIME: Final = 2**63 - 1

Subject = Literal["record", "checkpoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accusation:
    """What the store was sent, what it holds instead, and its newest receipt; whoever reads it decides.

    `at` is the sequence number of the record or the size of the checkpoint that was sent. `held` is the
    record that the store holds there, or the last one before; for a checkpoint the root over that many
    records. A record without a signature comes with those after it up to the one that is signed, joined by
    line feeds. `receipt` is a note, or empty.
    """

    origin: str
    subject: Subject
    at: int
    reason: str
    receipt: str
    held: bytes
    sent: bytes

    @property
    def text(self) -> str:
        """The note's text: seven lines, each ended by a line feed."""
        parts = (self.receipt.encode(), self.held, self.sent)
        lines = (HEADING, self.origin, f"{self.subject} {self.at}", " ".join(self.reason.split()))
        return "".join(f"{line}\n" for line in (*lines, *map(_encoded, parts)))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what a note's text says; BadNote names what is malformed."""
        lines = text.split("\n")
        if len(lines) != _LINES + 1 or lines[_LINES] or lines[0] != HEADING:
            raise BadNote(f"a conflict has exactly {_LINES} lines, the first of which is {HEADING}")
        origin, about, reason = lines[1:4]
        found = _ABOUT.fullmatch(about)
        if not origin or found is None or int(found[2]) > MAX_INTEGER:
            raise BadNote("a conflict names its origin, and the record or the checkpoint that was sent")
        receipt, held, sent = map(_decoded, lines[4:_LINES])
        try:
            note = receipt.decode("utf-8")
        except UnicodeDecodeError:
            raise BadNote("the receipt in a conflict is not UTF-8") from None
        subject: Subject = "record" if found[1] == "record" else "checkpoint"
        return cls(
            origin=origin,
            subject=subject,
            at=int(found[2]),
            reason=reason,
            receipt=note,
            held=held,
            sent=sent,
        )

    def sign(self, *, name: str, key: SigningKey, time_s: int) -> Note:
        """Return the note, signed with the store's key in a context that no cosignature has."""
        text = self.text
        signature = key.sign(_message(text, time_s)).signature
        key_id = _key_id(name, bytes(key.verify_key))
        line = NoteSignature(name, key_id, time_s.to_bytes(_TIME_BYTES, "big") + signature)
        return Note(text, (line,))


def is_accusation(payload: bytes) -> bool:
    """Say whether bytes claim to be an accusation; nothing about them is verified."""
    return payload.startswith(HEADING.encode() + b"\n")


def open_accusation(data: str, store_vkey: Vkey) -> tuple[Accusation, int]:
    """Return an accusation and its time in Unix seconds; BadNote unless the store's key has signed it."""
    note = Note.parse(data)
    accusation = Accusation.parse(note.text)
    if store_vkey.algorithm != COSIGNATURE_V1:
        raise BadNote(f"{store_vkey.name} is not a store's key")
    key_id = _key_id(store_vkey.name, store_vkey.public)
    for line in note.signatures:
        if (line.name, line.key_id) == (store_vkey.name, key_id):
            time_s = int.from_bytes(line.signature[:_TIME_BYTES], "big")
            good = store_vkey.verify(_message(note.text, time_s), line.signature[_TIME_BYTES:])
            if time_s > _LAST_TIME or not good:
                break
            return accusation, time_s
    raise BadNote(f"a conflict without the signature of {store_vkey.name} proves nothing")


def _message(text: str, time_s: int) -> bytes:
    return f"{HEADING}\ntime {time_s}\n{text}".encode()


def _key_id(name: str, public: bytes) -> str:
    material = name.encode() + b"\n" + _NAMED + HEADING.encode() + public
    return hashlib.sha256(material).digest()[:_ID_BYTES].hex()


def _encoded(data: bytes) -> str:
    return b64encode(data).decode() if data else _ABSENT


def _decoded(line: str) -> bytes:
    if line == _ABSENT:
        return b""
    try:
        data = b64decode(line, validate=True)
    except ValueError:
        raise BadNote("a part of a conflict is not base64") from None
    if not data or b64encode(data).decode() != line:
        raise BadNote("a part of a conflict is not canonical base64")
    return data
