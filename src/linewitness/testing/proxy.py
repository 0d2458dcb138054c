"""A TCP proxy that a test controls: it relays, drops connections, or passes nothing on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from linewitness.base.listening import stop_accepting


class Proxy:
    """Relays to a port of the loopback interface.

    While `silent`, connections stay open (and are accepted), and nothing passes in either direction: the
    far end's machine is gone, or a firewall forgot the connection. `filter`, if set, sees every block of
    bytes on its way to the server and returns what is to pass. `connections` counts those of its lifetime.
    """

    def __init__(self, target: int) -> None:
        """Prepare to relay to `target`; `port` is known once it listens."""
        self.target = target
        self.port = 0
        self.filter: Callable[[bytes], bytes] | None = None
        self.connections = 0
        self._passing = asyncio.Event()
        self._passing.set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def silent(self) -> bool:
        """Whether nothing passes."""
        return not self._passing.is_set()

    @silent.setter
    def silent(self, wanted: bool) -> None:
        if wanted:
            self._passing.clear()
        else:
            self.drop()  # what was swallowed meanwhile is gone: the connections are worth nothing
            self._passing.set()

    def drop(self) -> None:
        """Break all connections."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection until either side ends it."""
        self.connections += 1
        self._writers.add(writer)
        try:
            await self._passing.wait()
            with contextlib.suppress(OSError):
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
                self._writers.add(far_writer)
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._relay(reader, far_writer, outbound=True))
                        group.create_task(self._relay(far_reader, writer, outbound=False))
                finally:
                    self._writers.discard(far_writer)
                    far_writer.transport.abort()
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, outbound: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                passing = self.filter(data) if outbound and self.filter is not None else data
                if not self.silent:
                    writer.write(passing)
                    await writer.drain()
        writer.transport.abort()


@asynccontextmanager
async def proxy(target: int) -> AsyncIterator[Proxy]:
    """Relay to `target` for the time of a block."""
    relay = Proxy(target)
    handlers: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            handlers.add(task)
            task.add_done_callback(handlers.discard)
        with contextlib.suppress(asyncio.CancelledError):  # the test is over
            await relay.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        await stop_accepting(server)
        relay.drop()
        for task in list(handlers):
            task.cancel()
        if handlers:
            await asyncio.wait(handlers)
        await server.wait_closed()
