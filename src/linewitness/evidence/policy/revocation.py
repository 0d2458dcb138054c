"""The customer's word that a key is worth nothing from some record on.

A revocation is a signed note of five lines, signed by the customer key that the policy names; or a
line of the policy itself.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from nacl.signing import SigningKey

from linewitness.evidence.format import note
from linewitness.evidence.format.canonical import MAX_INTEGER
from linewitness.evidence.format.note import BadNote, Note, Vkey

HEADING: Final = "linewitness/revocation/v1"
_LINES: Final = 5
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,15}")


@dataclass(frozen=True, slots=True)
class Revocation:
    """A key, and the first record of the stream for which it counts no more.

    An event key must not have signed that record or a later one; a log key or a cosigner's key is not
    believed about a checkpoint that covers it.
    """

    origin: str
    key: Vkey
    first: int
    reason: str

    @property
    def text(self) -> str:
        """The note's text."""
        return f"{HEADING}\n{self.origin}\n{self.key}\n{self.first}\n{self.reason}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the revocation of a note's text; BadNote if it is none."""
        lines = text.split("\n")
        if len(lines) != _LINES + 1 or lines[0] != HEADING or lines[_LINES]:
            raise BadNote(f"not a revocation: five lines, of which the first is {HEADING}")
        if not _NUMBER.fullmatch(lines[3]) or int(lines[3]) > MAX_INTEGER:
            raise BadNote(f"a revocation's fourth line is the first record it covers, not {lines[3]!r}")
        return cls(lines[1], Vkey.parse(lines[2]), int(lines[3]), lines[4])

    def sign(self, key: SigningKey, *, name: str) -> Note:
        """Return the revocation as a note signed by the customer."""
        return Note(self.text, (note.sign(self.text, name=name, key=key),))


def open_revocation(data: str, *, customer: Vkey, origin: str) -> Revocation:
    """Return the revocation of a note that the customer signed for this stream; BadNote otherwise."""
    signed = Note.parse(data)
    if customer.algorithm != note.ED25519 or signed.signed_by(customer) is None:
        raise BadNote(f"the revocation is not signed by the customer key {customer.key_id}")
    revocation = Revocation.parse(signed.text)
    if revocation.origin != origin:
        raise BadNote(f"the revocation is for {revocation.origin}, not for {origin}")
    return revocation
