"""Put the simulated NTP server on a real UDP socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import cast

from linewitness.base.clock import SystemClock
from linewitness_simulators.ntp.device import NtpDevice


@dataclass(frozen=True, kw_only=True)
class NtpSimulation:
    """Where the server is found."""

    host: str = "127.0.0.1"
    port: int = 0
    device: NtpDevice = field(default_factory=NtpDevice)


class RunningNtp(asyncio.DatagramProtocol):
    """A server that answers; the machine's own clock counts as true time."""

    def __init__(self, options: NtpSimulation) -> None:
        """Start before the socket is open."""
        self.port = options.port
        self.device = options.device
        self._clock = SystemClock()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learn the port."""
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Take a question, after the delay on its way."""
        asyncio.get_running_loop().call_later(self.device.delay_in_s, self._arrived, data, addr)

    def _arrived(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = self.device.answer(data, self._clock.stamp().realtime_ns)
        if reply is not None:
            asyncio.get_running_loop().call_later(self.device.delay_out_s, self._send, reply, addr)

    def _send(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, addr)


@contextlib.asynccontextmanager
async def serve(options: NtpSimulation) -> AsyncIterator[RunningNtp]:
    """Switch the server on."""
    loop = asyncio.get_running_loop()
    transport, running = await loop.create_datagram_endpoint(
        lambda: RunningNtp(options), local_addr=(options.host, options.port)
    )
    try:
        yield running
    finally:
        transport.close()
        await asyncio.sleep(0)  # the transport closes its socket in the loop's next round
