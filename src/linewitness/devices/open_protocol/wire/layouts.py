"""Which parameters a telegram carries, by MID and revision; the facts themselves are in layouts.txt."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final, Literal, cast

from linewitness.devices.open_protocol.wire.telegram import HEADER_LENGTH

Encoding = Literal["N", "S", "T", "B", "D"]

ID_WIDTH: Final = 2
SECTION = re.compile(
    r"\[(?P<mid>\d{4}) (?P<first>\d+)(?:-(?P<last>\d+))?(?: @(?P<at>\d+))?(?: = (?P<base>\d+))?\]"
)
BLOCK = re.compile(r"(?P<id>\S+) (?P<key>\S+) (?P<count>\w+)\{(?P<parts>[^}]*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One parameter: `id` None where no two digits precede the value.

    `width` in bytes; `open_end` says that the value takes the rest of the data, at least `width`.
    The physical value is the integer divided by `scale`, in `unit` ("torque": the telegram's own
    torque unit). `count` names the parameter that says how often the block `parts` is repeated.
    """

    id: str | None
    key: str
    width: int
    enc: Encoding
    scale: int = 1
    unit: str = ""
    open_end: bool = False
    count: str | None = None
    parts: tuple["Field", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The parameters of one MID in one revision, in the order of their bytes."""

    mid: int
    revision: int
    fields: tuple[Field, ...]

    def length(self, repeats: int = 1) -> int:
        """Return the header's length field where each repeated block stands `repeats` times."""
        return HEADER_LENGTH + sum(
            (ID_WIDTH if each.id else 0) + each.width * (repeats if each.count else 1) for each in self.fields
        )


Key = tuple[int, int, int | None]


def layout_for(mid: int, revision: int, length: int | None = None) -> Layout | None:
    """Return the layout of a MID in a revision, or None where there is none that we are sure of.

    `length` is the header's: a few controllers use one revision number for two layouts.
    """
    table = layouts()
    return table.get((mid, revision, length)) or table.get((mid, revision, None))


def revisions(mid: int) -> tuple[int, ...]:
    """Return the revisions of a MID whose layout is known, in ascending order."""
    return tuple(sorted(number for known, number, length in layouts() if known == mid and length is None))


@cache
def layouts() -> Mapping[Key, Layout]:
    """Read the table once."""
    text = (files(__package__) / "layouts.txt").read_text(encoding="ascii")
    table: dict[Key, Layout] = {}
    for section, lines in _sections(text):
        mid, first = int(section["mid"]), int(section["first"])
        base = table[mid, int(section["base"]), None].fields if section["base"] else ()
        fields = base + tuple(_field(line) for line in lines)
        at = int(section["at"]) if section["at"] else None
        for revision in range(first, int(section["last"] or first) + 1):
            table[mid, revision, at] = Layout(mid=mid, revision=revision, fields=fields)
    return MappingProxyType(table)


def _sections(text: str) -> Iterator[tuple[re.Match[str], list[str]]]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    starts = [number for number, line in enumerate(lines) if line.startswith("[")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        section = SECTION.fullmatch(lines[start])
        if section is None:
            raise ValueError(f"layouts.txt: {lines[start]}")
        yield section, lines[start + 1 : end]


def _field(line: str) -> Field:
    block = BLOCK.fullmatch(line)
    if block is None:
        return _value(line)
    parts = tuple(_value(f"-- {part.strip()}") for part in block["parts"].split(";"))
    return Field(
        id=_id(block["id"]),
        key=block["key"],
        width=sum(part.width for part in parts),
        enc="S",
        count=block["count"],
        parts=parts,
    )


def _value(line: str) -> Field:
    identifier, key, width, enc, *rest = line.split()
    scale = 1
    if rest and rest[0].startswith("x"):
        scale = int(rest.pop(0)[1:])
    return Field(
        id=_id(identifier),
        key=key,
        width=int(width.removeprefix("*") or 0),
        enc=cast("Encoding", enc),
        scale=scale,
        unit=rest[0] if rest else "",
        open_end=width.startswith("*"),
    )


def _id(text: str) -> str | None:
    return None if text == "--" else text
