"""Turn the tags that another program exports (Kepware, Ignition) into rows of a table of points."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Final

from linewitness.base.errors import ConfigurationError

_KEPWARE_COLUMNS: Final = frozenset({"Tag Name", "Address", "Data Type"})
#: Kepware's types, as registers make them.
_KEPWARE_TYPES: Final[Mapping[str, str]] = {
    "boolean": "bool",
    "short": "int16",
    "word": "uint16",
    "long": "int32",
    "dword": "uint32",
    "llong": "int64",
    "qword": "uint64",
    "float": "float32",
    "double": "float64",
    "bcd": "bcd16",
    "lbcd": "bcd32",
    "string": "string",
    "default": "uint16",
}
_REGISTER: Final = re.compile(r"([0134])([0-9]{4,5})(?:\.([0-9]{1,3})([HL]?))?")
_NODE: Final = re.compile(r"(?:ns=[0-9]+;|nsu=[^;]+;)?[isgb]=.+", re.DOTALL)
_OWN_DRIVER: Final = re.compile(r"ns=1;s=\[[^\]]+\]")
_NOT_A_NAME: Final = re.compile(r"[^a-z0-9_.-]+")
_NAME_LENGTH: Final = 63
_PLACES: Final = 12
_BITS: Final = 16

Row = dict[str, str]


class NotMapped(Exception):
    """A tag has no counterpart; the text says why."""


@dataclass(slots=True)
class ImportedTags:
    """The rows of the tags that map, and a sentence for each that does not or that is changed."""

    rows: list[Row] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)

    def add(self, where: str, name: str, settings: Row) -> None:
        """Add a point under a name that is an identifier and that no other has."""
        wanted = identifier(name)
        given, number = wanted, 1
        while given in self._names:
            number += 1
            given = f"{wanted[: _NAME_LENGTH - len(str(number)) - 1]}-{number}"
        if given != wanted:
            self.notes.append(f"{where}: {name!r} becomes {given!r}: {wanted!r} is taken already")
        self._names.add(given)
        self.rows.append({"id": given, **settings})


def identifier(name: str) -> str:
    """Return a tag's name in lower case with what a point's id cannot hold as '-'."""
    plain = _NOT_A_NAME.sub("-", name.lower()).strip("_.-")
    return (plain or "tag")[:_NAME_LENGTH]


def read_tags(text: str, record: str) -> ImportedTags:
    """Return the points of an export; `record` is what becomes of each value.

    Raises ConfigurationError if it is neither Kepware's CSV nor Ignition's JSON or CSV.
    """
    if text.lstrip()[:1] in ("{", "["):
        return _ignition(_json_tags(text), record)
    lines = io.StringIO(text, newline="")
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    rows = csv.DictReader(lines, delimiter=delimiter)
    columns = set(rows.fieldnames or ())
    if columns >= _KEPWARE_COLUMNS:
        return _kepware(rows, record)
    paths = {name.lower(): name for name in columns}
    if "opcitempath" in paths and "name" in paths:
        return _ignition(_csv_tags(rows, paths), record)
    raise ConfigurationError(
        "this is no export of tags that is known",
        hint="Kepware: File, Export CSV (columns Tag Name, Address, Data Type); Ignition: Tag Browser, "
        "Export (JSON, or CSV with Name and OPCItemPath)",
    )


def _kepware(rows: "csv.DictReader[str]", record: str) -> ImportedTags:
    found = ImportedTags()
    for row in rows:
        cells = {key: (value or "").strip() for key, value in row.items() if isinstance(value, str | None)}
        where, name = f"line {rows.line_num}", cells["Tag Name"]
        try:
            settings = _place(cells["Address"], cells["Data Type"]) | {"record": record}
            settings |= _scaling(cells, settings.get("type", "bool"))
        except NotMapped as reason:
            found.left_out.append(f"{where}: {name!r} at {cells['Address']!r}: {reason}")
            continue
        if unit := cells.get("Eng. Units") or cells.get("Eng Units"):
            settings["unit"] = unit
        if any(cells.get(column, "").lower() in ("1", "true") for column in ("Clamp Low", "Clamp High")):
            found.notes.append(
                f"{where}: {name!r} is clamped there; the point has the values as they are read"
            )
        found.add(where, name, settings)
    if {"node", "registers"} <= {column for row in found.rows for column in row}:
        found.notes.append("it has Modbus registers and OPC UA nodes: give each device a table of its own")
    return found


def _place(address: str, data_type: str) -> Row:
    """Return where a value is: 5 or 6 digits, `.3` for a bit, `.20H` for a text of 20 characters."""
    if _NODE.fullmatch(address):
        return {"node": address}
    found = _REGISTER.fullmatch(address)
    if found is None:
        raise NotMapped("neither a Modbus register nor an OPC UA node")
    digit, number, detail, text_order = found.groups(default="")
    kind = _KEPWARE_TYPES.get(data_type.lower())
    if kind is None:
        raise NotMapped(f"the type {data_type!r} has no counterpart")
    if not 1 <= int(number) <= (9_999 if len(number) == len("0001") else 65_536):
        raise NotMapped("there is no such register")
    settings = {"registers": f"{digit}{number}"}
    if digit in "01":
        return settings
    settings["type"] = kind
    if kind == "string":
        if not detail or not 1 <= int(detail) <= 246:  # noqa: PLR2004 (as ModbusPoint.length)
            raise NotMapped("a text needs its length, such as 400001.20H, of at most 246 characters")
        return settings | {"length": detail} | ({"order": "BADC"} if text_order == "L" else {})
    if detail:
        if kind != "bool" or int(detail) >= _BITS:
            raise NotMapped("a bit of a register is of type Boolean, from 0 to 15")
        settings["bit"] = detail
    return settings


def _scaling(cells: Mapping[str, str], kind: str) -> Row:
    """Return scale and offset of a linear scaling, if decimals can say them exactly."""
    if cells.get("Negate Value", "").strip().lower() not in ("", "0", "false"):
        raise NotMapped("its value is negated: give scale and offset by hand")
    mode = cells.get("Scaling", "").lower()
    if mode in ("", "none"):
        return {}
    if mode != "linear":
        raise NotMapped(f"the scaling {cells['Scaling']!r} has no counterpart")
    if kind in ("bool", "string"):
        raise NotMapped(f"a value of type {kind} cannot be scaled")
    try:
        raw_low, raw_high, low, high = (
            Fraction(Decimal(cells[name])) for name in ("Raw Low", "Raw High", "Scaled Low", "Scaled High")
        )
        scale = (high - low) / (raw_high - raw_low)
    except (KeyError, InvalidOperation, ValueError, ZeroDivisionError):
        raise NotMapped("its scaling has no two different raw values, or no numbers") from None
    offset = low - raw_low * scale
    exact = {"scale": _decimal(scale), "offset": _decimal(offset)}
    return {name: text for name, text in exact.items() if text != {"scale": "1", "offset": "0"}[name]}


def _decimal(value: Fraction) -> str:
    scaled = value * 10**_PLACES
    if scaled.denominator != 1:
        raise NotMapped("its scaling is no decimal: give scale and offset by hand")
    text = format(Decimal(scaled.numerator).scaleb(-_PLACES), "f")
    return text.rstrip("0").rstrip(".") or "0"


@dataclass(frozen=True, slots=True)
class _IgnitionTag:
    where: str
    name: str
    kind: str
    path: str
    unit: str


def _ignition(tags: Iterator[_IgnitionTag], record: str) -> ImportedTags:
    found = ImportedTags()
    for tag in tags:
        if not tag.path:
            reason = f"it is no OPC tag ({tag.kind})" if tag.kind else "it is no OPC tag"
        elif "{" in tag.path:
            reason = f"its path has parameters: {tag.path}"
        elif _OWN_DRIVER.match(tag.path):
            reason = f"{tag.path} is an address of a driver of Ignition: read the device itself"
        elif not _NODE.fullmatch(tag.path):
            reason = f"{tag.path} is no OPC UA node"
        else:
            unit = {"unit": tag.unit} if tag.unit else {}
            found.add(tag.where, tag.name, {"node": tag.path, "record": record, **unit})
            continue
        found.left_out.append(f"{tag.where}: {tag.name!r}: {reason}")
    return found


def _csv_tags(rows: "csv.DictReader[str]", names: Mapping[str, str]) -> Iterator[_IgnitionTag]:
    for row in rows:
        cells = {key: str(row.get(name) or "").strip() for key, name in names.items()}
        folder = cells.get("path", "").strip("/")
        name = f"{folder}/{cells['name']}" if folder else cells["name"]
        if cells.get("tagtype") in ("6", "Folder"):
            continue
        yield _IgnitionTag(f"line {rows.line_num}", name, "", cells["opcitempath"], cells.get("engunit", ""))


def _json_tags(text: str) -> Iterator[_IgnitionTag]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"this is not JSON: {error}", hint="export the tags again") from None
    waiting: list[tuple[str, object]] = [("", data)]
    while waiting:
        folder, item = waiting.pop()
        if isinstance(item, list):
            waiting += [(folder, each) for each in reversed(item)]
        elif isinstance(item, dict):
            own = str(item.get("name") or "")
            path = f"{folder}/{own}".strip("/")
            if isinstance(item.get("tags"), list):
                waiting.append((path, item["tags"]))
            elif own:
                kind = str(item.get("valueSource") or item.get("tagType") or "")
                node = item.get("opcItemPath") if kind in ("opc", "AtomicTag", "OPC", "") else ""
                bound = node.get("binding", "") if isinstance(node, dict) else node
                yield _IgnitionTag(path, path, kind, str(bound or ""), str(item.get("engUnit") or ""))
