"""Read and write DER (ITU-T X.690), in which certificates and time-stamp tokens are written, strictly.

Nothing here calls itself, so depth and size of what is read are those that a caller asks for. The order of a
SET's members is not looked at: some authorities do not sort their certificates, and nothing depends on it.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from linewitness.base.errors import EvidenceError

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BITS: Final = 0x03
OCTETS: Final = 0x04
NULL: Final = 0x05
OID: Final = 0x06
UTC_TIME: Final = 0x17
GENERAL_TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31

_LONG_TAG: Final = 0x1F
_LONG_LENGTH: Final = 0x80
_MAX_LENGTH_BYTES: Final = 3
_SIGN: Final = 0x80
_DAY: Final = r"(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])([01][0-9]|2[0-3])([0-5][0-9])([0-5][0-9])"
_SHORT: Final = re.compile(rf"([0-9]{{2}}){_DAY}Z")
_FULL: Final = re.compile(rf"(19[5-9][0-9]|[2-9][0-9]{{3}}){_DAY}(?:\.[0-9]{{1,9}})?Z")
_CENTURY_TURNS: Final = 50


class BadDer(EvidenceError):
    """Bytes are not the DER that they should be."""


def context(number: int, *, constructed: bool = True) -> int:
    """Return the tag [number]."""
    return (0xA0 if constructed else 0x80) | number


@dataclass(frozen=True, slots=True)
class Element:
    """One value: its tag, its content, and the whole with tag and length."""

    tag: int
    content: bytes
    raw: bytes


def read(data: bytes, what: str) -> Element:
    """Return the one element that `data` is."""
    found = elements(data, what)
    if len(found) != 1:
        raise BadDer(f"{what} is not one DER value")
    return found[0]


def elements(data: bytes, what: str) -> list[Element]:
    """Return the elements that follow each other in `data`."""
    found: list[Element] = []
    at = 0
    while at < len(data):
        start, length = _header(data, at, what)
        end = start + length
        if end > len(data):
            raise BadDer(f"{what} is cut off")
        found.append(Element(data[at], data[start:end], data[at:end]))
        at = end
    return found


def _header(data: bytes, at: int, what: str) -> tuple[int, int]:
    """Return where the content starts, and its length."""
    head = data[at : at + 2 + _MAX_LENGTH_BYTES]
    if len(head) < 2 or head[0] & _LONG_TAG == _LONG_TAG:  # noqa: PLR2004 (a tag and a length)
        raise BadDer(f"{what} is not DER")
    if head[1] < _LONG_LENGTH:
        return at + 2, head[1]
    count = head[1] - _LONG_LENGTH
    digits = head[2 : 2 + count]
    if not 1 <= count <= _MAX_LENGTH_BYTES or len(digits) != count:
        raise BadDer(f"{what} has a length that DER does not allow")
    length = int.from_bytes(digits, "big")
    if digits[0] == 0 or length < _LONG_LENGTH:
        raise BadDer(f"{what} has a length that DER does not allow")
    return at + 2 + count, length


class Fields:
    """The members of a SEQUENCE, taken one after the other."""

    def __init__(self, element: Element, what: str, tag: int = SEQUENCE) -> None:
        """Open a SEQUENCE, or what else has this tag."""
        if element.tag != tag:
            raise BadDer(f"{what} is of another type")
        self._members = elements(element.content, what)
        self._what = what
        self._at = 0

    def take(self, tag: int) -> Element:
        """Return the next member, which must be of this type."""
        found = self.maybe(tag)
        if found is None:
            raise BadDer(f"{self._what} lacks a member")
        return found

    def maybe(self, *tags: int) -> Element | None:
        """Return the next member if it is of one of these types."""
        if self._at < len(self._members) and self._members[self._at].tag in tags:
            self._at += 1
            return self._members[self._at - 1]
        return None

    def rest(self) -> list[Element]:
        """Return all members that are left."""
        left = self._members[self._at :]
        self._at = len(self._members)
        return left

    def end(self) -> None:
        """Require that nothing is left."""
        if self._at != len(self._members):
            raise BadDer(f"{self._what} has a member too many")


def encoded(tag: int, *contents: bytes) -> bytes:
    """Return one element with these contents, one after the other; ValueError beyond 16 MiB."""
    content = b"".join(contents)
    length = len(content)
    if length < _LONG_LENGTH:
        return bytes((tag, length)) + content
    digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
    if len(digits) > _MAX_LENGTH_BYTES:
        raise ValueError(f"{length} bytes are more than DER is written for here")
    return bytes((tag, _LONG_LENGTH + len(digits))) + digits + content


def encoded_number(value: int) -> bytes:
    """Return an INTEGER of 0 or more, in its shortest form."""
    return encoded(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def number(element: Element, what: str) -> int:
    """Return an INTEGER of 0 or more, in its shortest form."""
    content = element.content
    padded = len(content) > 1 and content[0] == 0 and content[1] < _SIGN
    if element.tag != INTEGER or not content or padded or content[0] >= _SIGN:
        raise BadDer(f"{what} is not a number of 0 or more")
    return int.from_bytes(content, "big")


def whole_bits(element: Element, what: str) -> bytes:
    """Return a BIT STRING of whole bytes."""
    if element.tag != BITS or not element.content or element.content[0] != 0:
        raise BadDer(f"{what} is not a string of whole bytes")
    return element.content[1:]


def time_s(element: Element, what: str) -> int:
    """Return a time in Unix seconds, cut to the second; only UTC, with seconds, of 1950 or later."""
    text = element.content.decode("latin-1")
    short = _SHORT.fullmatch(text) if element.tag == UTC_TIME else None
    full = _FULL.fullmatch(text) if element.tag == GENERAL_TIME else None
    found = short or full
    if found is None:
        raise BadDer(f"{what} is not a time in UTC")
    year, month, day, hour, minute, second = map(int, found.groups())
    if short:
        year += 1900 if year >= _CENTURY_TURNS else 2000
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise BadDer(f"{what} is no date of the calendar") from None
    return int(moment.timestamp())
