"""Put ovens on the wire: Modbus/TCP, RTU over TCP, TLS or a pseudo-terminal, with faults.

The server is our own because the faults need it: wrong transaction ids, one dead unit among living ones,
late answers, FIFO queues and counted requests. Its frames are tested with clients that we did not write.
"""

import asyncio
import os
import ssl
import struct
import tty
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from linewitness.base.listening import stop_accepting
from linewitness_simulators.oven import wire
from linewitness_simulators.oven.device import BadValue, NoSuchAddress, Oven


@dataclass(frozen=True, slots=True, kw_only=True)
class OvenServerOptions:
    """What to serve and where."""

    host: str = "127.0.0.1"
    port: int = 0
    units: tuple[int, ...] = (1,)
    seed: int = 1
    cycle_s: float = 10.0
    handshake: bool = False
    rtu: bool = False
    tls: ssl.SSLContext | None = None


@dataclass(slots=True)
class OvenFaults:
    """What goes wrong, until it is taken away again."""

    dead_units: set[int] = field(default_factory=set)
    exceptions: dict[int, int] = field(default_factory=dict)
    illegal: list[tuple[str, int, int]] = field(default_factory=list)
    silent: list[tuple[str, int, int]] = field(default_factory=list)
    delay_s: float = 0.0
    delays_s: list[float] = field(default_factory=list)
    wrong_transactions: int = 0
    corrupt: int = 0

    async def wait(self) -> None:
        """Take the time that an answer takes: that of the next one if it is listed, otherwise of all."""
        delay_s = self.delays_s.pop(0) if self.delays_s else self.delay_s
        if delay_s:
            await asyncio.sleep(delay_s)


class RunningOvens:
    """Ovens that are being served."""

    def __init__(self, options: OvenServerOptions) -> None:
        """Build the ovens; `serve` puts them on the wire."""
        self.options = options
        self.faults = OvenFaults()
        self.ovens = {
            unit: Oven(seed=options.seed + unit - 1, cycle_s=options.cycle_s, handshake=options.handshake)
            for unit in options.units
        }
        self.requests: Counter[tuple[int, str, int, int]] = Counter()
        self.connections = 0
        self.port = options.port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._handlers: set[asyncio.Task[None]] = set()
        self._begun = asyncio.get_running_loop().time()

    @property
    def oven(self) -> Oven:
        """The first oven."""
        return self.ovens[self.options.units[0]]

    @property
    def served(self) -> int:
        """How many requests have come."""
        return self.requests.total()

    async def start(self) -> None:
        """Listen; a restart keeps the port."""
        self._server = await asyncio.start_server(
            self._serve, self.options.host, self.port, ssl=self.options.tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and drop who is connected."""
        server, self._server = self._server, None
        if server is not None:
            await stop_accepting(server)
            self.drop()
            await server.wait_closed()
        while self._handlers:
            await asyncio.wait(self._handlers)

    def drop(self) -> None:
        """Break all connections."""
        for writer in self._writers:
            writer.transport.abort()

    def answer(self, request: wire.Request, pdu: bytes) -> bytes | None:
        """Return the answer to a request, or None where the unit is silent."""
        self.requests[request.unit, request.table, request.first, request.count] += 1
        oven = self.ovens.get(request.unit)
        if oven is None or request.unit in self.faults.dead_units or _touches(request, self.faults.silent):
            return None
        if code := self.faults.exceptions.get(request.unit):
            return wire.exception_answer(request.function, code)
        if _touches(request, self.faults.illegal):
            return wire.exception_answer(request.function, 2)
        oven.advance(asyncio.get_running_loop().time() - self._begun)
        try:
            return _answer_of(oven, request, pdu)
        except NoSuchAddress:
            return wire.exception_answer(request.function, 2)
        except BadValue:
            return wire.exception_answer(request.function, 3)

    def _parse_and_answer(self, transaction: int, unit: int, pdu: bytes) -> bytes | None:
        try:
            request = wire.parse(transaction, unit, pdu)
        except (ValueError, struct.error):
            return wire.exception_answer(pdu[0], 1)
        return self.answer(request, pdu)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        handler = asyncio.current_task()
        if handler is None:
            raise AssertionError("connections are served by tasks")
        self._handlers.add(handler)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await (self._serve_rtu if self.options.rtu else self._serve_mbap)(reader, writer)
        finally:
            self._writers.discard(writer)
            self._handlers.discard(handler)
            writer.close()

    async def _serve_mbap(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            transaction, _, length, unit = struct.unpack(">HHHB", await reader.readexactly(7))
            pdu = await reader.readexactly(length - 1)
            answer = self._parse_and_answer(transaction, unit, pdu)
            await self.faults.wait()
            if answer is None:
                continue
            if self.faults.wrong_transactions > 0:
                self.faults.wrong_transactions -= 1
                transaction += 1000
            writer.write(wire.mbap_frame(transaction, unit, answer))
            await writer.drain()

    async def _serve_rtu(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = RtuLine(self, writer.write)
        while data := await reader.read(512):
            await line.feed(data)


class RtuLine:
    """The serving end of a serial line, whatever carries its bytes."""

    def __init__(self, running: RunningOvens, write: Callable[[bytes], None]) -> None:
        """Answer requests with `write`."""
        self._running = running
        self._write = write
        self._buffer = b""

    async def feed(self, data: bytes) -> None:
        """Take bytes from the line and answer each whole request."""
        self._buffer += data
        while (length := wire.rtu_request_length(self._buffer)) and len(self._buffer) >= length:
            frame, self._buffer = self._buffer[:length], self._buffer[length:]
            if wire.crc16(frame[:-2]) != int.from_bytes(frame[-2:], "little"):
                self._buffer = b""
                return
            answer = self._running._parse_and_answer(0, frame[0], frame[1:-2])  # noqa: SLF001 - the same module
            await self._running.faults.wait()
            if answer is not None:
                self._write(self._spoilt(wire.rtu_frame(frame[0], answer)))

    def _spoilt(self, frame: bytes) -> bytes:
        """Return the frame, or with one bit turned over where the line is to be disturbed."""
        if self._running.faults.corrupt <= 0:
            return frame
        self._running.faults.corrupt -= 1
        return frame[:-3] + bytes((frame[-3] ^ 1,)) + frame[-2:]


def _answer_of(oven: Oven, request: wire.Request, pdu: bytes) -> bytes:
    if request.function == wire.READ_FIFO:
        return wire.fifo_answer(oven.queue(request.first))
    if request.values is None:
        if request.count == 0 or request.count > (2000 if request.function in (1, 2) else 125):
            return wire.exception_answer(request.function, 3)
        return wire.read_answer(request.function, oven.read(request.table, request.first, request.count))
    oven.write(request.table, request.first, request.values)
    return wire.write_answer(request, pdu)


def _touches(request: wire.Request, spans: list[tuple[str, int, int]]) -> bool:
    last = request.first + max(request.count, 1) - 1
    return any(
        request.table == table and request.first <= end and begin <= last for table, begin, end in spans
    )


@asynccontextmanager
async def serve(options: OvenServerOptions) -> AsyncIterator[RunningOvens]:
    """Serve ovens over TCP until the block ends."""
    running = RunningOvens(options)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


@asynccontextmanager
async def serve_serial(options: OvenServerOptions) -> AsyncIterator[tuple[RunningOvens, str]]:
    """Serve ovens on a pseudo-terminal until the block ends; give its name too."""
    running = RunningOvens(options)
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    line = RtuLine(running, lambda data: void(os.write(ours, data)))
    incoming: asyncio.Queue[bytes] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    loop.add_reader(ours, lambda: incoming.put_nowait(_read(ours)))

    async def serve_line() -> None:
        while True:
            await line.feed(await incoming.get())

    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(serve_line(), name="oven:serial")
            try:
                yield running, os.ttyname(theirs)
            finally:
                task.cancel()
    finally:
        loop.remove_reader(ours)
        os.close(ours)
        os.close(theirs)


def _read(descriptor: int) -> bytes:
    with suppress(OSError):
        return os.read(descriptor, 512)
    return b""


def void(_: object) -> None:
    """Take a value that nobody needs."""
