"""A controller written byte by byte, without our codec: silent, closing, wrong about lengths."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from linewitness.base.clock import SystemClock
from linewitness.devices.open_protocol.driver import OpenProtocolDriver
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from support.open_protocol_rig import Gateway, Journal

TIME = "2026-03-14:09:26:53"
CLOSE, RESET = "close", "reset"
#: Answers that a test may give in place of the usual one: bytes, nothing, or the end of the connection.
Answer = bytes | str | None


def telegram(mid: int, data: str = "", revision: int = 1) -> bytes:
    return f"{20 + len(data):04d}{mid:04d}{revision:03d}{'':9}{data}\0".encode("ascii")


def refused(mid: int, code: int) -> bytes:
    return telegram(4, f"{mid:04d}{code:02d}")


def accepted(mid: int) -> bytes:
    return telegram(5, f"{mid:04d}")


def started(revision: int, *, serial: str, station: int, software: str) -> bytes:
    added = (
        f"01000102010{3}{'AWKWARD':25}",
        "04ACT",
        f"05{'2.8':19}06{software:19}07{'1':19}",
        f"08{'':24}09{serial:10}",
        "1000311001",
        f"12013014{station:010d}15{'Bay':25}161",
        "170",
    )
    return telegram(2, "".join(added[:revision]), revision)


def pushed(number: int, torque: int = 2500) -> bytes:
    """0061 revision 1."""
    return telegram(
        61,
        f"01000102010{3}{'AWKWARD':25}04{f'SN{number}':25}050006007070000080000091101111"
        f"12002300130027001400250015{torque:06d}160002017000901800040190004020{TIME}21{TIME}22223{number:010d}",
    )


def stored(number: int, torque: int = 2500) -> bytes:
    """0065 revision 1."""
    return telegram(
        65,
        f"01{number:010d}02{f'SN{number}':25}0300704000005106107108{torque:06d}090004010{TIME}112",
    )


@dataclass
class AwkwardController:
    """What it is and has; `answer` may give another answer than the usual one, or `...` for the usual one."""

    serial: str = "AW00000001"
    station: int = 3
    software: str = "1.0"
    start_revision: int = 6
    results: list[int] = field(default_factory=list)
    answer: Callable[[int, int, str], Any] = lambda *_: ...
    heard: list[tuple[int, int, str]] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    port: int = 0

    def asked(self, mid: int) -> list[int]:
        """Return the revisions in which this was asked, in order."""
        return [revision for each, revision, _ in self.heard if each == mid]

    def send(self, data: bytes) -> None:
        self.writers[-1].write(data)

    def usual(self, mid: int, revision: int, data: str) -> Answer:
        if mid == 1:
            if revision > self.start_revision:
                return refused(1, 97)
            return started(revision, serial=self.serial, station=self.station, software=self.software)
        if mid == 60:
            return accepted(60) if revision == 1 else refused(60, 97)
        if mid == 64:
            return self._stored(revision, int(data))
        if mid in (3, 63, 9999):
            return telegram(9999) if mid == 9999 else accepted(mid)
        return None if mid in (62, 72, 77) else refused(mid, 99)

    def _stored(self, revision: int, number: int) -> bytes:
        if revision > 1:
            return refused(64, 97)
        wanted = number or max(self.results, default=0)
        return stored(wanted) if wanted in self.results else refused(64, 15)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                header = (await reader.readexactly(20)).decode("ascii")
                data = (await reader.readexactly(int(header[:4]) - 20 + 1)).decode("ascii")[:-1]
                question = int(header[4:8]), int(header[8:11]), data
                self.heard.append(question)
                answer = self.answer(*question)
                answer = self.usual(*question) if answer is ... else answer
                if answer == RESET:
                    _reset_when_closed(writer)
                if answer in {CLOSE, RESET}:
                    break
                if isinstance(answer, bytes):
                    writer.write(answer)
        writer.close()


def _reset_when_closed(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextlib.asynccontextmanager
async def listening(controller: AwkwardController) -> AsyncIterator[None]:
    """Let it accept connections."""
    server = await asyncio.start_server(controller.serve, "127.0.0.1", 0)
    controller.port = server.sockets[0].getsockname()[1]
    async with server:
        yield


@contextlib.asynccontextmanager
async def captured(controller: AwkwardController, journal: Journal, **more: Any) -> AsyncIterator[Gateway]:
    """Run a gateway against it; its end is a crash, and the next one starts from the journal."""
    quick = {"request_timeout_s": 0.6, "keepalive_s": 0.25, "dead_after_s": 30, "back_fill_per_s": 50}
    options = OpenProtocolOptions(id="wrench-10", host="127.0.0.1", port=controller.port, **{**quick, **more})
    running = Gateway(journal, OpenProtocolDriver(options, clock=SystemClock()))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(running.run(), name="gateway")
        try:
            yield running
        finally:
            task.cancel()
