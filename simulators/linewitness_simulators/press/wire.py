"""Relay between client and server, with faults: connections closed, refused, slowed, or nothing passed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from linewitness.base.listening import stop_accepting

READ_BYTES = 65_536


@dataclass(slots=True)
class NetworkCable:
    """The faults of the connections to one server; they can be changed at any time."""

    #: Cleared, nothing passes and nobody is told, as with a pulled cable.
    passing: asyncio.Event = field(default_factory=asyncio.Event)
    #: Connections are closed at once, as with a machine that is on while its server is not.
    refuse: bool = False
    #: Seconds that each piece of data takes longer.
    delay_s: float = 0.0
    #: How many connections were made since the start.
    connections: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _open: int = 0
    _idle: asyncio.Event = field(default_factory=asyncio.Event)
    _target: tuple[str, int] = ("127.0.0.1", 0)

    def __post_init__(self) -> None:
        """Let everything pass at first."""
        self.passing.set()
        self._idle.set()

    def cut(self) -> None:
        """Close all connections now."""
        for writer in list(self._writers):
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(READ_BYTES):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await self.passing.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            return
        finally:
            writer.close()

    async def closed(self) -> None:
        """Return once no connection is left."""
        await self._idle.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either side ends it."""
        self.connections += 1
        self._open += 1
        self._idle.clear()
        try:
            await self._carry(reader, writer)
        finally:
            self._open -= 1
            if not self._open:
                self._idle.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuse:
            writer.close()
            return
        try:
            inner_reader, inner_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.close()
            return
        ends = {writer, inner_writer}
        self._writers |= ends
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, inner_writer))
                both.create_task(self._pump(inner_reader, writer))
        finally:
            self._writers -= ends
            for end in ends:
                end.close()

    def lead_to(self, host: str, port: int) -> None:
        """Say where new connections lead."""
        self._target = (host, port)


@contextlib.asynccontextmanager
async def laid(wire: NetworkCable, host: str, port: int) -> AsyncIterator[int]:
    """Listen on `host`, and yield the port (any free one for 0)."""
    server = await asyncio.start_server(wire.serve, host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        await stop_accepting(server)
        wire.passing.set()
        wire.cut()
        await wire.closed()
