"""Put telegrams on the wire, correctly or as a fault demands. The layouts are the product's own."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from linewitness.devices.open_protocol.wire.codec import Content
from linewitness.devices.open_protocol.wire.codec import encode as encode_fields
from linewitness.devices.open_protocol.wire.framing import Framer, FramingError
from linewitness.devices.open_protocol.wire.layouts import ID_WIDTH, Field, layout_for, revisions
from linewitness.devices.open_protocol.wire.telegram import (
    BINARY_MIDS,
    END,
    HEADER_LENGTH,
    MalformedTelegram,
    Telegram,
    parse,
    split,
)
from linewitness_simulators.torque.options import TorqueFaults

__all__ = [
    "Framer",
    "FramingError",
    "LinkNumbering",
    "MalformedTelegram",
    "Telegram",
    "compose",
    "damage",
    "encode",
    "parse",
]
__all__ += ["following", "nearest_layout", "pieces", "with_sequence"]

Values = Mapping[str, Content | Sequence[Mapping[str, Content]]]

RESULTS: Final = (61, 65)
SERIALS: Final = ("tool_serial_number", "controller_serial_number")
SEQUENCE: Final = slice(16, 18)
SEQUENCE_MAX: Final = 99
#: In this place of a result there is a parameter id, which `damage` spoils.
SPOILED: Final = slice(57, 59)


def nearest_layout(mid: int, revision: int) -> int:
    """Return the highest known revision of a MID that is not above the one asked for."""
    return max((known for known in revisions(mid) if known <= revision), default=1)


def encode(faults: TorqueFaults, mid: int, revision: int, values: Values) -> bytes:
    """Return a telegram without its end mark; values that the layout does not have are left out."""
    layout = layout_for(mid, revision)
    if layout is None:
        raise KeyError(f"no layout for MID {mid:04d} revision {revision}")
    written = {each.key: _written(faults, mid, each, values.get(each.key)) for each in layout.fields}
    telegram = encode_fields(mid, revision, written).to_bytes()
    return telegram[:8] + b"   " + telegram[11:] if faults.blank_revision else telegram


def _written(
    faults: TorqueFaults, mid: int, each: Field, value: Content | Sequence[Mapping[str, Content]]
) -> Content | bytes | Sequence[Mapping[str, Content]]:
    """Return a value as this controller would write it: cut to its width, or spoilt by a fault."""
    if each.key in faults.blank_fields or f"{mid:04d}.{each.key}" in faults.blank_fields:
        return None
    if mid in RESULTS and each.key in faults.garbled_fields:
        return faults.garbled_fields[each.key].encode()[: each.width].ljust(each.width)
    if not isinstance(value, str):
        return value
    text = value.encode()[: each.width]
    return text.rjust(each.width) if faults.right_aligned and each.key in SERIALS else text.ljust(each.width)


def compose(mid: int, revision: int, data: bytes) -> bytes:
    """Return a telegram with data that are ready, without its end mark."""
    return Telegram(mid=mid, revision=revision, data=data).to_bytes()


def damage(faults: TorqueFaults, mid: int, telegram: bytes) -> bytes:
    """Cut a result short, spoil a parameter id or blank the tightening id, where a fault asks for it."""
    if mid != RESULTS[0]:
        return telegram
    if faults.blank_ids:
        faults.blank_ids -= 1
        telegram = _without_id(telegram)
    if faults.short_results:
        faults.short_results -= 1
        telegram = f"{len(telegram) // 2:04d}".encode() + telegram[4 : len(telegram) // 2]
    if faults.corrupt_results:
        faults.corrupt_results -= 1
        telegram = telegram[: SPOILED.start] + b"??" + telegram[SPOILED.stop :]
    return telegram


def _without_id(telegram: bytes) -> bytes:
    read = parse(telegram)
    layout = layout_for(read.mid, read.revision)
    position = HEADER_LENGTH
    for each in layout.fields if layout is not None else ():
        position += ID_WIDTH if each.id else 0
        if each.key == "tightening_id":
            return telegram[:position] + b" " * each.width + telegram[position + each.width :]
        position += each.width
    return telegram


def pieces(faults: TorqueFaults, telegrams: Sequence[bytes]) -> Iterator[bytes]:
    """Yield what goes to the socket in one write each."""
    cut = [part for telegram in telegrams for part in _parts(faults, telegram)]
    whole = b"".join(part + _end(faults, part) for part in cut)
    size = faults.split_bytes or len(whole) or 1
    for start in range(0, len(whole), size):
        yield whole[start : start + size]


def _parts(faults: TorqueFaults, telegram: bytes) -> list[bytes]:
    """Return a result in the parts that the fault asks for, cut between parameters."""
    read = parse(telegram)
    layout = layout_for(read.mid, read.revision)
    if faults.parts < 2 or read.mid not in RESULTS or layout is None:
        return [telegram]
    edges = list(accumulate((ID_WIDTH if each.id else 0) + each.width for each in layout.fields))
    chosen = [edges[n * len(edges) // faults.parts] for n in range(1, faults.parts)]
    return [part.to_bytes() for part in split(read, chosen)]


def _end(faults: TorqueFaults, telegram: bytes) -> bytes:
    if int(telegram[4:8]) in BINARY_MIDS or faults.omit_nul:
        return b""
    return END + END if faults.double_nul else END


class LinkNumbering:
    """Count sequence numbers of both directions, once the client uses them (section 2.5)."""

    def __init__(self) -> None:
        """Start without the link level."""
        self.active = False
        self.expected = 1
        self._next = 1

    def number(self, telegram: bytes) -> bytes:
        """Return the telegram with its sequence number; one that has a number keeps it."""
        if not self.active or telegram[SEQUENCE].strip():
            return telegram
        numbered = with_sequence(telegram, self._next)
        self._next = following(self._next)
        return numbered

    def repeated(self, sequence: int) -> bool:
        """Whether this is the number that we had last."""
        return following(sequence) == self.expected

    def advance(self) -> None:
        """Expect the next number."""
        self.expected = following(self.expected)


def following(sequence: int) -> int:
    """Return the number after this one: 99 wraps to 01."""
    return sequence % SEQUENCE_MAX + 1


def with_sequence(telegram: bytes, sequence: int) -> bytes:
    """Return the telegram with this sequence number."""
    return (
        telegram[: SEQUENCE.start]
        + f"{sequence:02d}".encode()
        + telegram[SEQUENCE.stop : HEADER_LENGTH]
        + telegram[HEADER_LENGTH:]
    )
