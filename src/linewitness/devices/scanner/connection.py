"""Reach a code reader: dial it, or let it dial in."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Final

import structlog

from linewitness.base.errors import DeviceUnavailable
from linewitness.base.listening import stop_accepting
from linewitness.devices.scanner.options import ScannerOptions

#: asyncio stops reading from the socket when twice this much is waiting for us.
#: The system is told the same, where it would keep tens of megabytes: a code that waits there is a code whose
#: time is not known, and a reader gone mad would be read for minutes after it has become quiet.
BUFFER_BYTES: Final = 65_536
#: Readers that dial in for each read and wait for their turn.
WAITING: Final = 16
#: A dead peer is noticed after about IDLE + COUNT x INTERVAL seconds without any traffic of ours.
KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 3), (socket.TCP_KEEPINTVL, 2), (socket.TCP_KEEPCNT, 3))

log = structlog.get_logger(__name__)


class ReaderConnection:
    """One TCP connection with a reader."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Turn on keep-alive: a reader is silent between reads, and a cable may be pulled meanwhile."""
        self._reader = reader
        self._writer = writer
        self.ending = "the reader hung up"
        connected = writer.get_extra_info("socket")
        with contextlib.suppress(OSError):  # it may be closed already; the first read will say so
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in KEEPALIVE:
                connected.setsockopt(socket.IPPROTO_TCP, option, value)
        peer = writer.get_extra_info("peername") or ("unknown", 0)
        self.peer_host = str(peer[0])
        self.peer = f"{peer[0]}:{peer[1]}"

    async def read(self) -> bytes:
        """Return what has arrived; empty when the connection ended, and `ending` says how."""
        try:
            return await self._reader.read(BUFFER_BYTES)
        except OSError as error:
            self.ending = f"the connection with the reader broke: {error}"
            return b""

    def abort(self) -> None:
        """End it now, without waiting for the peer."""
        self._writer.transport.abort()

    async def closed(self) -> None:
        """Wait until the socket is closed, after `abort`."""
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


@contextlib.asynccontextmanager
async def dialled(options: ScannerOptions) -> AsyncIterator[ReaderConnection]:
    """Dial the reader; DeviceUnavailable if it does not answer in time."""
    try:
        async with asyncio.timeout(options.connect_timeout_s):
            streams = await asyncio.open_connection(options.host, options.port, limit=BUFFER_BYTES)
    except (OSError, TimeoutError) as error:
        raise DeviceUnavailable(
            f"the reader at {options.host}:{options.port} does not answer: {error or 'timed out'}",
            hint="check its power, address and port, and that no other client holds its only connection",
        ) from error
    connection = ReaderConnection(*streams)
    try:
        yield connection
    finally:
        connection.abort()
        await connection.closed()


class ReaderListener:
    """Let a reader dial in. Of a reader that keeps its connection, the newest one counts."""

    def __init__(self, options: ScannerOptions, allowed: frozenset[str]) -> None:
        """Set who may dial in, by address."""
        self._options = options
        self._allowed = allowed
        self._waiting: asyncio.Queue[ReaderConnection] = asyncio.Queue(WAITING)
        self._current: ReaderConnection | None = None
        self._refused_host = ""

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take or refuse one connection; called by asyncio for each."""
        connection = ReaderConnection(reader, writer)
        if connection.peer_host.removeprefix("::ffff:") not in self._allowed:
            self._refuse(connection)
            return
        if self._options.keeps_connection:
            self._replace_older()
        try:
            self._waiting.put_nowait(connection)
        except asyncio.QueueFull:
            connection.abort()

    @property
    def has_next(self) -> bool:
        """Whether a reader has dialled in and waits."""
        return not self._waiting.empty()

    async def next(self) -> ReaderConnection:
        """Wait for the next connection."""
        self._current = await self._waiting.get()
        return self._current

    def close(self) -> None:
        """End all connections."""
        self._replace_older()

    def _refuse(self, connection: ReaderConnection) -> None:
        connection.abort()
        if connection.peer_host != self._refused_host:  # logged once, not at each of its attempts
            self._refused_host = connection.peer_host
            log.warning(
                "connection refused: not the configured reader", device=self._options.id, peer=connection.peer
            )

    def _replace_older(self) -> None:
        if self._current is not None:
            self._current.abort()
        while not self._waiting.empty():
            self._waiting.get_nowait().abort()


@contextlib.asynccontextmanager
async def listening(options: ScannerOptions) -> AsyncIterator[ReaderListener]:
    """Listen for the reader; DeviceUnavailable if the address or the reader's name cannot be used."""
    try:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(options.host, None, type=socket.SOCK_STREAM)
        listener = ReaderListener(options, frozenset(str(entry[4][0]) for entry in found))
        server = await asyncio.start_server(
            listener.accept, options.bind, options.port, limit=BUFFER_BYTES, backlog=WAITING
        )
    except OSError as error:
        raise DeviceUnavailable(
            f"cannot listen on {options.bind}:{options.port} for the reader {options.host}: {error}",
            hint="check that bind is an own address, that its port is free and that host resolves",
        ) from error
    try:
        yield listener
    finally:
        await stop_accepting(server)
        listener.close()
