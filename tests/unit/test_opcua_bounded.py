"""Messages are put together from chunks up to a limit of ours, whatever the server says of itself."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from asyncua.client.ua_client import UASocketProtocol
from asyncua.common.connection import SecureConnection, TransportLimits
from asyncua.common.utils import Buffer, NotEnoughData
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.ua.ua_binary import variant_from_binary, variant_to_binary

from linewitness.devices.opcua.connection.bounded import (
    MAX_CHUNK_BYTES,
    MAX_CHUNKS,
    MAX_MESSAGE_BYTES,
    MessageLimits,
    bound,
)
from linewitness.devices.opcua.connection.hardening import harden
from linewitness.devices.opcua.connection.wire import Client
from linewitness_simulators.press.library import ua


class Transport:
    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


@pytest.fixture(autouse=True)
def _hardened() -> None:
    harden()


@pytest.fixture
def client() -> Client:
    return Client("opc.tcp://127.0.0.1:1")


@pytest.fixture
def bounds(client: Client) -> MessageLimits:
    return bound(client)


@pytest.fixture
def protocol(client: Client, bounds: MessageLimits) -> UASocketProtocol:
    made = client.uaclient._make_protocol()
    made.connection_made(cast(Any, Transport()))
    return made


def chunks(size: int, kind: bytes = b"C") -> Iterator[bytes]:
    """What a server sends of one message: chunks of this size that say that more is to come."""
    server = SecureConnection(cast(Any, SecurityPolicyNone)(), TransportLimits())
    while True:
        body = b"\0" * (size - 24)
        yield server.message_to_binary(body, request_id=1).replace(b"MSGF", b"MSG" + kind, 1)


def held(protocol: UASocketProtocol) -> int:
    parts = sum(len(part.Body) for part in protocol._connection._incoming_parts)
    return parts + len(protocol.receive_buffer or b"")


def feed(protocol: UASocketProtocol, size: int) -> tuple[int, int]:
    """Send chunks without end; return the most that was held at any time, and how many were taken."""
    most = count = 0
    for count, chunk in enumerate(chunks(size)):
        if cast(Any, protocol.transport).closed:
            break
        protocol.data_received(chunk)
        most = max(most, held(protocol))
        assert count < 100_000, "it takes chunks without end"
    return most, count


@pytest.mark.parametrize("size", [8192, 60_000])
def test_a_message_without_end_is_ended_at_the_limit(
    protocol: UASocketProtocol, bounds: MessageLimits, size: int
) -> None:
    most, count = feed(protocol, size)
    assert MAX_MESSAGE_BYTES - 2 * size < most <= MAX_MESSAGE_BYTES
    assert count <= MAX_CHUNKS + 1
    assert held(protocol) == 0
    assert "more than" in bounds.exceeded


def test_chunks_of_next_to_nothing_are_counted(protocol: UASocketProtocol, bounds: MessageLimits) -> None:
    _, count = feed(protocol, 25)
    assert count == MAX_CHUNKS + 1
    assert bounds.exceeded == f"sent a message of more than {MAX_CHUNKS} chunks"


def test_a_chunk_without_end_is_ended_at_the_limit(protocol: UASocketProtocol, bounds: MessageLimits) -> None:
    protocol.data_received(b"MSGF\xff\xff\xff\x7f")
    for _ in range(MAX_CHUNK_BYTES // 65_536 + 1):
        protocol.data_received(b"\0" * 65_536)
    assert cast(Any, protocol.transport).closed
    assert bounds.exceeded == "sent a chunk of more than 1 MiB"


@pytest.mark.parametrize("said", [0, 1, 8192, 2**32 - 1])
def test_what_the_server_says_of_itself_does_not_move_our_limits(
    protocol: UASocketProtocol, bounds: MessageLimits, said: int
) -> None:
    theirs = ua.Acknowledge(
        ReceiveBufferSize=said, SendBufferSize=said, MaxMessageSize=said, MaxChunkCount=said
    )
    bounds.update_client_limits(theirs)
    most, _ = feed(protocol, 60_000)
    assert most <= MAX_MESSAGE_BYTES
    assert 8192 <= bounds.max_send_buffer <= 65_535


async def test_our_limits_are_announced(client: Client, protocol: UASocketProtocol) -> None:
    protocol.timeout = 0.01
    with pytest.raises(TimeoutError):
        await protocol.send_hello("opc.tcp://a", client.max_messagesize, client.max_chunkcount)
    (hello,) = cast(Any, protocol.transport).sent
    announced = [int.from_bytes(hello[at : at + 4], "little") for at in range(20, 28, 4)]
    assert announced == [MAX_MESSAGE_BYTES, MAX_CHUNKS]


def array_of(kind: int, count: int, *, dimensions: list[int] | None = None) -> bytes:
    """Encode an array that names `count` elements and has none of their bytes."""
    data = bytes([0x80 | (0x40 if dimensions else 0) | kind]) + count.to_bytes(4, "little")
    if dimensions:
        data += len(dimensions).to_bytes(4, "little")
        data += b"".join(each.to_bytes(4, "little") for each in dimensions)
    return data


@pytest.mark.parametrize("kind", range(26))
def test_no_few_bytes_become_an_array_of_gigabytes(kind: int) -> None:
    with pytest.raises((ua.UaError, ValueError, OverflowError, NotEnoughData)):
        variant_from_binary(Buffer(array_of(kind, 2**31 - 1)))


@pytest.mark.parametrize("dimensions", [[1000, 1000], [999_999, 1], [2, 0], [2**31 - 1, 2**31 - 1]])
def test_dimensions_make_no_elements_up(dimensions: list[int]) -> None:
    assert variant_from_binary(Buffer(array_of(6, 0, dimensions=dimensions))).Value == []
    one = array_of(6, 1)[:5] + b"\7\0\0\0" + array_of(6, 0, dimensions=dimensions)[5:]
    with pytest.raises(ua.UaError, match="with the dimensions"):
        variant_from_binary(Buffer(bytes([0xC0 | 6]) + one[1:]))


def test_honest_arrays_are_read_as_before() -> None:
    for value in ([1, 2, 3], [[1, 2], [3, 4]], [[[1], [2]], [[3], [4]]], [], ["a", None]):
        kind = ua.VariantType.String if value == ["a", None] else ua.VariantType.Int32
        data = variant_to_binary(ua.Variant(value, kind))
        assert variant_from_binary(Buffer(data)).Value == value


@pytest.mark.parametrize("kind", [12, 15, 26])
def test_a_length_below_zero_is_not_read_for_ever(kind: int) -> None:
    """Four bytes say the length; with -4 the library stood where it had stood before, and read them again."""
    text = (-4).to_bytes(4, "little", signed=True)
    with pytest.raises(ua.UaError, match="a length of -4"):
        variant_from_binary(Buffer(array_of(kind, 2**31 - 1) + text))


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"caf\xc3\xa9", "caf\u00e9"),
        (b"caf\xe9", "caf\\xe9"),
        (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
        (b"", ""),
    ],
)
def test_a_text_that_is_no_utf8_is_one_that_a_record_can_hold(raw: bytes, text: str) -> None:
    encoded = len(raw).to_bytes(4, "little") + raw
    assert variant_from_binary(Buffer(b"\x0c" + encoded)).Value == text
    assert variant_from_binary(Buffer(b"\x15\x02" + encoded)).Value.Text == text
    assert variant_from_binary(Buffer(b"\x14\x01\x00" + encoded)).Value.Name == text
    assert variant_from_binary(Buffer(array_of(12, 1)[:5] + encoded)).Value == [text]
    text.encode()
