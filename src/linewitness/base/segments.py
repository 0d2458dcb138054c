"""Learn from the kernel that packets of a TCP connection were lost (Linux, `struct tcp_info`)."""

import socket
import struct
from typing import Any, Final

#: Long enough for all fields below; an older kernel returns less.
_SIZE: Final = 256
#: Segments that were sent again (u32), and that arrived while an earlier one was missing (u32, Linux 5.4).
_RESENT_AT: Final = 100
_OUT_OF_ORDER_AT: Final = 224


def lost_segments(connection: Any) -> int:
    """Return how many segments of a TCP connection are known to have been lost, in both directions.

    `connection` has the `getsockopt` of a socket, or is None. The number never falls while the connection
    lasts. What the other side sent again in good order is not known here. Returns 0 for what is not TCP,
    for a closed socket, and where the kernel does not know.
    """
    if connection is None:
        return 0
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    except OSError:
        return 0
    found: tuple[int, ...] = tuple(
        number
        for offset in (_RESENT_AT, _OUT_OF_ORDER_AT)
        if offset + 4 <= len(info)
        for number in struct.unpack_from("=I", info, offset)
    )
    return sum(found)
