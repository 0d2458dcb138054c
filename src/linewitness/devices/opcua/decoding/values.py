"""Write OPC UA values as evidence does: decimal strings, RFC 3339 times, structures field by field."""

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Final
from uuid import UUID

from asyncua import ua

from linewitness.devices.base import Quality, Scalar
from linewitness.devices.opcua.connection.wire import StatusCodes

#: A record holds at most 65 535 bytes (docs/format.md, section 2): longer arrays are named by their hash.
MAX_FIELDS: Final = 256
#: Beyond these exponents a decimal is written in scientific notation.
PLAIN_EXPONENT: Final = 18
SEVERITY: Final = 0xC000_0000
#: Info type "data value" with the overflow bit (OPC 10000-4, 7.39.1).
OVERFLOW_MASK: Final = 0x0000_0C80
OVERFLOW_BITS: Final = 0x0000_0480

#: What most values are: looked for first.
SIMPLE: Final = (float, int, bool, str)

Value = Scalar | Mapping[str, Scalar]


def shortest_float32(number: float) -> float:
    """Return the float with the fewest decimal digits that is the same float32."""
    short = float(f"{number:.7g}")
    if struct.pack("<f", short) == struct.pack("<f", number):
        return short
    short = float(f"{number:.8g}")
    return short if struct.pack("<f", short) == struct.pack("<f", number) else float(f"{number:.9g}")


def decimal_text(number: float, *, single: bool = False) -> str:
    """Return the shortest decimals that give the same float64, or the same float32 with `single`."""
    if number != number or number in (float("inf"), float("-inf")):  # noqa: PLR0124 - only NaN differs from itself
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(number)]
    short = repr(shortest_float32(number) if single else number)
    if "e" not in short:  # so it has fewer digits than would be written in another notation
        return short.removesuffix(".0")
    value = Decimal(short)
    return f"{value:f}" if abs(value.adjusted()) <= PLAIN_EXPONENT else f"{value.normalize():E}"


def plain(variant: ua.Variant | None) -> Value:
    """Return a variant as a scalar, or as a mapping from field path to scalar."""
    if variant is None or variant.Value is None:
        return None
    single = variant.VariantType is ua.VariantType.Float
    value = variant.Value
    if type(value) in SIMPLE or not _has_parts(value):
        return _scalar(value, single=single)
    flat: dict[str, Scalar] = {}
    for path, leaf in _leaves("", value):
        if len(flat) == MAX_FIELDS:
            return _summary(value)
        flat[path] = _scalar(leaf, single=single)
    return flat


def _summary(value: object) -> Value:
    """Name a value that is too large for a record by its size and hash."""
    digest, count = hashlib.sha256(), 0
    for path, leaf in _leaves("", value):
        digest.update(f"{path}={_scalar(leaf)}\n".encode())
        count += 1
    return {"fields": str(count), "sha256": digest.hexdigest()}


def _has_parts(value: object) -> bool:
    if isinstance(value, list | tuple | dict | ua.ExtensionObject):
        return True
    named = (ua.NodeId, ua.QualifiedName, ua.LocalizedText, ua.StatusCode)
    return is_dataclass(value) and not isinstance(value, named)


def _leaves(path: str, value: object) -> Iterator[tuple[str, object]]:
    if not _has_parts(value):
        yield path, value
        return
    for name, part in _parts(value):
        if isinstance(name, int):
            yield from _leaves(f"{path}[{name}]", part)
        else:
            yield from _leaves(f"{path}.{name}" if path else name, part)


def _parts(value: object) -> Iterable[tuple[str | int, object]]:
    if isinstance(value, list | tuple):
        return enumerate(value)
    if isinstance(value, dict):
        return value.items()
    if isinstance(value, ua.ExtensionObject):  # a structure that nobody described to us
        return (("type", value.TypeId), ("body", value.Body))
    if isinstance(value, ua.Variant):
        return (("value", value.Value),)
    skipped = {"Encoding"}
    return ((item.name, getattr(value, item.name)) for item in fields(value) if item.name not in skipped)  # type: ignore[arg-type]  # _has_parts let only dataclasses through


def _scalar(value: object, *, single: bool = False) -> Scalar:  # noqa: PLR0911 - one line for each built-in type
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return decimal_text(value, single=single)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, ua.LocalizedText):
        return value.Text
    if isinstance(value, ua.NodeId | ua.QualifiedName):
        return str(value.to_string())
    if isinstance(value, ua.StatusCode):
        return str(value.name)
    return str(value) if isinstance(value, UUID) else repr(value)


def quality(status: ua.StatusCode | None) -> Quality:
    """Return how far the server vouches for a value with this status."""
    if status is None or status.value == 0:
        return Quality.GOOD
    severity = status.value & SEVERITY
    if severity == 0:
        return Quality.GOOD
    return Quality.UNCERTAIN if severity == 0x4000_0000 else Quality.BAD  # noqa: PLR2004 - severity "uncertain"


def status_name(status: ua.StatusCode | None) -> str:
    """Return the name of a status without its info bits, or its number where it has no name."""
    if status is None or status.value & 0xFFFF_0000 == 0:
        return "Good"
    code = status.value & 0xFFFF_0000
    name = str(ua.StatusCode(ua.UInt32(code)).name)
    # For a code it does not know the library names the severity only.
    return name if getattr(StatusCodes, name, None) == code else f"0x{code:08x}"


def overflowed(status: ua.StatusCode | None) -> bool:
    """Whether the server's queue overflowed before this value, so that older ones are missing."""
    return status is not None and status.value & OVERFLOW_MASK == OVERFLOW_BITS
