"""pymodbus alone still needs what we change in it: each test fails once the library has mended its part.

When one does, take the change out of `wire/link.py` or `wire/frames.py`, its row out of
`docs/drivers/workarounds.md`, and its test out of this file.
"""

import asyncio
import socket
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException
from pymodbus.framer import FramerRTU, FramerTLS, FramerType
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.pdu import ModbusPDU

from support.present import present
from support.waiting import until

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

UNIT = 1
READ_TWO = bytes([UNIT, 3, 4, 0, 7, 0, 8])


@asynccontextmanager
async def client_of(
    serve: Serve, *, framer: FramerType = FramerType.SOCKET, timeout_s: float = 10, **more: Any
) -> AsyncIterator[AsyncModbusTcpClient]:
    """Connect the library's own client with a device that a test plays."""
    served: list[asyncio.Task[None] | None] = []

    async def played(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(played, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = AsyncModbusTcpClient(
        "127.0.0.1", port=port, framer=framer, timeout=timeout_s, retries=0, reconnect_delay=0, **more
    )
    try:
        assert await client.connect()
        yield client
    finally:
        client.close()
        server.close()
        for task in served:
            await present(task)


async def asked(client: AsyncModbusTcpClient, address: int) -> list[int] | None:
    try:
        answer: ModbusPDU = await client.read_holding_registers(address, device_id=UNIT)
    except ModbusIOException:
        return None
    return list(answer.registers)


def rtu(body: bytes) -> bytes:
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


@pytest.mark.heavy
async def test_a_late_answer_is_still_taken_for_the_next() -> None:
    """The value of register 0 comes after its request was given up, and becomes that of register 100."""

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        await reader.readexactly(8)
        writer.write(rtu(bytes([UNIT, 3, 2, 0, 7])))
        await reader.read()

    async with client_of(slow, framer=FramerType.RTU, timeout_s=0.5) as client:
        assert await asked(client, 0) is None
        assert await asked(client, 100) == [7]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="the wait_for of Python 3.12 swallows nothing")
async def test_a_cancellation_that_meets_the_answer_is_still_swallowed() -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with client_of(silent) as client:
        waiting = asyncio.ensure_future(client.read_holding_registers(0, device_id=UNIT))
        await until(lambda: client.ctx.next_tid == 1)
        client.ctx.callback_data(bytes([0, 1, 0, 0, 0, 5, UNIT, 3, 2, 0, 7]))
        waiting.cancel()
        assert (await waiting).registers == [7]
        assert not waiting.cancelled()


@pytest.mark.heavy
@pytest.mark.parametrize("ends", ["closed", "reset"])
async def test_the_callback_is_still_not_told_how_a_connection_ended(ends: str) -> None:
    told: list[tuple[object, ...]] = []

    async def ending(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(12)
        lingering: socket.socket = writer.get_extra_info("socket")
        if ends == "reset":
            lingering.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async with client_of(ending, timeout_s=0.5, trace_connect=lambda *what: told.append(what)) as client:
        await asked(client, 0)
        await until(lambda: len(told) == 2)
    assert told == [(True,), (False,)]


def test_the_tls_framer_still_takes_any_chunk_for_a_frame() -> None:
    """TLS cuts an answer where it likes; what comes first is dropped, or fails to decode."""
    framer = FramerTLS(DecodePDU(False))
    answer = bytes([0, 1, 0, 0, 0, len(READ_TWO)]) + READ_TWO
    assert framer.handleFrame(answer[:7], UNIT, 1) == (7, None)
    with pytest.raises(ModbusIOException):
        framer.handleFrame(answer[:11], UNIT, 1)


@pytest.mark.parametrize(
    ("frame", "values"),
    [(b"\x03\x02\x00\x07\x00\x08", [7]), (b"\x03\x00", []), (b"\x03\x03\x00\x07\x00", [7])],
    ids=["more bytes than it counts", "a count of nothing", "an odd count"],
)
def test_the_decoders_still_trust_the_counts_in_an_answer(frame: bytes, values: list[int]) -> None:
    answer = DecodePDU(False).decode(frame)
    assert answer is not None
    assert answer.registers == values


def test_the_answer_of_a_queue_still_has_the_wrong_length() -> None:
    """Its checksum is looked for two bytes too early, so the whole answer is dropped."""
    frame = rtu(bytes([UNIT, 24, 0, 6, 0, 2, 0, 7, 0, 8]))
    assert FramerRTU(DecodePDU(False)).handleFrame(frame, UNIT, 0) == (len(frame), None)
