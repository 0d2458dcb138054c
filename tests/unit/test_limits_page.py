"""Whoever looks at the page cannot hold up or grow the gateway; a taken address costs the page only."""

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog

from linewitness.status import connection, page
from linewitness.status.snapshot import Overview
from support.clocks import ManualClock
from support.status_pages import looked_at
from support.waiting import until_listening

pytestmark = pytest.mark.heavy


@asynccontextmanager
async def served(directory: Path, clock: ManualClock) -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with looked_at(directory, clock) as looked, asyncio.TaskGroup() as group:
        task = group.create_task(page.serve(looked.overview, host="127.0.0.1", port=port))
        await until_listening(port)
        try:
            yield port
        finally:
            task.cancel()


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        await writer.drain()
        async with asyncio.timeout(10):
            return await reader.read(100)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_the_page_is_served_and_ends_with_the_gateway(tmp_path: Path, clock: ManualClock) -> None:
    async with served(tmp_path / "journal", clock) as port:
        answer = await ask(port, b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200")
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", port)


HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def sized(size: int) -> bytes:
    """Return a whole request of so many bytes."""
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "
    return head + b"a" * (size - len(head) - 4) + b"\r\n\r\n"


async def ended(reader: asyncio.StreamReader) -> bool:
    """Wait until the server has closed a connection; True if it said nothing before."""
    async with asyncio.timeout(10):
        try:
            return await reader.read() == b""
        except ConnectionError:
            return True


async def test_a_request_without_end_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    async with served(tmp_path / "journal", clock) as port:
        endless = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 4 * connection.MAX_REQUEST_BYTES
        assert not (await ask(port, endless)).startswith(b"HTTP/1.1 200")
        assert (await ask(port, b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def test_a_request_may_have_16_kib_and_not_a_byte_more(tmp_path: Path, clock: ManualClock) -> None:
    """Whole in one packet or not: the library counts only what is incomplete."""
    async with served(tmp_path / "journal", clock) as port:
        assert (await ask(port, sized(16_384))).startswith(b"HTTP/1.1 200")
        assert (await ask(port, sized(16_385))).startswith(b"HTTP/1.1 431")
        assert (await ask(port, sized(60_000))).startswith(b"HTTP/1.1 431")
        body = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000\r\n\r\n" + b"a" * 20_000
        assert (await ask(port, body)).startswith(b"HTTP/1.1 431")


async def test_a_request_may_have_100_headers_and_not_one_more(tmp_path: Path, clock: ManualClock) -> None:
    def request(headers: int) -> bytes:
        others = b"".join(b"X-%d: 1\r\n" % number for number in range(headers - 1))
        return b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + others + b"\r\n"

    async with served(tmp_path / "journal", clock) as port:
        assert (await ask(port, request(100))).startswith(b"HTTP/1.1 200")
        assert (await ask(port, request(101))).startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize(
    "sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: loc"], ids=["nothing", "half a request"]
)
async def test_health_is_answered_while_many_idle_connections_stand(
    tmp_path: Path, clock: ManualClock, sent: bytes
) -> None:
    """The one that is idle longest makes room; the others stay."""
    async with served(tmp_path / "journal", clock) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(32)]
        for _, writer in held:
            writer.write(sent)
            await writer.drain()
        for _ in range(3):
            assert (await ask(port, HEALTH)).startswith(b"HTTP/1.1 200")
        assert await ended(held[0][0])
        _, newest = held[-1]
        newest.write(HEALTH[len(sent) :] if sent else HEALTH)
        assert (await held[-1][0].read(100)).startswith(b"HTTP/1.1 200")
        for _, writer in held:
            writer.close()


async def test_a_request_that_drips_is_cut_off(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the second one on a connection: each byte is news, and none of them buys time."""
    monkeypatch.setattr(connection, "REQUEST_S", 0.3)
    async with served(tmp_path / "journal", clock) as port, asyncio.timeout(20):
        for answered_before in (False, True):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            if answered_before:
                writer.write(HEALTH)
                assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
            drips = itertools.cycle(b"X")
            writer.write(b"GET / HTTP/1.1\r\n")
            while not reader.at_eof() and not writer.is_closing():
                writer.write(bytes([next(drips)]))
                await asyncio.sleep(0.02)
            writer.close()


async def test_an_answer_that_nobody_reads_is_cut_off(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ANSWER_S", 0.3)
    hanging = asyncio.Event()

    async def never() -> None:
        await hanging.wait()

    async with served(tmp_path / "journal", clock) as port:
        monkeypatch.setattr(Overview, "snapshot", lambda _: never())
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEALTH)
        assert await ended(reader)
        hanging.set()
        writer.close()


async def test_a_taken_address_is_said_and_costs_the_page_only(tmp_path: Path, clock: ManualClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with looked_at(tmp_path / "journal", clock) as looked:
            with structlog.testing.capture_logs() as said:
                await page.serve(looked.overview, host="127.0.0.1", port=taken.getsockname()[1])
    assert said[0]["event"] == "status page is off: its address cannot be used"
