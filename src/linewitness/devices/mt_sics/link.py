"""One connection with a scale: lines in, commands out, and requests to weigh in the same queue."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final, cast

from linewitness.base.clock import Clock, Stamp
from linewitness.base.errors import DeviceUnavailable
from linewitness.devices.mt_sics.options import MtSicsOptions

#: No line of MT-SICS is longer than this; what is longer does not come from a scale.
MAX_LINE: Final = 512
#: Lines and requests that wait; a scale that floods us is paused, not stored.
WAITING: Final = 64


@dataclass(frozen=True, slots=True)
class ScaleLine:
    """A line of the scale, and when it came."""

    data: bytes
    received: Stamp

    @property
    def text(self) -> str:
        """The line as text; what is not ASCII is no reply and is kept recognisable."""
        return self.data.decode("ascii", "backslashreplace")


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection has ended."""

    reason: str


@dataclass(frozen=True, slots=True)
class WeighRequest:
    """Somebody wants a weight, for the unit with this identifier where it is known."""

    identifier: str | None


Incoming = ScaleLine | Closed | WeighRequest


class ScaleLink(asyncio.Protocol):
    """The scale's end of the queue."""

    def __init__(self, clock: Clock) -> None:
        """Start with nothing received."""
        self._clock = clock
        self._transport: asyncio.Transport | None = None
        self._inbox: asyncio.Queue[Incoming] = asyncio.Queue()
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Cut lines; they are dated here, whatever else is going on."""
        stamp = self._clock.stamp()
        self._buffer += data
        *lines, rest = self._buffer.split(b"\n")
        self._buffer = bytearray(rest)
        if len(rest) > MAX_LINE or any(len(line) > MAX_LINE for line in lines):
            self._end("it sends lines that no scale sends")
            return
        for line in lines:
            if stripped := bytes(line).strip(b"\r"):
                self._inbox.put_nowait(ScaleLine(stripped, stamp))
        if self._inbox.qsize() > WAITING and self._transport is not None:
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so, in order behind what arrived before."""
        self._inbox.put_nowait(Closed(f"the connection with the scale broke: {exc}" if exc else "it hung up"))

    def request(self, identifier: str | None) -> None:
        """Ask for a weighing; DeviceUnavailable if too much is waiting already."""
        if self._inbox.qsize() > WAITING:
            raise DeviceUnavailable("the scale has not kept up with earlier requests to weigh")
        self._inbox.put_nowait(WeighRequest(identifier))

    async def next(self) -> Incoming:
        """Wait for a line, the end, or a request."""
        incoming = await self._inbox.get()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        return incoming

    def waiting(self) -> Iterator[Incoming]:
        """Yield what has arrived already, without waiting."""
        while not self._inbox.empty():
            yield self._inbox.get_nowait()

    def send(self, command: str) -> None:
        """Send one command."""
        if self._transport is not None:
            self._transport.write(command.encode("ascii") + b"\r\n")

    def abort(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def _end(self, reason: str) -> None:
        self._buffer.clear()
        self._inbox.put_nowait(Closed(reason))
        self.abort()


@contextlib.asynccontextmanager
async def linked(options: MtSicsOptions, clock: Clock) -> AsyncIterator[ScaleLink]:
    """Connect with the scale; DeviceUnavailable if it does not answer in time."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(options.connect_timeout_s):
            _, link = await loop.create_connection(lambda: ScaleLink(clock), options.host, options.port)
    except (OSError, TimeoutError) as error:
        raise DeviceUnavailable(
            f"the scale at {options.host}:{options.port} does not answer: {error or 'timed out'}",
            hint="check its power, address and port, and that no other program holds its only connection",
        ) from error
    try:
        yield link
    finally:
        link.abort()
        await asyncio.sleep(0)  # the transport closes its socket in the loop's next round
