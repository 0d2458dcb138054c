"""What the kernel knows of a connection's lost segments."""

import socket
import struct
from collections.abc import Iterator

import pytest

from linewitness.base.segments import lost_segments
from support.waiting import until


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
        with ours, theirs:
            for each in (ours, theirs):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield ours, theirs


def resent(connection: socket.socket) -> int:
    """Return what `tcpi_total_retrans` says."""
    (number,) = struct.unpack_from("=I", connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), 100)
    return int(number)


def test_a_connection_that_lost_nothing_counts_nothing(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    assert lost_segments(connection[0]) == 0


def test_what_is_no_connection_has_no_number() -> None:
    closed = socket.socket()
    closed.close()
    assert lost_segments(closed) is None
    assert lost_segments(None) is None
    near, far = socket.socketpair()
    with near, far:
        assert lost_segments(near) is None


async def test_what_the_kernel_sends_again_for_nothing_is_no_loss(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    """A confirmation and a command in one go, to a device that acknowledges both a little later."""
    ours, theirs = connection
    for _ in range(5):  # a conversation: from now on acknowledgements wait for an answer
        theirs.sendall(b"result")
        ours.recv(100)
        ours.sendall(b"confirmed")
        theirs.recv(100)
    ours.sendall(b"confirmed")
    ours.sendall(b"lock")
    await until(lambda: resent(ours) > 0, "the kernel to send again")
    await until(lambda: lost_segments(ours) == 0, "the device to say that it had this")
