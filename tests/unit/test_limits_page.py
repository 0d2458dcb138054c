"""Whoever looks at the page cannot hold up or grow the gateway; a taken address costs the page only."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog

from linewitness.status import page
from support.clocks import ManualClock
from support.status_pages import looked_at

pytestmark = pytest.mark.heavy


@asynccontextmanager
async def served(directory: Path, clock: ManualClock) -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with looked_at(directory, clock) as looked, asyncio.TaskGroup() as group:
        task = group.create_task(page.serve(looked.overview, host="127.0.0.1", port=port))
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
                continue
            writer.close()
            break
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


async def test_a_request_without_end_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    async with served(tmp_path / "journal", clock) as port:
        endless = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 4 * page.MAX_REQUEST_BYTES
        assert not (await ask(port, endless)).startswith(b"HTTP/1.1 200")
        assert (await ask(port, b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def test_too_many_connections_are_turned_away(tmp_path: Path, clock: ManualClock) -> None:
    async with served(tmp_path / "journal", clock) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(page.MAX_CONNECTIONS)]
        await asyncio.sleep(0.1)
        answer = await ask(port, b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" not in answer
        for _, writer in held:
            writer.close()


async def test_a_taken_address_is_said_and_costs_the_page_only(tmp_path: Path, clock: ManualClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with looked_at(tmp_path / "journal", clock) as looked:
            with structlog.testing.capture_logs() as said:
                await page.serve(looked.overview, host="127.0.0.1", port=taken.getsockname()[1])
    assert said[0]["event"] == "status page is off: its address cannot be used"
