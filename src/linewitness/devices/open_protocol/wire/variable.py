"""Telegrams with variable fields: operation results (1201, 1202) and traces (0900); how to ask for them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from linewitness.devices.open_protocol.wire.codec import text_of
from linewitness.devices.open_protocol.wire.mids import Mid
from linewitness.devices.open_protocol.wire.telegram import Telegram

UNITS: Final = MappingProxyType(
    {
        0: "", 1: "Nm", 2: "ft·lbf", 3: "cNm", 4: "kNm", 5: "MNm", 6: "in·lbf", 7: "kpm", 10: "ozf·in",
        11: "dNm", 12: "mNm", 13: "kgf·cm", 14: "gf·cm", 15: "ft·ozf", 50: "deg", 51: "rad", 100: "Hz",
        101: "rpm", 200: "s", 201: "min", 202: "ms", 203: "h", 250: "K", 251: "°C", 252: "°F", 300: "N",
        301: "kN", 350: "m", 351: "mm", 352: "in", 550: "kg", 551: "lb", 750: "A", 751: "V", 800: "%",
        850: "kPa",
    }
)  # fmt: skip
#: From this revision on 1201 and 0900 name the request that they answer, 1202 a node.
WITH_REQUEST: Final = 2
WITH_OBJECT_TYPE: Final = 3


class MalformedVariable(ValueError):
    """A telegram with variable fields that does not add up."""


@dataclass(frozen=True, slots=True)
class VariableField:
    """One variable field: its parameter id, unit and text."""

    pid: int
    kind: int
    unit: str
    step: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationPart:
    """One telegram of an operation result: 1201 is part 1, each 1202 one more."""

    total: int
    number: int
    result_id: int
    object_id: int | None = None
    request: int | None = None
    time: str | None = None
    ok: bool | None = None
    kind: int | None = None
    parameters: Mapping[int, VariableField]


@dataclass(slots=True)
class OperationParts:
    """An operation result as it comes: its overall part and its objects, by part number."""

    parts: dict[int, OperationPart] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether all parts are here."""
        overall = self.parts.get(1)
        return overall is not None and len(self.parts) == overall.total

    @property
    def overall(self) -> OperationPart:
        """The overall part (1201)."""
        return self.parts[1]

    def objects(self) -> list[OperationPart]:
        """Return the parts that carry values: the objects, or the overall part where there are none."""
        return [part for _, part in sorted(self.parts.items()) if part.object_id is not None] or [
            self.overall
        ]

    def text(self, pid: int) -> str | None:
        """Return a parameter from wherever it stands first; None where it is blank or missing."""
        for part in (self.overall, *self.objects()):
            found = part.parameters.get(pid)
            if found is not None and found.text:
                return found.text
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The head of a trace; the samples stay in the telegram, which is kept whole."""

    result_id: int
    time: str
    kind: int
    unit: str
    samples: int
    parameters: Mapping[int, VariableField]


def parse_part(telegram: Telegram) -> OperationPart:
    """Read 1201 or 1202. Raises `MalformedVariable`."""
    reader = _VariableReader(telegram.data)
    total, number, result_id = reader.number(3), reader.number(3), reader.number(10)
    if telegram.mid == Mid.OPERATION_OBJECT:
        object_id = reader.number(4)
        if telegram.revision >= WITH_REQUEST:
            reader.take(36)
        return OperationPart(
            total=total,
            number=number,
            result_id=result_id,
            object_id=object_id,
            parameters=reader.parameters(),
        )
    time, ok, kind = reader.text(19), reader.number(1) == 1, reader.number(2)
    request = reader.number(4) if telegram.revision >= WITH_REQUEST else None
    reader.take(reader.number(3) * (10 if telegram.revision >= WITH_OBJECT_TYPE else 5))
    return OperationPart(
        total=total,
        number=number,
        result_id=result_id,
        request=request,
        time=time,
        ok=ok,
        kind=kind,
        parameters=reader.parameters(),
    )


def parse_trace(telegram: Telegram) -> Trace:
    """Read the head of 0900. Raises `MalformedVariable`."""
    reader = _VariableReader(telegram.data)
    result_id, time = reader.number(10), reader.text(19)
    if telegram.revision >= WITH_OBJECT_TYPE:
        reader.take(9)
    parameters = reader.parameters()
    kind = reader.number(2)
    if telegram.revision >= WITH_OBJECT_TYPE:
        reader.take(2)
    reader.take(2)
    unit = reader.number(3)
    if telegram.revision >= WITH_REQUEST:
        reader.take(4)
    parameters = MappingProxyType({**parameters, **reader.parameters()})
    for _ in range(reader.number(3)):
        reader.take(10)
        length = reader.number(3)
        reader.take(5 + length)
    return Trace(
        result_id=result_id,
        time=time,
        kind=kind,
        unit=UNITS.get(unit, str(unit)),
        samples=reader.number(5),
        parameters=parameters,
    )


def generic(mid: Mid, inner: Mid, revision: int, extra: str = "") -> Telegram:
    """Return a generic request (0006), subscribe (0008) or unsubscribe (0009) for another message."""
    data = f"{inner:04d}{revision:03d}{len(extra):02d}{extra}"
    return Telegram(mid=mid, data=data.encode("ascii"))


class _VariableReader:
    """Walks through a data field."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, width: int) -> bytes:
        raw = self._data[self._position : self._position + width]
        if len(raw) < width:
            raise MalformedVariable(f"ends at byte {len(self._data)}, {width - len(raw)} too early")
        self._position += width
        return raw

    def text(self, width: int) -> str:
        return text_of(self.take(width)).strip()

    def number(self, width: int) -> int:
        text = self.text(width)
        if not (text.isascii() and text.isdigit()) and text:
            raise MalformedVariable(f"{text!r} is no number at byte {self._position - width + 21}")
        return int(text or 0)

    def parameters(self) -> Mapping[int, VariableField]:
        found: dict[int, VariableField] = {}
        for _ in range(self.number(3)):
            pid, length = self.number(5), self.number(3)
            kind, unit, step = self.number(2), self.number(3), self.number(4)
            found[pid] = VariableField(pid, kind, UNITS.get(unit, str(unit)), step, self.text(length))
        return MappingProxyType(found)
