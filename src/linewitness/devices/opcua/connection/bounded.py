"""Hold a connection to the limits that we announced, whatever the server sends."""

from typing import Any, Final

from asyncua import ua
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary

from linewitness.devices.endings import how_ended
from linewitness.devices.opcua.connection.failures import SERVER
from linewitness.devices.opcua.connection.wire import Client, UaStatusCodeError

MIB: Final = 1024 * 1024
#: We announce 65,535 bytes a chunk; a server may exceed that, but not without bound.
MAX_CHUNK_BYTES: Final = MIB
#: As objects a message may take a hundred times as much, and the unit has 1 GiB.
MAX_MESSAGE_BYTES: Final = 4 * MIB
#: Chunks of 8,192 bytes are the smallest that a server may insist on (OPC 10000-6, 7.1.2).
SMALLEST_CHUNK: Final = 8192
MAX_CHUNKS: Final = MAX_MESSAGE_BYTES // SMALLEST_CHUNK


class MessageLimits(TransportLimits):
    """What we take, whatever the server says of itself.

    `exceeded` says in words what was too much, `ended` how the connection ended if it was not by us.
    """

    def __init__(self) -> None:
        """Begin with what the first message announces."""
        super().__init__(
            max_recv_buffer=MAX_CHUNK_BYTES,
            max_send_buffer=65_535,
            max_chunk_count=MAX_CHUNKS,
            max_message_size=MAX_MESSAGE_BYTES,
        )
        self.exceeded = ""
        self.ended = ""

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
        _fail_what_is_aborted(protocol)
        _note_the_end(protocol, bounds)
        receive = protocol.data_received

        def receive_bounded(data: bytes) -> None:
            if len(protocol.receive_buffer or b"") + len(data) > MAX_CHUNK_BYTES:
                bounds.exceeded = f"sent a chunk of more than {MAX_CHUNK_BYTES // MIB} MiB"
                protocol.receive_buffer = None
                protocol.disconnect_socket()
                return
            receive(data)
            if protocol.transport is not None and protocol.transport.is_closing():
                bounds.ended = bounds.ended or "it sent what is no OPC UA message: we closed the connection"

        protocol.data_received = receive_bounded  # type: ignore[method-assign]  # one connection, not the class
        return protocol

    transport._make_protocol = make_bounded  # type: ignore[assignment,method-assign]  # noqa: SLF001 (as above)
    return bounds


def _note_the_end(protocol: Any, bounds: MessageLimits) -> None:
    """Keep how the connection ends: the library forgets it, and reports that the server shuts down."""
    lost, process = protocol.connection_lost, protocol._process_received_message  # noqa: SLF001 (no hook)

    def connection_lost(error: Exception | None) -> None:
        bounds.ended = bounds.ended or how_ended(error, SERVER)
        lost(error)

    def process_message(message: Any) -> None:
        if isinstance(message, ua.ErrorMessage):
            reason = f" ({message.Reason})" if message.Reason else ""
            bounds.ended = f"the server ended the connection: {message.Error.name}{reason}"
        process(message)

    protocol.connection_lost = connection_lost
    protocol._process_received_message = process_message  # noqa: SLF001 (the same)


def _fail_what_is_aborted(protocol: Any) -> None:
    """End a request whose answer the server aborts midway with the server's reason (OPC 10000-6, 6.7.3).

    The library drops the answer and lets the request wait until it times out.
    """
    connection, pending = protocol._connection, protocol._callbackmap  # noqa: SLF001 (the library has no hook)
    receive = connection._receive  # noqa: SLF001 (the same)

    def receive_chunk(chunk: Any) -> Any:
        if chunk.MessageHeader.ChunkType == ua.ChunkType.Abort:
            reason = struct_from_binary(ua.ErrorMessage, Buffer(chunk.Body))
            waiting = pending.pop(chunk.SequenceHeader.RequestId, None)
            if waiting is not None and not waiting.done():
                waiting.set_exception(UaStatusCodeError(reason.Error.value))  # type: ignore[no-untyped-call]
        return receive(chunk)

    connection._receive = receive_chunk  # noqa: SLF001 (the same)
