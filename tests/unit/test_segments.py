"""What the kernel knows of a connection's lost segments."""

import socket

from linewitness.base.segments import lost_segments


def test_a_connection_that_lost_nothing_and_what_is_no_connection_count_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        assert lost_segments(ours) == 0
        ours.close()
        assert lost_segments(ours) == 0
    assert lost_segments(None) == 0
    near, far = socket.socketpair()
    with near, far:
        assert lost_segments(near) == 0
