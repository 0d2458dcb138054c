"""One telegram: the 20-byte header, the data field, and the joining of telegrams sent in parts."""

import hashlib
import re
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from linewitness.base.clock import Stamp

HEADER_LENGTH: Final = 20
MAX_LENGTH: Final = 9999
MAX_PARTS: Final = 9
END: Final = b"\x00"
#: MIDs whose data field ends in binary samples: no end mark follows them.
BINARY_MIDS: Final = frozenset({900})

DIGITS = re.compile(rb"[0-9]+")


class MalformedTelegram(ValueError):
    """A telegram whose header does not say what it is, or whose parts do not fit together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telegram:
    """A telegram with its header read.

    `revision` is at least 1 (blank and 000 mean 1, and are not `stated`). `sequence` 0 means that the
    link level is not used. `parts` and `part` are 0 for a telegram in one piece.
    """

    mid: int
    revision: int = 1
    data: bytes = b""
    no_ack: bool = False
    station: int | None = None
    spindle: int | None = None
    sequence: int = 0
    parts: int = 0
    part: int = 0
    stated: bool = True

    @property
    def length(self) -> int:
        """What the length field of the header says."""
        return HEADER_LENGTH + len(self.data)

    def to_bytes(self) -> bytes:
        """Return header and data, without the end mark. ValueError where it is too long."""
        if self.length > MAX_LENGTH:
            raise ValueError(f"MID {self.mid:04d}: {self.length} bytes do not fit into one telegram")
        revision = f"{self.revision:03d}" if self.stated else "   "
        header = (
            f"{self.length:04d}{self.mid:04d}{revision}{'1' if self.no_ack else ' '}"
            f"{_two(self.station)}{_two(self.spindle)}{_two(self.sequence or None)}"
            f"{self.parts or ' '}{self.part or ' '}"
        )
        return header.encode("ascii") + self.data

    def wire(self) -> bytes:
        """Return the bytes to send: with the end mark, unless the data end in binary samples."""
        return self.to_bytes() + (b"" if self.mid in BINARY_MIDS else END)


@dataclass(frozen=True, slots=True)
class ReceivedTelegram:
    """A telegram with its bytes and the moment at which it was complete."""

    telegram: Telegram
    raw: bytes
    stamp: Stamp

    @property
    def digest(self) -> str:
        """A short name for the bytes: the beginning of their hash."""
        return hashlib.sha256(self.raw).hexdigest()[:16]


def parse(raw: bytes) -> Telegram:
    """Read the header of one whole telegram. Raises `MalformedTelegram` where it has no MID."""
    if len(raw) < HEADER_LENGTH:
        raise MalformedTelegram(f"{len(raw)} bytes are less than a header")
    mid = _number(raw[4:8])
    if mid is None:
        raise MalformedTelegram(f"no MID in {raw[:HEADER_LENGTH]!r}")
    revision = _number(raw[8:11]) or 0
    return Telegram(
        mid=mid,
        revision=revision or 1,
        stated=revision > 0,
        no_ack=raw[11:12] == b"1",
        station=_number(raw[12:14]),
        spindle=_number(raw[14:16]),
        sequence=_number(raw[16:18]) or 0,
        parts=_number(raw[18:19]) or 0,
        part=_number(raw[19:20]) or 0,
        data=raw[HEADER_LENGTH:],
    )


class PartCollector:
    """Join telegrams that a controller sends in parts 1..N of one MID and revision."""

    def __init__(self) -> None:
        """Start with nothing collected."""
        self._parts: list[Telegram] = []

    @property
    def waiting(self) -> int:
        """How many parts wait for the rest."""
        return len(self._parts)

    def add(self, telegram: Telegram) -> Telegram | None:
        """Return the whole telegram once its last part is here; MalformedTelegram out of order."""
        if telegram.parts <= 1:
            if self._parts:
                return telegram if telegram.mid != self._parts[0].mid else self._broken(telegram)
            return telegram
        first = self._parts[0] if self._parts else telegram
        fits = (telegram.mid, telegram.revision, telegram.parts) == (first.mid, first.revision, first.parts)
        if not fits or telegram.part != len(self._parts) + 1:
            return self._broken(telegram)
        self._parts.append(telegram)
        if telegram.part < telegram.parts:
            return None
        data = b"".join(part.data for part in self._parts)
        self._parts = []
        return replace(first, data=data, parts=0, part=0)

    def _broken(self, telegram: Telegram) -> Telegram:
        waiting, self._parts = len(self._parts), []
        raise MalformedTelegram(
            f"MID {telegram.mid:04d}: part {telegram.part} of {telegram.parts} after {waiting} parts"
        )


def split(telegram: Telegram, boundaries: list[int]) -> list[Telegram]:
    """Return the telegram cut into parts at these offsets of its data field (at most 9 parts)."""
    edges = [0, *boundaries, len(telegram.data)]
    parts = len(edges) - 1
    if parts > MAX_PARTS:
        raise ValueError(f"{parts} parts; a telegram has at most {MAX_PARTS}")
    return [
        replace(telegram, data=telegram.data[start:end], parts=parts, part=number)
        for number, (start, end) in enumerate(pairwise(edges), start=1)
    ]


def _number(raw: bytes) -> int | None:
    text = raw.strip(b" ")
    return int(text) if DIGITS.fullmatch(text) else None


def _two(number: int | None) -> str:
    return "  " if number is None else f"{number:02d}"
