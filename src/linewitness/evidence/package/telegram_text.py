"""Show a device's own bytes to people: as text where they are text, and what kind of telegram they are."""

import re
from typing import Final

#: Messages of the Open Protocol that records are made of.
_MIDS: Final = {
    "0013": "parameter set data",
    "0015": "parameter set selected",
    "0035": "job info",
    "0041": "tool data",
    "0052": "vehicle id number",
    "0061": "last tightening result",
    "0065": "old tightening result",
    "0071": "alarm",
    "0074": "alarm acknowledged on the controller",
    "0076": "alarm status",
    "0081": "time",
    "0101": "result of several spindles",
    "0152": "multiple identifiers",
    "0900": "trace curve",
    "1201": "operation result, overall data",
    "1202": "operation result, object data",
}
_HEADER: Final = re.compile(rb"([0-9]{4})([0-9]{4})")
#: A text has control characters at its ends only: start and end marks, line ends.
_MARKS: Final = 2
_BEFORE_SPACE: Final = 0x20
_DELETE: Final = 0x7F
_PICTURES: Final = 0x2400
_PICTURE_OF_DELETE: Final = "\u2421"


def telegram_text(data: bytes) -> str:
    """Return the bytes as text, control characters as their symbols; what is no text in hex."""
    shown = _text(data)
    if shown is None:
        shown = data.hex()
    return f"{_kind(data)}{shown}"


def _kind(data: bytes) -> str:
    """Return what an Open Protocol telegram is: its header states its own length, less the end mark."""
    found = _HEADER.match(data)
    if found is None or int(found[1]) != len(data) - data.endswith(b"\0"):
        return ""
    mid = found[2].decode()
    return f"MID {mid} ({_MIDS[mid]}): " if mid in _MIDS else f"MID {mid}: "


def _text(data: bytes) -> str | None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    inner = text[_MARKS:-_MARKS]
    controls = sum(map(_is_control, text))
    if any(map(_is_control, inner)) or 2 * controls >= len(text):
        return None
    return "".join(map(_picture, text))


def _is_control(character: str) -> bool:
    return ord(character) < _BEFORE_SPACE or ord(character) == _DELETE


def _picture(character: str) -> str:
    if ord(character) == _DELETE:
        return _PICTURE_OF_DELETE
    return chr(_PICTURES + ord(character)) if _is_control(character) else character
