"""Hold the library to what we announced, and its decoder to what a few bytes can mean."""

from math import prod
from typing import Any, Final

from asyncua import ua
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary

from linewitness.devices.opcua.wire import Client, UaError

MIB: Final = 1024 * 1024
#: We announce 65,535 bytes a chunk; a server may exceed that, but not without bound.
MAX_CHUNK_BYTES: Final = MIB
#: As objects a message may take a hundred times as much, and the unit has 1 GiB.
MAX_MESSAGE_BYTES: Final = 4 * MIB
#: Chunks of 8,192 bytes are the smallest that a server may insist on (OPC 10000-6, 7.1.2).
SMALLEST_CHUNK: Final = 8192
MAX_CHUNKS: Final = MAX_MESSAGE_BYTES // SMALLEST_CHUNK


class MessageLimits(TransportLimits):
    """What we take, whatever the server says of itself; `exceeded` says in words what was too much."""

    def __init__(self) -> None:
        """Begin with what the first message announces."""
        super().__init__(
            max_recv_buffer=MAX_CHUNK_BYTES,
            max_send_buffer=65_535,
            max_chunk_count=MAX_CHUNKS,
            max_message_size=MAX_MESSAGE_BYTES,
        )
        self.exceeded = ""

    def is_msg_size_within_limit(self, sz: int) -> bool:
        """Say whether a message may grow to this size."""
        if sz > self.max_message_size:
            self.exceeded = f"sent a message of more than {self.max_message_size // MIB} MiB"
        return sz <= self.max_message_size

    def is_chunk_count_within_limit(self, sz: int) -> bool:
        """Say whether a message may have so many chunks."""
        if sz > self.max_chunk_count:
            self.exceeded = f"sent a message of more than {self.max_chunk_count} chunks"
        return sz <= self.max_chunk_count

    def update_client_limits(self, msg: ua.Acknowledge) -> None:
        """Take from the acknowledgement what the server can receive; what we receive is ours to say."""
        size = max(int(msg.ReceiveBufferSize), SMALLEST_CHUNK)
        self.max_send_buffer = min(self.max_send_buffer, size)


def bound(client: Client) -> MessageLimits:
    """Announce our limits, and let a connection of this client end where the server exceeds them."""
    bounds = MessageLimits()
    client.max_messagesize, client.max_chunkcount = bounds.max_message_size, bounds.max_chunk_count
    transport = client.uaclient
    make = transport._make_protocol  # noqa: SLF001 (the library offers no setting for it)

    def make_bounded() -> object:
        protocol = make()
        protocol._connection._limits = bounds  # noqa: SLF001 (as above: the protocol's own limits are none)
        receive = protocol.data_received

        def receive_bounded(data: bytes) -> None:
            if len(protocol.receive_buffer or b"") + len(data) > MAX_CHUNK_BYTES:
                bounds.exceeded = f"sent a chunk of more than {MAX_CHUNK_BYTES // MIB} MiB"
                protocol.receive_buffer = None
                protocol.disconnect_socket()
                return
            receive(data)

        protocol.data_received = receive_bounded  # type: ignore[method-assign]  # one connection, not the class
        return protocol

    transport._make_protocol = make_bounded  # type: ignore[assignment,method-assign]  # noqa: SLF001 (as above)
    return bounds


_read: Final = Buffer.read
_unpack_array: Final = ua_binary.unpack_uatype_array
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


# The decoder offers no setting either: a few bytes must not become gigabytes, or be read for ever.
# What it has built so far knows the old ways.
ua_binary.unpack_uatype_array = unpack_array
ua_binary._reshape = reshape  # noqa: SLF001 (as above)
Buffer.read = read_forward  # type: ignore[method-assign,assignment]  # of all buffers: that is wanted
ua_binary.Primitives.String.unpack = staticmethod(read_text)  # type: ignore[method-assign]  # as above
for built in (
    ua_binary._create_uatype_deserializer,  # noqa: SLF001 (as above)
    ua_binary._create_uatype_array_deserializer,  # noqa: SLF001 (as above)
    ua_binary._create_list_deserializer,  # noqa: SLF001 (as above)
    ua_binary._create_type_deserializer,  # noqa: SLF001 (as above)
    ua_binary._create_dataclass_deserializer,  # noqa: SLF001 (as above)
):
    built.cache_clear()
