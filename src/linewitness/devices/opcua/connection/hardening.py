"""Harden asyncua for the whole process: what its decoder makes of bytes, and what it logs.

asyncua offers no setting for any of this. Each change has a test that shows that the library as it stands
still needs it.
"""

import logging
from collections.abc import Callable
from math import prod
from typing import Any, Final

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary

from linewitness.devices.opcua.connection.data_values import read_data_value, read_notification
from linewitness.devices.opcua.connection.wire import UaError

_read: Final = Buffer.read
_unpack_array: Final = ua_binary.unpack_uatype_array
_reader_of: Final = ua_binary._create_dataclass_deserializer  # noqa: SLF001 (there is no setting)
_READERS: Final = {
    ua.DataValue: read_data_value,
    ua.MonitoredItemNotification: read_notification,
}
_reshape: Final = ua_binary._reshape  # noqa: SLF001 (the library's own limit is per value, not per message)


def unpack_array(vtype: ua.VariantType, data: Any) -> list[Any] | None:
    """Read an array; UaError for one of nothing, whose elements take no bytes and so have no end."""
    if vtype is ua.VariantType.Null:
        raise UaError("an array of nothing")
    return _unpack_array(vtype, data)


def reshape(flat: list[Any], dims: list[int]) -> list[Any]:
    """Give an array its dimensions; UaError where they name other elements than there are.

    The library would make up a million for each value, however few bytes it has. What is no array, has no
    elements or no dimensions stays as it is.
    """
    if not dims or not flat or not isinstance(flat, list):
        return flat
    if min(dims) < 1 or prod(dims) != len(flat):
        raise UaError(f"an array of {len(flat)} with the dimensions {dims}")
    return _reshape(flat, dims)


def read_forward(buffer: Buffer, size: int) -> bytes:
    """Take bytes; UaError for a length below zero: the library would read again what it has read."""
    if size < 0:
        raise UaError(f"a length of {size}")
    return _read(buffer, size)


def read_text(data: Any) -> str | None:
    r"""Read a string; what is no UTF-8 (PLCs send Latin-1) stands as `\xe9`: no record can hold the byte."""
    raw = ua_binary.Primitives.Bytes.unpack(data)
    return None if raw is None else raw.decode("utf-8", "backslashreplace")


def reader_of(kind: Any) -> Callable[[Any], Any]:
    """Return what reads a structure: ours where there is one."""
    return _READERS.get(kind) or _reader_of(kind)


def harden() -> None:
    """Change the library, once; whoever makes a client calls this first.

    A few bytes must not become gigabytes, or be read for ever, and no text may stop a record.
    """
    if Buffer.read is read_forward:
        return
    # It logs a traceback for each broken connection; what matters of it is raised by us, once.
    logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)
    ua_binary.unpack_uatype_array = unpack_array
    ua_binary._reshape = reshape  # noqa: SLF001 (there is no setting)
    ua_binary._create_dataclass_deserializer = reader_of  # type: ignore[assignment]  # noqa: SLF001 (the same)
    Buffer.read = read_forward  # type: ignore[method-assign,assignment]  # of all buffers: that is wanted
    ua_binary.Primitives.String.unpack = read_text  # type: ignore[method-assign]  # the same
    for built in _BUILT:
        built.cache_clear()


#: What the decoder has built so far knows the old ways.
_BUILT: Final = (
    ua_binary._create_uatype_deserializer,  # noqa: SLF001 (there is no setting)
    ua_binary._create_uatype_array_deserializer,  # noqa: SLF001 (the same)
    ua_binary._create_list_deserializer,  # noqa: SLF001 (the same)
    ua_binary._create_type_deserializer,  # noqa: SLF001 (the same)
    _reader_of,
)
