"""A controller written from the protocol's tables alone, which does only what a test lets it do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from linewitness.base.clock import SystemClock
from linewitness.devices.open_protocol.driver import OpenProtocolDriver
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from support.open_protocol_rig import Gateway, Journal

#: MID and data field of each answer.
Answers = list[tuple[int, bytes]]
Reply = Callable[[int, bytes], Answers | None]


def telegram(mid: int, data: bytes = b"", revision: int = 1) -> bytes:
    return f"{20 + len(data):04d}{mid:04d}{revision:03d}         ".encode() + data + b"\0"


def tightening(
    number: int | str, *, unit: str = "SN", torque: int = 2500, angle: int = 40, **more: Any
) -> bytes:
    """Return the data of 0061 revision 1; an id in text is put there as it is."""
    time, ok = more.get("time", "2026-03-14:09:26:53"), str(int(more.get("ok", True)))
    values = (
        ("0001", "01", f"{'BARE':25}", f"{unit:25}", "01", "007", "0004", f"{more.get('batch', 1):04d}"),
        (ok, ok, "1", "002300", "002700", "002500", f"{torque:06d}", "00020", "00090", "00045"),
        (f"{angle:05d}", f"{time:19}", "2026-01-20:07:00:00", "3"),
        (f"{number:010d}" if isinstance(number, int) else f"{number:10}",),
    )
    flat = [value for row in values for value in row]
    return "".join(f"{position:02d}{value}" for position, value in enumerate(flat, start=1)).encode()


def spindles(
    sync: int,
    *torques: int,
    unit: str = "SN",
    time: str = "2026-03-14:09:26:53",
    nok: tuple[int, ...] = (),
) -> bytes:
    """Return the data of 0101 revision 1, with a spindle for each torque; those in `nok` are not OK."""
    numbered = list(enumerate(torques, start=1))
    blocks = "".join(
        f"{n:02d}{n:02d}{2 * str(int(n not in nok))}{torque:06d}100040" for n, torque in numbered
    )
    values = (
        (f"{len(torques):02d}", f"{unit:25}", "01", "007", "0004", "0001", "3", "002300", "002700", "002500"),
        ("00020", "00090", "00045", "2026-01-20:07:00:00", time, f"{sync:05d}", str(int(not nok)), blocks),
    )
    flat = [value for row in values for value in row]
    return "".join(f"{position:02d}{value}" for position, value in enumerate(flat, start=1)).encode()


def cycle(
    number: int,
    *torques: int,
    time: str = "2026-03-14:09:26:53",
    numbers: tuple[int, ...] = (),
    status: int = 0,
) -> bytes:
    """Return the data of 0106 revision 1, with a bolt for each torque; `numbers` are those of the bolts."""
    values = ("01", "01", f"{number:010d}", "01", f"{'ST':20}", f"{time:19}", "01", f"{'MODE':20}", "1")
    flat = (*values, str(status), f"{'':40}", f"{len(torques):02d}")
    bolts = "".join(
        f"13{bolt:02d}14115116117{torque / 100:07.4f}18040.0001927.00002023.000021090.00022020.000"
        for bolt, torque in zip(numbers or range(1, len(torques) + 1), torques, strict=True)
    )
    data = "".join(f"{position:02d}{value}" for position, value in enumerate(flat, start=1))
    return f"{data}{bolts}2300".encode()


@dataclass
class BareController:
    """What it heard, and the connections that it has."""

    reply: Reply
    heard: list[tuple[int, bytes]] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readexactly(20)).lstrip(b"\0")
                head += await reader.readexactly(20 - len(head))
                mid, data = int(head[4:8]), await reader.readexactly(int(head[:4]) - 20)
                revision = int(head[8:11].strip() or b"1")
                self.heard.append((mid, data))
                for answer, content in self._answers(mid, revision, data):
                    writer.write(telegram(answer, content))
        writer.close()

    def _answers(self, mid: int, revision: int, data: bytes) -> Answers:
        own = self.reply(mid, data)
        if own is not None:
            return own
        if revision > 1:
            return [(4, f"{mid:04d}97".encode())]
        if mid == 1:
            return [(2, f"010001020103{'BARE':25}".encode())]
        if mid in {3, 60}:
            return [(5, f"{mid:04d}".encode())]
        if mid == 9999:
            return [(9999, b"")]
        return [] if mid in {62, 102} else [(4, f"{mid:04d}99".encode())]

    def push(self, mid: int, data: bytes) -> None:
        self.writers[-1].write(telegram(mid, data))

    def count(self, mid: int) -> int:
        return sum(each == mid for each, _ in self.heard)


@contextlib.asynccontextmanager
async def listening(controller: BareController) -> AsyncIterator[None]:
    """Let it accept connections."""
    server = await asyncio.start_server(controller.serve, "127.0.0.1", 0)
    controller.port = server.sockets[0].getsockname()[1]
    async with server:
        yield


@contextlib.asynccontextmanager
async def bare(
    journal: Journal, reply: Reply = lambda *_: None, **more: Any
) -> AsyncIterator[tuple[Gateway, BareController]]:
    """Run a gateway against such a controller until the block ends."""
    controller = BareController(reply)
    quick: dict[str, Any] = {"request_timeout_s": 2, "keepalive_s": 0.5, "dead_after_s": 5}
    async with listening(controller), asyncio.TaskGroup() as group:
        place = {"id": "bare", "host": "127.0.0.1", "port": controller.port}
        options = OpenProtocolOptions(**{**place, **quick, **more})
        gateway = Gateway(journal, OpenProtocolDriver(options, clock=SystemClock()))
        task = group.create_task(gateway.run())
        try:
            yield gateway, controller
        finally:
            task.cancel()
