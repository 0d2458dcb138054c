"""Where the registers of results are, for each pattern: which numbers there are, and the bytes of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from linewitness.devices.modbus.points import Order
from linewitness.devices.modbus.polling.decode import struct_order, swapped, swaps_bytes
from linewitness.devices.modbus.polling.plan import Limits, plan
from linewitness.devices.modbus.result_options import Counter, ModbusResult, ResultField
from linewitness.devices.modbus.wire.reader import Reader

Pieces = Sequence[tuple[int, bytes, Sequence[ResultField]]]


@dataclass(frozen=True, slots=True)
class Stock:
    """What a device holds: the number of its newest result, None if it does not say, and how many."""

    newest: int | None
    held: int


class Source(Protocol):
    """One place where results come from."""

    async def stock(self) -> Stock:
        """Ask what there is."""

    async def fetch(self, number: int) -> Pieces | None:
        """Read one result; None where it is not there any more."""


class CounterSource:
    """Registers that the PLC fills before it moves the counter: one block, or slots in turn."""

    def __init__(self, options: ModbusResult, reader: Reader, limits: Limits, order: Order) -> None:
        """Plan how a result is read."""
        self._options = options
        self._reader = reader
        self._order = order
        self._blocks = plan(options.fields, limits)

    async def stock(self) -> Stock:
        """Ask for the counter."""
        return Stock(await self._newest(), self._options.slots or 1)

    async def fetch(self, number: int) -> Pieces | None:
        """Read the block, and make sure that it was not overwritten meanwhile."""
        options = self._options
        slots, stride = options.slots or 1, options.stride or 0
        shift = (number - options.first_number) % slots * stride
        pieces = []
        for block in self._blocks:
            data = await self._reader.read(block.table, block.first + shift, block.count)
            pieces.append((block.first, data, block.points))
        overtaken = (await self._newest() - number) % options.modulus
        return None if overtaken >= slots else pieces

    async def _newest(self) -> int:
        counter = self._options.numbered_by
        data = await self._reader.read(counter.table, counter.address, 2 if counter.type == "uint32" else 1)
        return number_from(counter, data, self._order)


class FifoSource:
    """A queue; it is read as a whole and keeps its results until they are taken over."""

    def __init__(self, options: ModbusResult, reader: Reader, order: Order) -> None:
        """Know how a queued result is laid out."""
        self._options = options
        self._reader = reader
        self._order = order
        self._queued: dict[int, bytes] = {}

    async def stock(self) -> Stock:
        """Read the queue; an empty one says nothing of numbers."""
        data = await self._reader.fifo(self._options.fifo or 0)
        size = 2 * (self._options.stride or 1)
        results = [data[at : at + size] for at in range(0, len(data) - size + 1, size)]
        self._queued = {self._number_in(result): result for result in results}
        return Stock(self._number_in(results[-1]) if results else None, len(self._queued))

    async def fetch(self, number: int) -> Pieces | None:
        """Return a queued result."""
        result = self._queued.get(number)
        return None if result is None else [(0, result, self._options.fields)]

    def _number_in(self, result: bytes) -> int:
        place = self._options.numbered_by
        width = 2 if place.type == "uint32" else 1
        return number_from(place, result[place.address * 2 : (place.address + width) * 2], self._order)


def source_of(options: ModbusResult, reader: Reader, limits: Limits, order: Order) -> Source:
    """Return where the results of these options come from."""
    if options.pattern == "fifo":
        return FifoSource(options, reader, order)
    return CounterSource(options, reader, limits, order)


def number_from(place: Counter | ResultField, data: bytes, default_order: Order) -> int:
    """Return the number that registers hold, in the place's own order."""
    order = place.order or default_order
    turned = swapped(data) if swaps_bytes(order) else data
    return int.from_bytes(turned, "big" if struct_order(order) == ">" else "little")


def registers_of(place: Counter | ResultField, number: int, default_order: Order) -> list[int]:
    """Return the registers that hold a number as the place would."""
    order = place.order or default_order
    size = 4 if place.type == "uint32" else 2
    data = number.to_bytes(size, "big" if struct_order(order) == ">" else "little")
    turned = swapped(data) if swaps_bytes(order) else data
    return [int.from_bytes(turned[at : at + 2], "big") for at in range(0, size, 2)]
