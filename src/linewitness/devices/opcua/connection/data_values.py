"""Read values as they come from the wire: in the order of the specification, and without detours.

asyncua takes the parts of a DataValue in the order of their bits. On the wire each time is followed by its
picoseconds (OPC 10000-6, 5.2.2.17): a server that sends some gets a server's time in the year 9999.
"""

from functools import lru_cache
from struct import Struct
from typing import Any, Final

from asyncua import ua
from asyncua.ua import ua_binary

_VALUE, _STATUS, _SOURCE, _SERVER, _SOURCE_PICO, _SERVER_PICO = (1 << bit for bit in range(6))
#: What follows the value, in the order of the wire.
_PARTS: Final = (
    (_STATUS, "I"), (_SOURCE, "q"), (_SOURCE_PICO, "H"), (_SERVER, "q"), (_SERVER_PICO, "H"),
)  # fmt: skip
_ALL: Final = sum(bit for bit, _ in _PARTS)
_REST: Final = {
    mask: Struct("<" + "".join(form for bit, form in _PARTS if mask & bit))
    for mask in range(_ALL + 1)
    if not mask & _VALUE
}
_HANDLE: Final = Struct("<I")
_new: Final = object.__new__
#: Scalars of a fixed size, by the byte that says what a variant is.
_SCALARS: Final = {
    ua.VariantType.Boolean: "?", ua.VariantType.SByte: "b", ua.VariantType.Byte: "B",
    ua.VariantType.Int16: "h", ua.VariantType.UInt16: "H", ua.VariantType.Int32: "i",
    ua.VariantType.UInt32: "I", ua.VariantType.Int64: "q", ua.VariantType.UInt64: "Q",
    ua.VariantType.Float: "f", ua.VariantType.Double: "d",
}  # fmt: skip
#: A variant with such a scalar and what follows it, by mask and that byte.
_WHOLE: Final = {
    (mask | _VALUE, int(kind)): (Struct(f"<x{form}{rest.format[1:]}"), kind)
    for mask, rest in _REST.items()
    for kind, form in _SCALARS.items()
}


@lru_cache(256)
def _time(ticks: int) -> Any:
    """Return a datetime; many values share one. To types, the times of a DataValue have their own class."""
    return ua.win_epoch_to_datetime(ticks)


def read_data_value(data: Any) -> ua.DataValue:
    """Read a DataValue; what it does not carry is None, and a status that it does not carry is Good."""
    mask = data.read(1)[0] & (_ALL | _VALUE)
    value, found = None, None
    if mask & _VALUE:
        if data and (whole := _WHOLE.get((mask, data._data[data._cur_pos]))) is not None:  # noqa: SLF001 (a look ahead: it has none)
            layout, kind = whole
            number, *found = layout.unpack(data.read(layout.size))
            value = _scalar(number, kind)
        else:
            value = ua_binary.variant_from_binary(data)
    if found is None:
        rest = _REST[mask & _ALL]
        found = list(rest.unpack(data.read(rest.size)))
    return _data_value(value, mask, found)


def _scalar(number: float, kind: ua.VariantType) -> ua.Variant:
    """Return a variant as its `__init__` makes it of such a number, in a fifth of the time."""
    value: ua.Variant = _new(ua.Variant)
    value.Value, value.VariantType, value.Dimensions, value.is_array = number, kind, None, False
    return value


def _data_value(variant: ua.Variant | None, mask: int, rest: list[int]) -> ua.DataValue:
    """Return a DataValue as its `__init__` does; `rest` holds what follows the value, last first taken."""
    value: Any = _new(ua.DataValue)
    value.Encoding, value.Value = 0, ua.Variant(None) if variant is None else variant
    rest.reverse()
    take = rest.pop
    value.StatusCode = ua.StatusCode(take() if mask & _STATUS else 0)  # type: ignore[arg-type]  # an int
    value.SourceTimestamp = _time(take()) if mask & _SOURCE else None
    value.SourcePicoseconds = take() if mask & _SOURCE_PICO else None
    value.ServerTimestamp = _time(take()) if mask & _SERVER else None
    value.ServerPicoseconds = take() if mask & _SERVER_PICO else None
    found: ua.DataValue = value
    return found


def read_notification(data: Any) -> ua.MonitoredItemNotification:
    """Read what a monitored item has to say: its handle and a value."""
    (handle,) = _HANDLE.unpack(data.read(_HANDLE.size))
    return ua.MonitoredItemNotification(handle, read_data_value(data))
