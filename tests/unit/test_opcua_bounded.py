"""Messages are put together from chunks up to a limit of ours, whatever the server says of itself."""

import pytest
from asyncua import ua
from asyncua.common.connection import SecureConnection, TransportLimits
from asyncua.crypto.security_policies import SecurityPolicyNone

from linewitness.devices.opcua.bounded import MAX_CHUNK_BYTES, MAX_CHUNKS, MAX_MESSAGE_BYTES, bound
from linewitness.devices.opcua.wire import Client


class Transport:
    def __init__(self):
        self.sent, self.closed = [], False

    def write(self, data):
        self.sent.append(data)

    def close(self):
        self.closed = True


@pytest.fixture
def client():
    return Client("opc.tcp://127.0.0.1:1")


@pytest.fixture
def bounds(client):
    return bound(client)


@pytest.fixture
def protocol(client, bounds):
    made = client.uaclient._make_protocol()
    made.connection_made(Transport())
    return made


def chunks(size, kind=b"C"):
    """What a server sends of one message: chunks of this size that say that more is to come."""
    server = SecureConnection(SecurityPolicyNone(), TransportLimits())
    while True:
        body = b"\0" * (size - 24)
        yield server.message_to_binary(body, request_id=1).replace(b"MSGF", b"MSG" + kind, 1)


def held(protocol):
    parts = sum(len(part.Body) for part in protocol._connection._incoming_parts)
    return parts + len(protocol.receive_buffer or b"")


def feed(protocol, size):
    """Send chunks without end; return the most that was held at any time, and how many were taken."""
    most = count = 0
    for count, chunk in enumerate(chunks(size)):
        if protocol.transport.closed:
            break
        protocol.data_received(chunk)
        most = max(most, held(protocol))
        assert count < 100_000, "it takes chunks without end"
    return most, count


@pytest.mark.parametrize("size", [8192, 60_000])
def test_a_message_without_end_is_ended_at_the_limit(protocol, bounds, size):
    most, count = feed(protocol, size)
    assert MAX_MESSAGE_BYTES - 2 * size < most <= MAX_MESSAGE_BYTES
    assert count <= MAX_CHUNKS + 1
    assert held(protocol) == 0
    assert "more than" in bounds.exceeded


def test_chunks_of_next_to_nothing_are_counted(protocol, bounds):
    _, count = feed(protocol, 25)
    assert count == MAX_CHUNKS + 1
    assert bounds.exceeded == f"sent a message of more than {MAX_CHUNKS} chunks"


def test_a_chunk_without_end_is_ended_at_the_limit(protocol, bounds):
    protocol.data_received(b"MSGF\xff\xff\xff\x7f")
    for _ in range(MAX_CHUNK_BYTES // 65_536 + 1):
        protocol.data_received(b"\0" * 65_536)
    assert protocol.transport.closed
    assert bounds.exceeded == "sent a chunk of more than 1 MiB"


@pytest.mark.parametrize("said", [0, 1, 8192, 2**32 - 1])
def test_what_the_server_says_of_itself_does_not_move_our_limits(protocol, bounds, said):
    theirs = ua.Acknowledge(
        ReceiveBufferSize=said, SendBufferSize=said, MaxMessageSize=said, MaxChunkCount=said
    )
    bounds.update_client_limits(theirs)
    most, _ = feed(protocol, 60_000)
    assert most <= MAX_MESSAGE_BYTES
    assert 8192 <= bounds.max_send_buffer <= 65_535


async def test_our_limits_are_announced(client, protocol):
    protocol.timeout = 0.01
    with pytest.raises(TimeoutError):
        await protocol.send_hello("opc.tcp://a", client.max_messagesize, client.max_chunkcount)
    (hello,) = protocol.transport.sent
    announced = [int.from_bytes(hello[at : at + 4], "little") for at in range(20, 28, 4)]
    assert announced == [MAX_MESSAGE_BYTES, MAX_CHUNKS]
