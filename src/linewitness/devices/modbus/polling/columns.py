"""Decode the telemetry of a whole block at once: no object a point but its value. Pure: no I/O."""

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby

from linewitness.devices.modbus.points import NUMBERS, ModbusPoint, Order
from linewitness.devices.modbus.polling.decode import (
    STRUCT_CODE,
    decoder,
    slice_of,
    struct_order,
    swapped,
    swaps_bytes,
)
from linewitness.devices.modbus.wire.protocol import is_bits

Values = tuple[object, ...]
_FAST = frozenset(STRUCT_CODE) - {"bcd16", "bcd32"}


@dataclass(slots=True)
class Columns:
    """What was decoded: one value a point, None where the device's bytes make none, and then why."""

    values: Values
    statuses: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Part:
    """Points that one function decodes together; `floats` says that NaN is possible."""

    ids: tuple[str, ...]
    unpack: Callable[[bytes, bytes], Values]
    floats: bool


class TelemetryDecoder:
    """The telemetry points of one block, grouped so that each group is one call into `struct`."""

    def __init__(self, points: Sequence[ModbusPoint], *, first: int, count: int, order: Order) -> None:
        """Compile the formats for points of a block that begins at `first` and has `count` addresses."""
        self._parts = tuple(_parts(points, first, count, order))
        self.points = tuple(name for part in self._parts for name in part.ids)
        self._swap = any(swaps_bytes(point.order or order) for point in points)
        self._floats = any(part.floats for part in self._parts)

    def decode(self, data: bytes) -> Columns:
        """Return the block's values in the order of `points`."""
        turned = swapped(data) if self._swap else data
        if len(self._parts) == 1:
            columns = Columns(self._parts[0].unpack(data, turned))
        else:
            columns = Columns(sum((part.unpack(data, turned) for part in self._parts), ()))
        if self._floats or None in columns.values:
            _strike_out(columns)
        return columns


def _strike_out(columns: Columns) -> None:
    """Replace what is not a finite number by None, and say where."""
    if all(
        value is not None and (type(value) is not float or math.isfinite(value)) for value in columns.values
    ):
        return
    kept = list(columns.values)
    for position, value in enumerate(kept):
        if value is None or (type(value) is float and not math.isfinite(value)):
            kept[position] = None
            columns.statuses[position] = "the registers hold no value of this type"
    columns.values = tuple(kept)


def _parts(points: Sequence[ModbusPoint], first: int, count: int, order: Order) -> list[_Part]:
    if points and is_bits(points[0].table):
        return [_bits(points, first)]
    parts: list[_Part] = []
    fast: list[ModbusPoint] = []
    end = 0
    for point in sorted(points, key=lambda each: each.address):
        if point.kind in _FAST and not point.labels and point.address >= end:
            fast.append(point)
            end = point.end
        else:
            parts.append(_single(point, first, order))

    def alike(point: ModbusPoint) -> tuple[str, bool, bool]:
        own = point.order or order
        return struct_order(own), swaps_bytes(own), _is_scaled(point)

    for (mark, swap, scale), group in groupby(
        sorted(fast, key=lambda each: (*alike(each), each.address)), alike
    ):
        parts.append(_together(list(group), first, count, mark, swap=swap, scale=scale))
    return parts


def _is_scaled(point: ModbusPoint) -> bool:
    return point.scale is not None or point.offset is not None


def _together(
    points: list[ModbusPoint], first: int, count: int, mark: str, *, swap: bool, scale: bool
) -> _Part:
    codes = [mark]
    at = first
    for point in points:
        codes.append(f"{(point.address - at) * 2}x{STRUCT_CODE[point.kind]}")
        at = point.end
    codes.append(f"{(first + count - at) * 2}x")
    unpack = struct.Struct("".join(codes)).unpack
    floats = any(point.kind in ("float32", "float64") for point in points)
    ids = tuple(point.id for point in points)
    if not scale:
        return _Part(ids, lambda data, turned: unpack(turned if swap else data), floats)
    factors = tuple(_factors(point) for point in points)

    def scaled(data: bytes, turned: bytes) -> Values:
        raw = unpack(turned if swap else data)
        return tuple([(value * up + add) / down for value, (up, add, down) in zip(raw, factors, strict=True)])

    return _Part(ids, scaled, floats)


def _factors(point: ModbusPoint) -> tuple[int, int, int]:
    """Return whole numbers for `(value * up + add) / down`: only the one division rounds."""
    scale, offset = point.scale or Decimal(1), point.offset or Decimal(0)
    up, down = scale.as_integer_ratio()
    add, below = offset.as_integer_ratio()
    return up * below, add * down, down * below


def _bits(points: Sequence[ModbusPoint], first: int) -> _Part:
    places = tuple((point.address - first) for point in points)
    pairs = tuple((at >> 3, 1 << (at & 7)) for at in places)

    def unpack(data: bytes, turned: bytes) -> Values:  # noqa: ARG001 - bits have no order
        return tuple([data[byte] & mask != 0 for byte, mask in pairs])

    return _Part(tuple(point.id for point in points), unpack, floats=False)


def _single(point: ModbusPoint, first: int, order: Order) -> _Part:
    """Decode what is rare in telemetry (strings, labels, overlapping places) as evidence is."""
    decode = decoder(point, order)
    number = point.kind in NUMBERS and not point.labels

    def unpack(data: bytes, turned: bytes) -> Values:  # noqa: ARG001 - the decoder turns the bytes itself
        value = decode(slice_of(point, first, data)).value
        if isinstance(value, Mapping):
            return (sum(1 << bit for name, bit in point.bits.items() if value[name]),)
        if number and isinstance(value, str):
            return (float(value) if "." in value else int(value),)
        return (value,)

    return _Part((point.id,), unpack, floats=False)
