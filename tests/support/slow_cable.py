"""A TCP relay with a round trip: every byte arrives half of it later, and some not at all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from linewitness.base.listening import stop_accepting


@dataclass
class SlowCable:
    """A way to a port of the loopback interface; while `deaf`, nothing of the far end arrives here."""

    target: int
    round_trip_s: float
    port: int = 0
    deaf: bool = False
    #: What the client sends is lost.
    mute: bool = False
    #: Bytes that went out.
    sent: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        """Break all connections."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        ends = {writer, far_writer}
        self._writers |= ends
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._relay(reader, far_writer, outbound=True))
                group.create_task(self._relay(far_reader, writer, outbound=False))
        finally:
            self._writers -= ends
            for each in ends:
                each.transport.abort()

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, outbound: bool
    ) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if outbound:
                    self.sent += len(data)
                if self.mute if outbound else self.deaf:
                    continue
                # Timers of one delay end in the order in which they began.
                loop.call_later(self.round_trip_s / 2, self._arrive, writer, data)
        loop.call_later(self.round_trip_s / 2, writer.transport.abort)

    @staticmethod
    def _arrive(writer: asyncio.StreamWriter, data: bytes) -> None:
        if not writer.transport.is_closing():
            writer.write(data)


@asynccontextmanager
async def slow_cable(target: int, round_trip_s: float) -> AsyncIterator[SlowCable]:
    """Relay to `target` for the time of a block."""
    cable = SlowCable(target, round_trip_s)
    handlers: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        task.add_done_callback(handlers.discard)
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await cable.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    cable.port = server.sockets[0].getsockname()[1]
    try:
        yield cable
    finally:
        await stop_accepting(server)
        cable.cut()
        for task in list(handlers):
            task.cancel()
        if handlers:
            await asyncio.wait(handlers)
