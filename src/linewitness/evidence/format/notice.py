"""The signed notice that a record exists, sent before it is the record's turn (docs/format.md, section 10.2).

It has five lines, and none of them is where a checkpoint has its size: neither can be taken for the other.
"""

import re
from dataclasses import dataclass
from typing import Any, Final, Self

from nacl.signing import SigningKey

from linewitness.base.errors import EvidenceError
from linewitness.evidence.format import note, record
from linewitness.evidence.format.canonical import MAX_INTEGER
from linewitness.evidence.format.note import ED25519, BadNote, Note, Vkey

#: The first line of a notice.
HEADING: Final = "linewitness/notice/v1"
_POSITION: Final = re.compile(r"0|[1-9][0-9]{0,15}")
_LINES: Final = 5


@dataclass(frozen=True, slots=True)
class RecordNotice:
    """What a gateway says before the record's turn: which record has which place in the stream.

    `data` holds the record's exact bytes, `members` the same parsed.
    """

    origin: str
    sequence_no: int
    record_hash: str
    data: bytes
    members: dict[str, Any]

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Return the notice of a record; BadNote if the bytes are none, or its hash is not its own."""
        try:
            members = record.parse(data)
            integrity = members["integrity"]
            hashed = record.sha256(record.message_of(data, integrity))
        except EvidenceError as error:
            raise BadNote(f"a notice holds no record: {error.what}") from None
        if hashed != integrity["record_hash"]:
            raise BadNote(f"a notice holds an altered record: its hash is {hashed}")
        return cls(integrity["stream"], members["sequence_no"], hashed, data, members)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the notice of a note's text; BadNote if a line does not fit the record."""
        lines = text.split("\n")
        if len(lines) != _LINES + 1 or lines[_LINES] or lines[0] != HEADING:
            raise BadNote(f"a notice has five lines and begins with {HEADING}")
        _, origin, position, record_hash, data = lines[:_LINES]
        if not _POSITION.fullmatch(position) or int(position) > MAX_INTEGER:
            raise BadNote("the third line of a notice is the number of its record")
        notice = cls.of(data.encode())
        if (origin, int(position), record_hash) != (notice.origin, notice.sequence_no, notice.record_hash):
            raise BadNote("a notice names another stream, place or hash than its record")
        return notice

    @property
    def text(self) -> str:
        """The note's text: five lines, each ended by a line feed. A record has no line feed in it."""
        return f"{HEADING}\n{self.origin}\n{self.sequence_no}\n{self.record_hash}\n{self.data.decode()}\n"

    def sign(self, key: SigningKey) -> Note:
        """Return the notice as a note signed by the stream's log key; the key's name is the origin."""
        return Note(self.text, (note.sign(self.text, name=self.origin, key=key),))


def claimed_origin(text: str) -> str | None:
    """Return the stream that a notice names, unverified; None if this is no notice at all."""
    lines = text.split("\n", 2)
    return lines[1] if len(lines) > 2 and lines[0] == HEADING and lines[1] else None  # noqa: PLR2004 (heading, origin, rest)


def open_notice(data: str, log_vkey: Vkey) -> RecordNotice:
    """Parse a note, require the log key's signature, and return the notice; BadNote otherwise."""
    signed = Note.parse(data)
    if log_vkey.algorithm != ED25519 or signed.signed_by(log_vkey) is None:
        raise BadNote(f"the notice is not signed by the log key {log_vkey.key_id}")
    notice = RecordNotice.parse(signed.text)
    if notice.origin != log_vkey.name:
        raise BadNote(f"the notice is of {notice.origin}, not of {log_vkey.name}")
    return notice
