"""Read evidence points that are integers throughout as one column: compare all, write those that changed."""

import struct
from collections.abc import Callable, Iterable, Sequence

from linewitness.devices.modbus.points import ModbusPoint, Order
from linewitness.devices.modbus.polling.decode import (
    STRUCT_CODE,
    integer_writer,
    struct_order,
    swaps_bytes,
)
from linewitness.devices.modbus.polling.plan import RegisterBlock
from linewitness.devices.modbus.wire.protocol import is_bits

#: The points that changed, and their values.
Changed = tuple[tuple[str, ...], tuple[str, ...]]
#: Writes the integer of a point.
Writer = Callable[[int], str]


class IntegerColumn:
    """The integers of a block as they were last said; `EvidencePoint` says the same of each, one by one."""

    def __init__(self, layout: struct.Struct, ids: Iterable[str], writers: Iterable[Writer]) -> None:
        """Take where the integers lie, whose they are, and how each is written; see `integer_column`."""
        self._unpack = layout.unpack
        self._ids, self._write = tuple(ids), tuple(writers)
        self._data = b""
        self._told: tuple[int, ...] = ()

    def begin(self, data: bytes) -> None:
        """Learn that the values in these bytes were said."""
        self._data, self._told = data, self._unpack(data)

    def forget(self) -> bytes:
        """Go back to the start, and return the bytes of the values that were said last; none if none were."""
        data, self._data, self._told = self._data, b"", ()
        return data

    def take(self, data: bytes) -> Changed:
        """Return what is another value now, in the order of the points; all of them where none was said."""
        told = self._told
        self.begin(data)
        now = self._told
        at = [place for place, (new, old) in enumerate(zip(now, told, strict=False)) if new != old]
        if len(at) == len(told):
            return self._ids, tuple([write(n) for write, n in zip(self._write, now, strict=True)])
        ids, writers = self._ids, self._write
        return tuple([ids[place] for place in at]), tuple([writers[place](now[place]) for place in at])


def integer_column(
    block: RegisterBlock[ModbusPoint], points: Sequence[ModbusPoint], order: Order
) -> IntegerColumn | None:
    """Return the column of evidence points of a block, None where they are not integers one after the other.

    Labels, deadbands, exchanged bytes and places that overlap are for `EvidencePoint`.
    """
    if not points or is_bits(block.table):
        return None
    orders = {point.order or order for point in points}
    writers = [write for write in map(_writer, points) if write is not None]
    if len(orders) > 1 or len(writers) < len(points) or any(map(swaps_bytes, orders)):
        return None
    codes, at = [struct_order(orders.pop())], block.first
    for point in points:
        if point.address < at:
            return None
        codes.append(f"{(point.address - at) * 2}x{STRUCT_CODE[point.kind]}")
        at = point.end
    codes.append(f"{(block.first + block.count - at) * 2}x")
    return IntegerColumn(struct.Struct("".join(codes)), (point.id for point in points), writers)


def _writer(point: ModbusPoint) -> Writer | None:
    return integer_writer(point) if point.deadband is None else None
