"""One connection to the status page: it may be slow, large or idle, and keeps nobody else from an answer."""

import asyncio
import re
import socket
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

#: Requests must never slow down the line: few connections, small requests, no long ones.
MAX_CONNECTIONS: Final = 32
#: A request with all that belongs to it; no page takes a body.
MAX_REQUEST_BYTES: Final = 16_384
#: A request must be complete so long after the connection, or after the answer before it.
REQUEST_S: Final = 5.0
#: An answer must be read to its end so long after its request.
ANSWER_S: Final = 30.0
#: The answers that go on and on; whoever takes nothing of one for so long is cut off.
_STREAM: Final = re.compile(r"/station/[^/]*/events")
STALLED_S: Final = 10.0
#: What the kernel may hold for a viewer that does not read: pictures that would be old when they are seen.
_HELD_BYTES: Final = 32_768

_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


class PageConnection(H11Protocol):
    """A connection with a limit for each phase; of too many, the one that is idle longest is closed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what the server gives to each of its connections."""
        super().__init__(*args, **kwargs)
        self._limit: asyncio.TimerHandle | None = None
        self._received = 0
        self._idle_since = self.loop.time()
        self._streaming = False

    @property
    def idle_since(self) -> float | None:
        """When the wait for a request began, on the loop's clock; None while one is being answered."""
        answered = self.cycle is None or self.cycle.response_complete
        return self._idle_since if answered else None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, and make room if there are too many of us."""
        super().connection_made(transport)
        self._wait()
        if len(self.connections) > MAX_CONNECTIONS:
            self._close_longest_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the limit."""
        self._set_limit(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request, unless it is too much already."""
        self._received += len(data)
        if self._received > MAX_REQUEST_BYTES:
            if self.idle_since is not None:
                self.transport.write(_TOO_LARGE)
            self.transport.close()
            return
        waiting = self.idle_since is not None
        super().data_received(data)
        if waiting and self.idle_since is None:
            self._begin_answer()

    def pause_writing(self) -> None:
        """Wait for a viewer to read, but not for long."""
        super().pause_writing()
        if self._streaming:
            self._set_limit(STALLED_S)

    def resume_writing(self) -> None:
        """Go on with a viewer that reads again."""
        super().resume_writing()
        if self._streaming:
            self._set_limit(None)

    def shutdown(self) -> None:
        """End when the server does; a stream has no end of its own that could be waited for."""
        super().shutdown()
        if self._streaming:
            self.transport.abort()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._wait()
        super().on_response_complete()

    def _begin_answer(self) -> None:
        """Limit the time of an answer; a stream of events has none while its viewer reads."""
        self._streaming = _STREAM.fullmatch(self.scope["path"]) is not None
        self._set_limit(None if self._streaming else ANSWER_S)
        if self._streaming:
            self.transport.set_write_buffer_limits(0)
            kernel: socket.socket = self.transport.get_extra_info("socket")
            kernel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _HELD_BYTES)

    def _wait(self) -> None:
        self._streaming = False
        self._received = 0
        self._idle_since = self.loop.time()
        self._set_limit(REQUEST_S)

    def _set_limit(self, seconds: float | None) -> None:
        if self._limit is not None:
            self._limit.cancel()
        self._limit = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)

    def _close_longest_idle(self) -> None:
        idle = [
            (each.idle_since, id(each), each)
            for each in self.connections
            if isinstance(each, PageConnection) and each is not self and each.idle_since is not None
        ]
        if idle:
            _, _, longest = min(idle)
            longest.transport.abort()
            # The loop tells of its end later; it does not count from now on.
            self.connections.discard(longest)
