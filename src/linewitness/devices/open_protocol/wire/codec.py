"""Read and write the parameters of a telegram by its layout: blank is absent, nothing is guessed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType

from linewitness.base.mappings import EMPTY
from linewitness.devices.open_protocol.wire.layouts import ID_WIDTH, Field, Layout, layout_for, revisions
from linewitness.devices.open_protocol.wire.telegram import HEADER_LENGTH, Telegram

Content = str | int | None
#: What `encode` takes: bytes of the exact width go out as they are, for telegrams that are wrong on purpose.
Values = Mapping[str, "Content | bytes | Sequence[Mapping[str, Content]]"]

INTEGER = re.compile(r" *(-?[0-9]+) *")
NO_TIME = re.compile(r"0{4}-0{2}-0{2}:.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldValue:
    """One parameter as received: its bytes, and what they mean (None: blank, so absent).

    `decimal` is the physical value of a number ("25.12"), with exactly as many digits as the scale has.
    """

    raw: bytes
    content: Content
    decimal: str | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedTelegram:
    """The parameters of one telegram.

    `short`: the telegram ended before its layout did; `undecodable_from` is the byte (1-based, as
    in the protocol) where a parameter id was not the expected one, or where no layout was known;
    `invalid` names numbers that were not numbers; `extra` is what followed the known layout.
    """

    mid: int
    revision: int
    values: Mapping[str, FieldValue]
    blocks: Mapping[str, tuple[Mapping[str, FieldValue], ...]] = field(default_factory=lambda: EMPTY)
    extra: bytes = b""
    short: bool = False
    undecodable_from: int | None = None
    invalid: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every parameter of the layout was there and readable."""
        return not self.short and self.undecodable_from is None and not self.invalid

    def content(self, key: str) -> Content:
        """Return a parameter's content; None where it is blank or not in this revision."""
        value = self.values.get(key)
        return None if value is None else value.content

    def number(self, key: str) -> int | None:
        """Return the integer as received, or None."""
        content = self.content(key)
        return content if isinstance(content, int) else None

    def text(self, key: str) -> str | None:
        """Return the text without padding, or None."""
        content = self.content(key)
        return content if isinstance(content, str) else None

    def decimal(self, key: str) -> str | None:
        """Return the physical value as a decimal string, or None."""
        value = self.values.get(key)
        return None if value is None else value.decimal

    @property
    def problem(self) -> str:
        """What is wrong with a telegram that is not complete; "" where it is."""
        name = f"MID {self.mid:04d} revision {self.revision}"
        if self.undecodable_from is not None:
            return f"{name}: not decodable from byte {self.undecodable_from}"
        if self.short:
            return f"{name}: shorter than its layout"
        return f"{name}: not a number in {', '.join(self.invalid)}" if self.invalid else ""


def decode(telegram: Telegram, layout: Layout | None = None) -> DecodedTelegram:
    """Read a telegram by the layout of its own header revision, or by the one given.

    Where the header states no revision, a layout of exactly this length is taken, otherwise revision 1.
    """
    chosen = layout or _layout_of(telegram)
    if chosen is None:
        return DecodedTelegram(
            mid=telegram.mid,
            revision=telegram.revision,
            values=EMPTY,
            extra=telegram.data,
            undecodable_from=HEADER_LENGTH + 1,
        )
    return _LayoutReader(telegram, chosen).read()


def encode(mid: int, revision: int, values: Values) -> Telegram:
    """Build a telegram from the contents of its parameters; what is missing or None goes out blank.

    Raises ValueError for a value that does not fit, and KeyError for one that the layout does not know.
    """
    layout = layout_for(mid, revision)
    if layout is None:
        raise KeyError(f"no layout for MID {mid:04d} revision {revision}")
    unknown = set(values) - {each.key for each in layout.fields}
    if unknown:
        raise KeyError(f"MID {mid:04d} revision {revision} has no {', '.join(sorted(unknown))}")
    data = b"".join(
        (each.id or "").encode("ascii") + _write(each, values.get(each.key)) for each in layout.fields
    )
    return Telegram(mid=mid, revision=revision, data=data)


class _LayoutReader:
    """Walks the data field once, parameter by parameter."""

    def __init__(self, telegram: Telegram, layout: Layout) -> None:
        self._telegram = telegram
        self._layout = layout
        self._position = 0
        self._values: dict[str, FieldValue] = {}
        self._blocks: dict[str, tuple[Mapping[str, FieldValue], ...]] = {}
        self._invalid: list[str] = []

    def read(self) -> DecodedTelegram:
        short, undecodable = False, None
        for each in self._layout.fields:
            start = self._position
            if not self._id_fits(each):
                short = self._position >= len(self._telegram.data)
                undecodable = None if short else HEADER_LENGTH + start + 1
                break
            if not self._take(each):
                self._position, short = start, True
                break
        return DecodedTelegram(
            mid=self._telegram.mid,
            revision=self._layout.revision,
            values=MappingProxyType(self._values),
            blocks=MappingProxyType(self._blocks),
            extra=self._telegram.data[self._position :],
            short=short,
            undecodable_from=undecodable,
            invalid=tuple(self._invalid),
        )

    def _id_fits(self, each: Field) -> bool:
        if each.id is None:
            return True
        found = self._telegram.data[self._position : self._position + ID_WIDTH]
        if found != each.id.encode("ascii"):
            return False
        self._position += ID_WIDTH
        return True

    def _take(self, each: Field) -> bool:
        if each.count is not None:
            return self._take_blocks(each, each.count)
        rest = len(self._telegram.data) - self._position
        width = max(rest, 1) if each.open_end else each.width
        if rest < width and not each.open_end:
            return False
        self._values[each.key] = self._value(
            each, self._telegram.data[self._position : self._position + width]
        )
        self._position = min(self._position + width, len(self._telegram.data))
        return True

    def _take_blocks(self, each: Field, count_key: str) -> bool:
        known = self._values.get(count_key)
        count = known.content if known is not None else None
        blocks: list[Mapping[str, FieldValue]] = []
        for _ in range(count if isinstance(count, int) else 0):
            if len(self._telegram.data) - self._position < each.width:
                break
            block: dict[str, FieldValue] = {}
            for part in each.parts:
                raw = self._telegram.data[self._position : self._position + part.width]
                block[part.key] = self._value(part, raw)
                self._position += part.width
            blocks.append(MappingProxyType(block))
        self._blocks[each.key] = tuple(blocks)
        return len(blocks) == count

    def _value(self, each: Field, raw: bytes) -> FieldValue:
        content = _read(each, raw)
        if content is None and each.enc in "NBD" and raw.strip(b" "):
            self._invalid.append(each.key)
        return FieldValue(raw=raw, content=content, decimal=_decimal(content, each.scale), unit=each.unit)


def _layout_of(telegram: Telegram) -> Layout | None:
    if not telegram.stated:
        for revision in revisions(telegram.mid):
            layout = layout_for(telegram.mid, revision)
            if layout is not None and layout.length() == telegram.length:
                return layout
    return layout_for(telegram.mid, telegram.revision, telegram.length)


def text_of(raw: bytes) -> str:
    """Return bytes as text: UTF-8 where it is valid, otherwise Latin-1."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _read(each: Field, raw: bytes) -> Content:
    if each.enc in "NBD":
        found = INTEGER.fullmatch(raw.decode("latin-1"))
        return int(found[1]) if found else None
    text = text_of(raw).strip(" ")
    if each.enc == "T" and NO_TIME.fullmatch(text):
        return None
    return text or None


def _decimal(content: Content, scale: int) -> str | None:
    if not isinstance(content, int):
        return None
    return str(Decimal(content).scaleb(1 - len(str(scale))))


def _write(each: Field, value: "Content | bytes | Sequence[Mapping[str, Content]]") -> bytes:
    if each.parts:
        blocks = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else ()
        return b"".join(_write(part, block.get(part.key)) for block in blocks for part in each.parts)
    if isinstance(value, bytes):
        raw = value
    elif value is None:
        raw = b" " * each.width
    elif isinstance(value, int):
        raw = f"{value:0{each.width}d}".encode("ascii")
    else:
        raw = str(value).encode().ljust(each.width)
    if len(raw) != each.width and not (each.open_end and len(raw) > each.width):
        raise ValueError(f"{each.key}: {value!r} does not fit into {each.width} characters")
    return raw
