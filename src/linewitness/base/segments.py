"""Learn from the kernel that packets of a TCP connection were lost (Linux, `struct tcp_info`)."""

import socket
import struct
from typing import Any, Final

#: Long enough for all fields below; an older kernel returns less.
_SIZE: Final = 256
#: Segments that were sent again (u32), that the other side then said it had already (u32, RFC 2883,
#: Linux 4.19), and that arrived while an earlier one was missing (u32, Linux 5.4).
_RESENT_AT: Final = 100
_NEEDLESS_AT: Final = 216
_OUT_OF_ORDER_AT: Final = 224


def lost_segments(connection: Any) -> int | None:
    """Return how many segments of a TCP connection are known to have been lost, in both directions.

    `connection` has the `getsockopt` of a socket, or is None. A kernel that waits for an acknowledgement may
    send a segment again within milliseconds, although nothing was lost; the number rises for a moment then,
    and falls as soon as the other side has said that it had the segment. What the other side sent again in
    good order is not known here. Returns None for what is not TCP and for a closed socket.
    """
    if connection is None:
        return None
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    except OSError:
        return None
    resent, needless, out_of_order = (
        _number(info, offset) for offset in (_RESENT_AT, _NEEDLESS_AT, _OUT_OF_ORDER_AT)
    )
    return max(0, resent - needless) + out_of_order


def _number(info: bytes, offset: int) -> int:
    """Return a field, 0 where the kernel is too old to have it."""
    if offset + 4 > len(info):
        return 0
    (number,) = struct.unpack_from("=I", info, offset)
    return int(number)
