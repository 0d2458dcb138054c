"""Put the simulated reader on a real socket: as the server, or dialling in."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from linewitness.base.clock import monotonic
from linewitness.base.listening import stop_accepting
from linewitness_simulators.scanner.device import ScannerDevice


@dataclass(frozen=True, kw_only=True)
class ScannerSimulation:
    """Where the reader is found; with `dial_port` it dials in instead, anew after each hang-up."""

    host: str = "127.0.0.1"
    port: int = 0
    dial_port: int | None = None
    device: ScannerDevice = field(default_factory=ScannerDevice)


class RunningScanner:
    """A reader that is switched on, and what can go wrong with it."""

    def __init__(self, options: ScannerSimulation) -> None:
        """Start with nobody connected."""
        self.port = options.port
        self.device = options.device
        self._writers: list[asyncio.StreamWriter] = []
        self._attached = asyncio.Event()

    def attach(self, writer: asyncio.StreamWriter) -> None:
        """Say everything to this client, too."""
        self._writers.append(writer)
        self._attached.set()

    @property
    def clients(self) -> int:
        """How many clients are connected, as far as is known."""
        self._writers = [writer for writer in self._writers if not writer.is_closing()]
        return len(self._writers)

    async def scan(self, text: str) -> None:
        """Read one code."""
        await self.send(self.device.line(text))

    async def no_read(self) -> None:
        """Fail to read a code."""
        await self.send(self.device.no_read())

    async def garbage(self, size: int = 64) -> None:
        """Send noise and a terminator."""
        await self.send(self.device.garbage(size) + self.device.terminator)

    async def split(self, text: str, *, pause_s: float = 0.01) -> None:
        """Read one code and send it byte by byte."""
        for byte in self.device.line(text):
            await self.send(bytes([byte]))
            await asyncio.sleep(pause_s)

    async def flood(self, size: int) -> None:
        """Send `size` bytes without any terminator."""
        block = b"A" * min(size, 65_536)
        for start in range(0, size, len(block)):
            await self.send(block[: size - start])

    def drop(self) -> None:
        """Break all connections at once, without a farewell."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def hang_up(self) -> None:
        """End all connections in order."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    async def send(self, data: bytes) -> None:
        """Send bytes as they are to whoever is connected; to nobody they are lost, as with a real reader."""
        for writer in list(self._writers):
            with contextlib.suppress(OSError):
                writer.write(data)
                await writer.drain()

    async def connected(self) -> None:
        """Wait until a client is connected."""
        if not self.clients:
            self._attached.clear()
            await self._attached.wait()


@contextlib.asynccontextmanager
async def serve(options: ScannerSimulation) -> AsyncIterator[RunningScanner]:
    """Switch the reader on."""
    running = RunningScanner(options)
    server: asyncio.Server | None = None
    if options.dial_port is None:
        server = await asyncio.start_server(
            lambda _reader, writer: running.attach(writer), options.host, options.port
        )
        running.port = server.sockets[0].getsockname()[1]
    try:
        async with asyncio.TaskGroup() as tasks:
            jobs = [tasks.create_task(_automatic(running), name="scanner:automatic")]
            if options.dial_port is not None:
                dialling = _dial(running, options.host, options.dial_port)
                jobs.append(tasks.create_task(dialling, name="scanner:dial"))
            try:
                yield running
            finally:
                for job in jobs:
                    job.cancel()
    finally:
        if server is not None:
            await stop_accepting(server)
        running.drop()


async def _automatic(running: RunningScanner) -> None:
    begun = monotonic()
    while True:
        for data in running.device.due(monotonic() - begun):
            await running.send(data)
        await asyncio.sleep(0.02)


async def _dial(running: RunningScanner, host: str, port: int) -> None:
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(host, port)
            running.attach(writer)
            while await reader.read(4096):
                pass
            writer.close()
        await asyncio.sleep(0.05)
