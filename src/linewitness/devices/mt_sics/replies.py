"""Read the scale's lines: what was answered, and a weight as the exact text that the scale sent."""

import re
from dataclasses import dataclass
from typing import Final

_REPLY: Final = re.compile(
    r"(?P<id>[A-Z]{1,4}\d{0,2})\s+(?P<status>[SDABIL+\-])(?:\s+(?P<rest>.*))?", re.ASCII
)
_WEIGHT: Final = re.compile(r"(?P<value>[-+]?\s*\d+(?:\.\d+)?)\s+(?P<unit>\S+)", re.ASCII)
_ERROR: Final = re.compile(r"E[STL]")
_TEXT: Final = re.compile(r'"([^"]*)"')

#: What the scale calls its errors without a command.
ERRORS: Final = {"ES": "syntax error", "ET": "transmission error", "EL": "logical error"}


@dataclass(frozen=True, slots=True)
class ScaleReply:
    """One line of the scale: the command it answers, a status letter, and what follows."""

    command: str
    status: str
    rest: str


@dataclass(frozen=True, slots=True)
class Weight:
    """A weight as the scale wrote it; its decimals are its readability."""

    value: str
    unit: str


def parse(line: str) -> ScaleReply | None:
    """Return the reply that a line is, or None for anything else.

    An error line has the error as its command and no status.
    """
    text = line.strip()
    if _ERROR.fullmatch(text):
        return ScaleReply(text, "", "")
    found = _REPLY.fullmatch(text)
    return ScaleReply(found["id"], found["status"], (found["rest"] or "").strip()) if found else None


def weight(reply: ScaleReply) -> Weight | None:
    """Return the weight of `S S 12.30 g`, and None where the rest is not a weight."""
    found = _WEIGHT.fullmatch(reply.rest)
    if not found:
        return None
    # A fixed-width field may part the sign from the digits; a plus sign says nothing.
    return Weight("".join(found["value"].split()).removeprefix("+"), found["unit"])


def quoted(reply: ScaleReply) -> str | None:
    """Return the text of `I4 A "0123456789"`, None where there is none; of several, all."""
    found = _TEXT.findall(reply.rest)
    return " ".join(text.strip() for text in found).strip() if found else None
