"""What the settings of a Modbus device most likely do not mean: manuals' addresses, registers read twice."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from linewitness.base.settings import Doubt
from linewitness.devices.modbus.points import INTEGERS, ModbusPoint, RegisterAddress
from linewitness.devices.modbus.result_options import Counter, ModbusResult
from linewitness.devices.modbus.wire.protocol import FIVE_DIGIT_ADDRESSES, REFERENCE, Table

_BITS = frozenset({"bool", "bits"})
#: Types of which single bits are read beside the whole with good reason: words of flags.
_WORDS = INTEGERS | _BITS | {"bcd16", "bcd32"}
#: Room for the digits behind the table's in a reference of 5 digits: 40011 is register 11.
_ROOM = FIVE_DIGIT_ADDRESSES + 1


@dataclass(frozen=True, slots=True, order=True)
class _Span:
    """Registers that are read as one value. `space` tells the tables, and queues, apart."""

    space: str
    first: int
    end: int
    kind: str
    name: str
    loc: tuple[str | int, ...]


def doubts_of(points: Sequence[ModbusPoint], results: Sequence[ModbusResult]) -> Iterator[Doubt]:
    """Return the doubts of a device."""
    for index, point in enumerate(points):
        by_default = "table" not in point.model_fields_set
        yield from _as_in_manuals(
            point.table, point.address, ("points", index, "address"), point=True, by_default=by_default
        )
    for index, result in enumerate(results):
        if result.counter is not None:
            at = ("results", index, "counter", "address")
            yield from _as_in_manuals(result.counter.table, result.counter.address, at)
            yield from _counter_as_value(index, result, result.counter)
        for number, field in enumerate(result.fields):
            place = ("results", index, "fields", number, "address")
            yield from _as_in_manuals(field.table, field.address, place)
    yield from _overlaps(sorted(_spans(points, results)))


def _as_in_manuals(
    table: Table, address: int, at: tuple[str | int, ...], *, point: bool = False, by_default: bool = False
) -> Iterator[Doubt]:
    """Doubt an address that is within the table's numbers of manuals: 40001 to 49999 for holding registers.

    `by_default` says that nobody chose the table, so that input registers may be meant as well.
    """
    for meant in (table, *(("input",) if by_default and table == "holding" else ())):
        register = address - REFERENCE[meant] * _ROOM
        if REFERENCE[meant] and 1 <= register < _ROOM:
            other = f"table: {meant}, " if meant != table else ""
            ways = (
                f"registers: {address}, or {other}address: {register - 1}"
                if point
                else (f"address: {register - 1}")
            )
            sure = f"; registers: {REFERENCE[table]}{address + 1:05} says that it is not" if point else ""
            yield Doubt(
                what=f"this is the address {address} on the wire; in a manual, {address} means register "
                f"{register} of table {meant}",
                hint=f"if it is the manual's, write {ways}{sure}",
                at=at,
                group="manual",
            )
            return


def _counter_as_value(index: int, result: ModbusResult, counter: Counter) -> Iterator[Doubt]:
    """Doubt a field that is the counter itself, if it is not named as the field with the number."""
    for number, field in enumerate(result.fields):
        place = (field.table, field.address, field.end)
        if place == (counter.table, counter.address, counter.end) and field.id != result.number_field:
            yield Doubt(
                what=f"{field.id} is the counter itself: the result's number will be recorded as a value",
                hint=f"correct the address, or say number_field: {field.id} if the number is meant",
                at=("results", index, "fields", number, "address"),
            )


def _spans(points: Sequence[ModbusPoint], results: Sequence[ModbusResult]) -> Iterator[_Span]:
    for index, point in enumerate(points):
        yield _span(point, point.table, point.id, ("points", index))
    for index, result in enumerate(results):
        for number, field in enumerate(result.fields):
            space = f"{result.id}'s queue" if result.pattern == "fifo" else field.table
            yield _span(field, space, f"{result.id}.{field.id}", ("results", index, "fields", number))


def _span(value: RegisterAddress, space: str, name: str, loc: tuple[str | int, ...]) -> _Span:
    return _Span(space, value.address, value.end, value.kind, name, (*loc, "address"))


def _overlaps(spans: Sequence[_Span]) -> Iterator[Doubt]:
    """Doubt each value whose registers another value reads in another way; `spans` are in their order."""
    open_spans: dict[tuple[int, int, str], _Span] = {}
    space = ""
    for span in spans:
        still = span.space == space
        open_spans = {key: each for key, each in open_spans.items() if still and each.end > span.first}
        space = span.space
        other = next((each for each in open_spans.values() if not _fit(each, span)), None)
        if other is not None:
            yield Doubt(
                what=f"{span.name} reads {_extent(span)} as {span.kind}, and {other.name} reads "
                f"{_extent(other)} as {other.kind}",
                hint="correct an address or a type; leave it if both are meant",
                at=span.loc,
            )
        open_spans.setdefault((span.first, span.end, span.kind), span)


def _fit(one: _Span, other: _Span) -> bool:
    """Return whether both may well read the same registers: the same value twice, or bits of a word."""
    if one.kind == other.kind and (one.first, one.end) == (other.first, other.end):
        return True
    kinds = {one.kind, other.kind}
    return bool(kinds & _BITS) and kinds <= _WORDS


def _extent(span: _Span) -> str:
    last = span.end - 1
    return f"address {span.first}" if last == span.first else f"addresses {span.first} to {last}"
