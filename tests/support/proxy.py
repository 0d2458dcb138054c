"""A cable that a test can cut: a TCP proxy that relays, goes silent, forgets or hangs up."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Proxy:
    """Relays to a port of the loopback interface.

    While `silent`, connections stay open (and are accepted), and nothing passes in either direction: the
    far end's machine is gone, or a firewall forgot the connection. `filter`, if set, sees every block of
    bytes on its way to the server and returns what is to pass.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.filter = None
        self.connections = 0
        self._passing = asyncio.Event()
        self._passing.set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def silent(self) -> bool:
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

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, outbound) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if outbound and self.filter is not None:
                    data = self.filter(data)
                if not self.silent:
                    writer.write(data)
                    await writer.drain()
        writer.transport.abort()


@asynccontextmanager
async def proxy(target: int) -> AsyncIterator[Proxy]:
    """Relay to `target` for the time of a block."""
    relay = Proxy(target)
    handlers: set[asyncio.Task] = set()

    async def serve(reader, writer):
        task = asyncio.current_task()
        handlers.add(task)
        try:
            await relay.serve(reader, writer)
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            handlers.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        relay.drop()
        for task in list(handlers):
            task.cancel()
        if handlers:
            await asyncio.wait(handlers)
        await server.wait_closed()
