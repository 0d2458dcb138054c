"""A client for torque controllers that knows only bytes and positions: nothing of the product's own codec."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from linewitness.base.clock import Stamp, from_datetime
from linewitness_simulators.torque import TorqueOptions, TorqueSimulator, serve

GOLDEN = {
    case["name"]: case["telegram"].encode()
    for case in json.loads(
        (Path(__file__).parents[1] / "vectors" / "open_protocol" / "golden.json").read_text(encoding="utf-8")
    )
}


MOMENT = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)


class Standing:
    """A clock that stands still until it is set."""

    boot_id = "standing"

    def __init__(self, moment: datetime = MOMENT) -> None:
        self.moment = moment

    def stamp(self) -> Stamp:
        return Stamp(from_datetime(self.moment), 0)


class Client:
    """Twenty bytes of header, then data; nothing of the product's own codec."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(
        self, mid: int, data: bytes = b"", revision: int = 1, no_ack: bytes = b" ", sequence: bytes = b"  "
    ) -> None:
        header = b"%04d%04d%03d%s    %s  " % (20 + len(data), mid, revision, no_ack, sequence)
        self.writer.write(header + data + b"\0")

    async def receive(self, timeout: float = 5) -> bytes:
        async with asyncio.timeout(timeout):
            first = await self.reader.readexactly(1)
            while first == b"\0":
                first = await self.reader.readexactly(1)
            head = first + await self.reader.readexactly(3)
            return head + await self.reader.readexactly(int(head) - 4)

    async def ask(self, mid: int, data: bytes = b"", revision: int = 1) -> bytes:
        self.send(mid, data, revision)
        return await self.receive()

    async def start(self, revision: int = 1) -> bytes:
        return await self.ask(1, revision=revision)

    async def subscribe(self, mid: int = 60, revision: int = 1) -> None:
        answer = await self.ask(mid, revision=revision)
        assert answer[20:] == b"%04d" % mid, answer

    async def result(self, *, confirm: bool = True) -> int:
        """Wait for 0061 and return its id (revision 1)."""
        telegram = await self.receive_mid(61)
        if confirm:
            self.send(62)
        return int(telegram[221:231])

    async def receive_mid(self, mid: int) -> bytes:
        while int((telegram := await self.receive())[4:8]) != mid:
            pass
        return telegram

    async def at_end(self, timeout: float = 5) -> bool:
        """Return once the peer has closed or broken the connection, whatever it still sent."""
        async with asyncio.timeout(timeout):
            try:
                await self.reader.read()
            except ConnectionResetError:
                return True
            return self.reader.at_eof()


def code(telegram: bytes) -> tuple[bytes, int]:
    assert telegram[4:8] == b"0004", telegram
    return telegram[20:24], int(telegram[24:])


@asynccontextmanager
async def client_of(simulator: TorqueSimulator) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection(simulator.options.host, simulator.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def running(clock: Any = None, **options: Any) -> AsyncIterator[tuple[TorqueSimulator, Client]]:
    async with serve(TorqueOptions(**options), clock=clock) as simulator, client_of(simulator) as client:
        yield simulator, client


async def condition(check: Callable[[], object], timeout: float = 5) -> None:
    async with asyncio.timeout(timeout):
        while not check():  # noqa: ASYNC110  (what is checked has no event)
            await asyncio.sleep(0.01)
