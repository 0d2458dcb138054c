"""Read values as they come from the wire: in the order of the specification, and without detours.

asyncua takes the parts of a DataValue in the order of their bits. On the wire each time is followed by its
picoseconds (OPC 10000-6, 5.2.2.17): a server that sends some gets a server's time in the year 9999.
"""

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
#: It returns a datetime; to types, the times of a DataValue are of a class of their own.
_time: Final[Any] = ua.win_epoch_to_datetime


def read_data_value(data: Any) -> ua.DataValue:
    """Read a DataValue; what it does not carry is None, and a status that it does not carry is Good."""
    mask = data.read(1)[0]
    value = ua_binary.variant_from_binary(data) if mask & _VALUE else None
    rest = _REST[mask & _ALL]
    found = iter(rest.unpack(data.read(rest.size)))
    status = ua.StatusCode(next(found)) if mask & _STATUS else ua.StatusCode()
    source = _time(next(found)) if mask & _SOURCE else None
    source_pico = next(found) if mask & _SOURCE_PICO else None
    server = _time(next(found)) if mask & _SERVER else None
    server_pico = next(found) if mask & _SERVER_PICO else None
    return ua.DataValue(value, status, source, server, source_pico, server_pico)


def read_notification(data: Any) -> ua.MonitoredItemNotification:
    """Read what a monitored item has to say: its handle and a value."""
    (handle,) = _HANDLE.unpack(data.read(_HANDLE.size))
    return ua.MonitoredItemNotification(handle, read_data_value(data))
