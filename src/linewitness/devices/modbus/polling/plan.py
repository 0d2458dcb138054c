"""Decide which blocks are read so that all points arrive with few requests. Pure: no I/O."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from linewitness.devices.modbus.options import Forbidden, ModbusOptions
from linewitness.devices.modbus.points import ModbusPoint, RegisterAddress
from linewitness.devices.modbus.result_options import ModbusResult
from linewitness.devices.modbus.wire.protocol import Table, is_bits, reference

P = TypeVar("P", bound=RegisterAddress)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may hold and must not touch."""

    max_registers: int
    max_bits: int
    gap: int
    forbidden: tuple[Forbidden, ...]

    def most(self, table: Table) -> int:
        """Return how many registers or bits one request may ask for."""
        return self.max_bits if is_bits(table) else self.max_registers

    def gap_in(self, table: Table) -> int:
        """Return how many unused addresses may be read through; a register's worth of bits counts as one."""
        return self.gap * 16 if is_bits(table) else self.gap


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterBlock(Generic[P]):
    """One stretch of a table that is read at once, with the points in it in the order of their addresses."""

    table: Table
    first: int
    count: int
    points: tuple[P, ...]

    @property
    def last(self) -> int:
        """The last address of the block."""
        return self.first + self.count - 1

    def __str__(self) -> str:
        """Return the place in words: `holding 0 to 9`."""
        if self.count == 1:
            return f"{self.table} {self.first}"
        return f"{self.table} {self.first} to {self.last}"


def limits_of(options: ModbusOptions) -> Limits:
    """Return what the YAML allows for one request to this device.

    A device that answers only single registers gets no gap to bridge: each would be a request.
    """
    return Limits(
        max_registers=options.max_registers,
        max_bits=options.max_bits,
        gap=0 if options.one_register else options.gap,
        forbidden=options.forbidden,
    )


def plan(points: Iterable[P], limits: Limits) -> tuple[RegisterBlock[P], ...]:
    """Group points into blocks: by table, in the order of addresses, each block as long as is allowed."""
    blocks: list[RegisterBlock[P]] = []
    group: list[P] = []
    end = 0
    placed = [(point.table, point.address, point.end, point) for point in points]
    for table, address, behind, point in sorted(placed, key=lambda each: each[:3]):
        if group and not _fits((group[0].table, group[0].address, end), (table, address, behind), limits):
            blocks.append(_block(group, end))
            group, end = [], 0
        group.append(point)
        end = max(end, behind)
    if group:
        blocks.append(_block(group, end))
    return tuple(blocks)


def block_of(points: Sequence[P]) -> RegisterBlock[P]:
    """Return the smallest block that holds all of these points of one table."""
    return _block(points, max(point.end for point in points))


def _block(points: Sequence[P], end: int) -> RegisterBlock[P]:
    first = min(point.address for point in points)
    return RegisterBlock(table=points[0].table, first=first, count=end - first, points=tuple(points))


def split(block: RegisterBlock[P]) -> tuple[RegisterBlock[P], ...]:
    """Return smaller blocks: without the gaps if there are any, otherwise with half of the points each.

    The block holds two points at least.
    """
    runs: list[list[P]] = []
    end = -1
    for point in block.points:
        if not runs or point.address > end:
            runs.append([])
        runs[-1].append(point)
        end = max(end, point.end)
    if len(runs) == 1:
        middle = len(block.points) // 2
        runs = [list(block.points[:middle]), list(block.points[middle:])]
    return tuple(block_of(run) for run in runs)


#: A table, an address in it, and the one behind the last that is meant.
_Stretch = tuple[Table, int, int]


def _fits(group: _Stretch, point: _Stretch, limits: Limits) -> bool:
    """Return whether a point belongs to the group of those before it."""
    (table, first, end), (own, address, behind) = group, point
    if own != table or max(end, behind) - first > limits.most(table) or address - end > limits.gap_in(table):
        return False
    return not any(
        span.table == table and end <= span.last and span.first < address for span in limits.forbidden
    )


def requests(block: RegisterBlock[P], *, one_register: bool) -> int:
    """Return how many requests it takes to read a block."""
    return block.count if one_register and not is_bits(block.table) else 1


def explain(options: ModbusOptions) -> str:
    """Return the read plan in words, for `check --explain`."""
    blocks = plan(options.points, limits_of(options))
    total = sum(requests(block, one_register=options.one_register) for block in blocks)
    seconds = options.period_ms / 1000
    head = f"{options.id}: unit {options.device_id} at {options.place} ({options.transport}), "
    head += f"{_plural(len(options.points), 'point')} in {_plural(total, 'request')} every {seconds:g} s"
    lines = [head]
    for block in blocks:
        unused = _unused(block)
        places = reference(block.table, block.first)
        if block.count > 1:
            places += f" to {reference(block.table, block.last)}"
        bridged = f", {unused} read through" if unused else ""
        lines.append(f"  {block} ({places}): {_plural(len(block.points), 'point')}{bridged}")
        lines += [_line_of(point) for point in block.points]
    for result in options.results:
        lines += _result_lines(result, options)
    lines += [
        f"  never reads {span.table} {span.first} to {span.last}"
        for span in sorted(options.forbidden, key=lambda each: (each.table, each.first))
    ]
    if options.one_register:
        lines.append("  one register a request: values of several registers may be torn between two requests")
    if options.pause_ms:
        lines.append(f"  pause of {options.pause_ms} ms between requests")
    return "\n".join(lines)


def _line_of(point: ModbusPoint) -> str:
    at = f"{point.address}" if point.width == 1 else f"{point.address} to {point.end - 1}"
    return f"    {point.id}: {point.kind} at {at}, {point.record}"


def _result_lines(result: ModbusResult, options: ModbusOptions) -> list[str]:
    number = result.numbered_by
    if result.pattern == "fifo":
        where = f"FIFO queue at {result.fifo}, read each round, number in {result.number_field}"
        lines = [f"  result {result.id}: {where}"]
    else:
        where = f"counter at {number.table} {number.address}, read each round; when it moves:"
        lines = [f"  result {result.id}: {where}"]
        kept = f", in each of {result.slots} slots of {result.stride} registers" if result.slots else ""
        lines += [f"    {block}{kept}" for block in plan(result.fields, limits_of(options))]
    if result.handshake is not None:
        lines.append(f"    writes the number to holding {result.handshake} when the result is durable")
    return lines


def _unused(block: RegisterBlock[P]) -> int:
    used: set[int] = set()
    for point in block.points:
        used.update(range(point.address, point.end))
    return block.count - len(used)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
