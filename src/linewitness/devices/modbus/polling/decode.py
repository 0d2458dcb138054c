"""Turn registers into values: exact decimal strings for evidence. Pure: no I/O."""

import math
import struct
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final, NamedTuple

from linewitness.devices.base import Quality, Scalar
from linewitness.devices.modbus.points import INTEGERS, Order, RegisterAddress, ValueType
from linewitness.devices.modbus.polling.numbers import bcd, plain, scaled, shortest_float32, shortest_float64
from linewitness.devices.modbus.wire.protocol import is_bits

#: What `struct` calls each number.
STRUCT_CODE: Final[Mapping[ValueType, str]] = MappingProxyType(
    {
        "int16": "h",
        "uint16": "H",
        "int32": "i",
        "uint32": "I",
        "int64": "q",
        "uint64": "Q",
        "float32": "f",
        "float64": "d",
        "bcd16": "H",
        "bcd32": "I",
        "bits": "H",
    }
)


class Decoded(NamedTuple):
    """A value with how far it may be trusted: `status` says why where the quality is not good."""

    value: Scalar | Mapping[str, Scalar]
    quality: Quality = Quality.GOOD
    status: str = "Good"


def bad(status: str) -> Decoded:
    """Return what a point is when there is no value, and why."""
    return Decoded(None, Quality.BAD, status)


def swapped(data: bytes) -> bytes:
    """Return the bytes with the two of each register exchanged; an odd last byte stays."""
    even = len(data) & ~1
    turned = bytearray(data)
    turned[0:even:2], turned[1:even:2] = data[1:even:2], data[0:even:2]
    return bytes(turned)


def swaps_bytes(order: Order) -> bool:
    """Tell whether `struct` needs the bytes of each register exchanged first, whatever its own order."""
    return order in ("big-byte-swap", "little-byte-swap")


def struct_order(order: Order) -> str:
    """Return the byte order for `struct`, after `swaps_bytes` was obeyed."""
    return ">" if order in ("big", "big-byte-swap") else "<"


def slice_of(place: RegisterAddress, first: int, data: bytes) -> bytes:
    """Return the bytes of a point out of a block that begins at address `first`.

    In the tables of bits the result is one byte, 0 or 1.
    """
    at = place.address - first
    if is_bits(place.table):
        return bytes(((data[at >> 3] >> (at & 7)) & 1,))
    return data[at * 2 : (at + place.width) * 2]


def place_of(place: RegisterAddress, first: int) -> slice | None:
    """Return where the bytes of a point lie in a block from `first` on; None in the tables of bits."""
    if is_bits(place.table):
        return None
    at = (place.address - first) * 2
    return slice(at, at + place.width * 2)


def decoder(place: RegisterAddress, default_order: Order) -> Callable[[bytes], Decoded]:
    """Return the function that reads this point's bytes (as of `slice_of`) as evidence."""
    order = place.order or default_order
    kind = place.kind
    if kind == "string":
        return _string(place, order)
    if kind == "bool":
        return _bool(place, order)
    unpack = struct.Struct(struct_order(order) + STRUCT_CODE[kind]).unpack
    swap = swaps_bytes(order)
    if (write := integer_writer(place)) is not None and not swap:
        return lambda data: Decoded(write(unpack(data)[0]))
    interpret = _interpreter(place)

    def number(data: bytes) -> Decoded:
        return interpret(unpack(swapped(data) if swap else data)[0])

    return number


def integer_writer(place: RegisterAddress) -> Callable[[int], str] | None:
    """Return the function that writes what an integer in the registers says; None for anything else."""
    if place.kind not in INTEGERS or place.labels:
        return None
    if place.scale is None and place.offset is None and place.decimals is None:
        return str
    return lambda raw: _write(place, Decimal(raw))


def _interpreter(place: RegisterAddress) -> Callable[[int | float], Decoded]:
    kind = place.kind
    if kind == "bits":
        return lambda raw: Decoded({name: bool(int(raw) >> bit & 1) for name, bit in place.bits.items()})
    if kind in ("float32", "float64"):
        return _floating(place)
    if kind in ("bcd16", "bcd32"):
        return _coded(place)
    if place.labels:
        return _enumeration(place)
    write = integer_writer(place)
    if write is None:
        raise AssertionError(kind)
    return lambda raw: Decoded(write(int(raw)))


def _write(place: RegisterAddress, number: Decimal) -> str:
    return scaled(number, place.scale, place.offset, place.decimals)


def _floating(place: RegisterAddress) -> Callable[[int | float], Decoded]:
    shortest = shortest_float32 if place.kind == "float32" else shortest_float64

    def interpret(raw: int | float) -> Decoded:  # noqa: PYI041 - what struct gives for all codes
        if not math.isfinite(raw):
            return bad(f"the registers hold {'NaN' if math.isnan(raw) else 'infinity'}, not a number")
        return Decoded(_write(place, shortest(raw)))

    return interpret


def _coded(place: RegisterAddress) -> Callable[[int | float], Decoded]:
    digits = 4 * place.width

    def interpret(raw: int | float) -> Decoded:  # noqa: PYI041 - what struct gives for all codes
        number = bcd(int(raw), digits)
        if number is None:
            return bad(f"0x{int(raw):0{digits}X} is not binary-coded decimal")
        return Decoded(_write(place, Decimal(number)))

    return interpret


def _enumeration(place: RegisterAddress) -> Callable[[int | float], Decoded]:
    def interpret(raw: int | float) -> Decoded:  # noqa: PYI041 - what struct gives for all codes
        label = place.labels.get(int(raw))
        if label is None:
            return Decoded(
                plain(Decimal(int(raw))), Quality.UNCERTAIN, f"{int(raw)} has no label in the configuration"
            )
        return Decoded(label)

    return interpret


def _bool(place: RegisterAddress, order: Order) -> Callable[[bytes], Decoded]:
    if is_bits(place.table):
        return lambda data: Decoded(data != b"\0")
    turn = "little" if order in ("little", "big-byte-swap") else "big"
    mask = 0xFFFF if place.bit is None else 1 << place.bit
    if turn == "little":
        return lambda data: Decoded(bool(int.from_bytes(data, "little") & mask))
    return lambda data: Decoded(bool(int.from_bytes(data, "big") & mask))


def _string(place: RegisterAddress, order: Order) -> Callable[[bytes], Decoded]:
    swap = order in ("big-byte-swap", "little")
    length = place.length or 0

    def text(data: bytes) -> Decoded:
        characters = (swapped(data) if swap else data)[:length].split(b"\0", 1)[0]
        try:
            return Decoded(characters.decode(place.encoding).rstrip(" "))
        except UnicodeDecodeError:
            return bad(f"the registers hold bytes that are not {place.encoding}")

    return text
