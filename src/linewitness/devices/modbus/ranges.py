"""Write out a range of registers as points: `registers: 40001..40500`, or `address: 0..499`."""

import re
from collections.abc import Mapping
from typing import Final, cast

from linewitness.base.settings import SettingsError
from linewitness.devices.modbus.wire.protocol import (
    ADDRESSES,
    FIVE_DIGIT_ADDRESSES,
    REFERENCE,
    Table,
    is_bits,
)
from linewitness.devices.options import PointRange

_REFERENCES: Final = re.compile(r"([0134])([0-9]{4,5})(?:\s*\.\.\s*([0134])([0-9]{4,5}))?")
_ADDRESSES: Final = re.compile(r"([0-9]{1,5})\s*\.\.\s*([0-9]{1,5})")
_PLACEHOLDER: Final = re.compile(r"\{(n|address)(?::0([1-9]))?\}")
_IDENTIFIER: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_TABLES: Final[Mapping[int, Table]] = {digit: table for table, digit in REFERENCE.items()}
_USED: Final = frozenset({"registers"})


def range_of(entry: Mapping[str, object], widths: Mapping[str, int]) -> PointRange | None:
    """Return the points of an entry with `registers`, or with a range as its `address`; None for any other.

    `widths` are the registers that each type takes.
    Raises SettingsError if the range is not written as one, or if it is not a whole number of values.
    """
    registers, address = entry.get("registers"), entry.get("address")
    if registers is not None:
        table, first, last = _of_references(registers, entry, widths)
    elif isinstance(address, str) and ".." in address:
        table, first, last = _of_addresses(address, entry)
    else:
        return None
    width = _width(entry, table, widths)
    count, rest = divmod(last - first + 1, width)
    if rest:
        raise SettingsError(
            f"{last - first + 1} registers are not a whole number of values of type {entry['type']}, "
            f"which take {width} each: end the range {rest} earlier or {width - rest} later",
            at=("registers" if registers is not None else "address",),
        )
    return _points(_pattern(entry.get("id", "")), table, first, width, count)


def in_a_manual(number: object) -> tuple[Table, int] | None:
    """Return what a number that is no address on the wire means in a manual, 400011: table and address."""
    found = _REFERENCES.fullmatch(str(number).strip())
    if found is None or found[3] or int(found[0]) < ADDRESSES or not 1 <= int(found[2]) <= ADDRESSES:
        return None
    return _TABLES[int(found[1])], int(found[2]) - 1


def _of_references(
    registers: object, entry: Mapping[str, object], widths: Mapping[str, int]
) -> tuple[Table, int, int]:
    """Return table and wire addresses of references as manuals write them, 40001 or 400001."""
    if "address" in entry:
        raise SettingsError("registers and address say the same: leave one of them out", at=("registers",))
    found = _REFERENCES.fullmatch(str(registers).strip())
    if found is None:
        raise SettingsError(
            f"{str(registers)!r} is no range of registers: write 40001..40500 for holding registers, "
            "30001.. for input registers, '10001..' for discrete inputs, '00001..' for coils, or 6 digits",
            at=("registers",),
        )
    digit, first, last_digit, last = found.groups(default="")
    if last and (last_digit, len(last)) != (digit, len(first)):
        raise SettingsError(
            f"{registers} begins in one table and ends in another, or mixes 5 and 6 digits", at=("registers",)
        )
    table = _TABLES[int(digit)]
    if entry.get("table", table) != table:
        raise SettingsError(
            f"{registers} is in table {table}, and table says {entry['table']}", at=("registers",)
        )
    highest = FIVE_DIGIT_ADDRESSES if len(first) == len("0001") else ADDRESSES
    begin, end = int(first), int(last or first)
    if not last:  # a single reference is one value
        end = begin + _width(entry, table, widths) - 1
    _check_bounds(str(registers), (begin, end), (1, highest), "registers")
    return table, begin - 1, end - 1


def _of_addresses(address: str, entry: Mapping[str, object]) -> tuple[Table, int, int]:
    found = _ADDRESSES.fullmatch(address.strip())
    if found is None:
        manual = f", or registers: {address}" if _REFERENCES.fullmatch(address.strip()) else ""
        raise SettingsError(f"{address!r} is no range of addresses: write 0..499{manual}", at=("address",))
    first, last = int(found[1]), int(found[2])
    _check_bounds(address, (first, last), (0, ADDRESSES - 1), "address")
    table = entry.get("table", "holding")
    return cast(Table, table) if table in REFERENCE else "holding", first, last


def _check_bounds(text: str, given: tuple[int, int], allowed: tuple[int, int], setting: str) -> None:
    (first, last), (lowest, highest) = given, allowed
    if first > last:
        raise SettingsError(f"{text}: the first is above the last", at=(setting,))
    if first < lowest or last > highest:
        raise SettingsError(
            f"{text} leaves the table: it goes from {lowest} to {highest}"
            + (" behind the table's digit" if setting == "registers" else ""),
            at=(setting,),
        )


def _width(entry: Mapping[str, object], table: Table, widths: Mapping[str, int]) -> int:
    """Return the addresses that a value takes; 1 where its type is wrong, which is found later."""
    kind = entry.get("type")
    if is_bits(table):
        return 1
    if kind == "string":
        length = str(entry.get("length", ""))
        return max(1, (int(length) + 1) // 2) if length.isdecimal() else 1
    return widths.get(str(kind), 1)


def _points(pattern: str, table: Table, first: int, width: int, count: int) -> PointRange:
    def settings(number: int) -> dict[str, str | int]:
        address = first + (number - 1) * width
        return {"id": _named(pattern, number, address), "table": table, "address": address}

    if count > 1 and not _PLACEHOLDER.search(pattern):
        raise SettingsError(
            f"{pattern!r} would name {count} points: write {{n}} into it, the number of the point in its "
            "range, counted from 1; {n:03} is 001",
            at=("id",),
        )
    for number in (1, count):
        name = str(settings(number)["id"])
        if not _IDENTIFIER.fullmatch(name):
            raise SettingsError(
                f"{pattern!r} makes names like {name!r}: they need lower-case letters, digits, '.', '_' "
                "and '-', at most 63 characters; a number is written {n}, {n:03} or {address}",
                at=("id",),
            )
    return PointRange(count, settings, _USED)


def _pattern(name: object) -> str:
    if isinstance(name, Mapping):
        text = "{" + ", ".join(str(key) for key in name) + "}"
        raise SettingsError(
            f'without quotes, YAML reads {text} as a group of settings: write id: "{text}", or "zone-{text}"',
            at=("id",),
        )
    return str(name)


def _named(pattern: str, number: int, address: int) -> str:
    if "{" not in pattern:
        return pattern
    values = {"n": number, "address": address}
    return _PLACEHOLDER.sub(lambda found: f"{values[found[1]]:0{found[2] or 1}d}", pattern)
