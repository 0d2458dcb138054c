"""A peer that sends without end, in a thread of its own, and what that costs the process."""

import gc
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

MIB = 1024**2
#: What a flood offers, and what a process may grow by while it lasts.
OFFERED = 96 * MIB
ALLOWED = 24 * MIB


class NoMemory:
    async def get(self, key: str) -> str | None:
        return None

    async def items(self, prefix: str) -> dict[str, str]:
        return {}


class Flood:
    """How much was sent, and whether the other side has had enough (hung up, or no longer reads)."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.sent = 0
        self.over = threading.Event()

    @property
    def grown(self) -> int:
        gc.collect()
        return int(psutil.Process().memory_info().rss) - self.before

    def begin(self) -> None:
        gc.collect()
        self.before = int(psutil.Process().memory_info().rss)


@contextmanager
def flooding(
    chunk: bytes,
    *,
    greet: Callable[[socket.socket], object] = lambda connection: None,
    offered: int = OFFERED,
) -> Iterator[Flood]:
    """Serve one connection after the other: `greet` speaks first, then `chunk` comes again and again."""
    server = socket.create_server(("127.0.0.1", 0))
    flood, closing = Flood(server.getsockname()[1]), threading.Event()

    def serve() -> None:
        while not closing.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            connection.settimeout(1.0)
            try:
                with connection:
                    greet(connection)
                    while flood.sent < offered and not closing.is_set():
                        flood.sent += connection.send(chunk)
            except OSError:
                pass  # it hung up, or has not read for a second
            flood.over.set()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    flood.begin()
    try:
        yield flood
    finally:
        closing.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(10)
