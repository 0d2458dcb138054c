"""Turn a code reader's lines into observations, one connection after another."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from types import MappingProxyType
from typing import Final, TypedDict

from ulid import ULID

from linewitness.base.clock import NS_PER_MS, Clock, Stamp
from linewitness.base.errors import DeviceUnavailable
from linewitness.devices.base import Code, Memory, Missed, Notice, Observation, When
from linewitness.devices.context import DriverContext
from linewitness.devices.scanner.connection import ReaderConnection, ReaderListener, dialled, listening
from linewitness.devices.scanner.framing import LineSplitter, ReaderLine
from linewitness.devices.scanner.options import ScannerOptions
from linewitness.devices.scanner.reading import Again, Interpreter, Meaning, NoCode, Read

#: Once the silence is over, what came at the same moment is still taken, as after a process that stood still.
LAST_LOOK_S: Final = 0.05


class _Common(TypedDict):
    """What each observation of a session carries."""

    device: str
    session_id: str
    received: Stamp
    when: When
    raw: bytes | None


class ScannerSession:
    """One connection with a reader, or one time of listening for a reader that dials in for each read."""

    def __init__(
        self,
        *,
        options: ScannerOptions,
        clock: Clock,
        listener: ReaderListener | None,
        connection: ReaderConnection | None,
    ) -> None:
        """Start on a connection, on a listener, or on the first connection of a listener."""
        self._options = options
        self._clock = clock
        self._listener = listener
        self._connection = connection
        self._peer = connection.peer if connection else options.host
        self._interpreter = Interpreter(options)
        self._session_id = str(ULID())
        self._ended = DeviceUnavailable("the reader hung up")

    @property
    def session_id(self) -> str:
        """Name this connection."""
        return self._session_id

    @property
    def identity(self) -> Mapping[str, str]:
        """Where the reader is; a code reader says nothing else about itself."""
        return MappingProxyType({"peer": self._peer})

    async def observations(self) -> AsyncGenerator[Observation, None]:
        """Yield each code, and what was not one; DeviceUnavailable when the reader is gone."""
        while True:
            connection = await self._next_connection()
            async with contextlib.aclosing(self._read(connection)) as reading:
                async for observation in reading:
                    yield observation
            connection.abort()

    async def _next_connection(self) -> ReaderConnection:
        connection, self._connection = self._connection, None
        if connection is None:
            if self._listener is None or (self._options.keeps_connection and not self._listener.has_next):
                raise self._ended
            connection = await self._listener.next()
        self._peer = connection.peer
        return connection

    async def _read(self, connection: ReaderConnection) -> AsyncGenerator[Observation, None]:
        """Yield from one connection, until the reader hangs up."""
        ends = self._options.terminator
        splitter = LineSplitter(
            terminator=ends.encode("ascii") if ends else None, limit=self._options.max_line
        )
        begun = self._clock.stamp()
        stale_until_ns = begun.boottime_ns + self._options.stale_ms * NS_PER_MS
        while data := await self._chunk(connection):
            for line in splitter.feed(data, self._clock.stamp()):
                for observation in self._observe(line, stale_until_ns):
                    yield observation
        stamp = self._clock.stamp()
        rest = splitter.end(stamp)
        if rest is not None:
            for observation in self._observe(rest, stale_until_ns):
                yield observation
        for held in self._interpreter.held_back():
            yield self._notice(held, self._common(stamp, None))

    async def _chunk(self, connection: ReaderConnection) -> bytes:
        """Return the next bytes; empty when the connection ended, in whatever way."""
        for patience_s in (self._options.silence_s, LAST_LOOK_S):
            try:
                async with asyncio.timeout(patience_s):
                    data = await connection.read()
                break
            except TimeoutError:
                continue
        else:
            self._ended = DeviceUnavailable(
                f"the reader said nothing for {self._options.silence_s} s",
                hint="check the cable, and that the reader's heartbeat is on",
            )
            return b""
        if not data:
            self._ended = DeviceUnavailable(connection.ending)
        return data

    def _observe(self, line: ReaderLine, stale_until_ns: int) -> Iterator[Observation]:
        meaning: Meaning = self._interpreter.meaning(line, stale_until_ns=stale_until_ns)
        common = self._common(line.ended, line.data)
        match meaning:
            case Read(text):
                yield Code(**common, text=text)
            case Again(text):
                yield Code(**common, text=text, again=True)
            case NoCode():
                if meaning.count:
                    yield self._notice(meaning, common)
                elif meaning.follows_code:
                    yield Missed(**common, reason=f"not a code: {meaning.why}")
            case None:
                return

    def _common(self, stamp: Stamp, raw: bytes | None) -> _Common:
        when = When(occurred_ns=stamp.realtime_ns, occurred_from="gateway", unc_ms=self._options.latency_ms)
        return {
            "device": self._options.id,
            "session_id": self._session_id,
            "received": stamp,
            "when": when,
            "raw": raw,
        }

    def _notice(self, found: NoCode, common: _Common) -> Notice:
        return Notice(
            **common,
            kind="identifier.scanned",
            resource_type="device",
            resource_id=self._options.id,
            changes=(("reads", None, found.count),),
            reason=f"not a code: {found.why}",
            missed=True,
        )


class ScannerDriver:
    """How to reach one code reader."""

    def __init__(self, options: ScannerOptions, *, clock: Clock) -> None:
        """Keep the options; nothing is opened yet."""
        self._options = options
        self._clock = clock

    @property
    def device(self) -> str:
        """The device's id in the YAML."""
        return self._options.id

    @contextlib.asynccontextmanager
    async def connect(self, memory: Memory) -> AsyncIterator[ScannerSession]:  # noqa: ARG002 (a reader has no history, so nothing is remembered)
        """Dial the reader or wait until it dials in; DeviceUnavailable if that fails."""
        async with contextlib.AsyncExitStack() as stack:
            listener: ReaderListener | None = None
            connection: ReaderConnection | None = None
            if self._options.mode == "connect":
                connection = await stack.enter_async_context(dialled(self._options))
            else:
                listener = await stack.enter_async_context(listening(self._options))
                if self._options.keeps_connection:
                    connection = await self._dialled_in(listener)
            yield ScannerSession(
                options=self._options, clock=self._clock, listener=listener, connection=connection
            )

    async def _dialled_in(self, listener: ReaderListener) -> ReaderConnection:
        try:
            async with asyncio.timeout(self._options.connect_timeout_s):
                return await listener.next()
        except TimeoutError:
            raise DeviceUnavailable(
                f"the reader {self._options.host} has not dialled in on port {self._options.port}",
                hint="check the reader's host settings: it must send to this machine and port",
            ) from None


def build(options: ScannerOptions, context: DriverContext) -> ScannerDriver:
    """Return the driver of one code reader."""
    return ScannerDriver(options, clock=context.clock)
