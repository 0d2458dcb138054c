"""The code reader driver against a reader on a real socket."""

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from linewitness.base.clock import SystemClock
from linewitness.base.errors import DeviceUnavailable
from linewitness.devices.base import Code, Notice, Observation, Session
from linewitness.devices.scanner.driver import ScannerDriver
from linewitness.devices.scanner.options import ScannerOptions
from linewitness_simulators.scanner import RunningScanner, ScannerSimulation, serve
from linewitness_simulators.scanner.device import ScannerDevice
from support.memory import MIB, peak


class NoMemory:
    async def get(self, key: str) -> str | None:
        return None

    async def items(self, prefix: str) -> Mapping[str, str]:
        return {}


def driver(port: int, **settings: Any) -> ScannerDriver:
    given = {
        "id": "reader-1",
        "driver": "scanner",
        "host": "127.0.0.1",
        "port": port,
        "settle_ms": 0,
        **settings,
    }
    return ScannerDriver(ScannerOptions.model_validate(given), clock=SystemClock())


@contextlib.asynccontextmanager
async def reading(
    **settings: Any,
) -> AsyncIterator[tuple[RunningScanner, AsyncIterator[Observation], Session]]:
    async with (
        serve(ScannerSimulation()) as sim,
        driver(sim.port, **settings).connect(NoMemory()) as session,
    ):
        await sim.connected()
        async with contextlib.aclosing(session.observations()) as observations:
            yield sim, observations, session


@contextlib.asynccontextmanager
async def observing(device: ScannerDriver) -> AsyncIterator[AsyncIterator[Observation]]:
    async with (
        device.connect(NoMemory()) as session,
        contextlib.aclosing(session.observations()) as observations,
    ):
        yield observations


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


async def test_a_scan_becomes_a_code_with_its_bytes() -> None:
    async with reading() as (sim, observations, session):
        await sim.scan("SN0001")
        code = await anext(observations)
    assert isinstance(code, Code)
    assert (code.text, code.raw, code.device) == ("SN0001", b"SN0001", "reader-1")
    assert (code.when.occurred_from, code.when.unc_ms) == ("gateway", 100)
    assert code.when.occurred_ns == code.received.realtime_ns
    assert code.session_id == session.session_id
    assert session.identity == {"peer": f"127.0.0.1:{sim.port}"}


async def test_bytes_one_by_one_make_the_same_code() -> None:
    async with reading() as (sim, observations, _):
        await sim.split("SN0001", pause_s=0.002)
        code = await anext(observations)
    assert isinstance(code, Code)
    assert code.text == "SN0001"


async def test_a_repeat_is_seen_and_a_no_read_is_said() -> None:
    async with reading(no_read="NOREAD") as (sim, observations, _):
        await sim.scan("SN0001")
        await sim.scan("SN0001")
        await sim.no_read()
        got = [await anext(observations) for _ in range(3)]
    assert [type(one) for one in got] == [Code, Code, Notice]
    assert [one.again for one in got if isinstance(one, Code)] == [False, True]
    notice = got[2]
    assert isinstance(notice, Notice)
    assert (notice.kind, notice.raw) == ("identifier.scanned", b"NOREAD")
    assert "could not read" in notice.reason


async def test_garbage_is_kept_raw_and_the_next_code_is_read() -> None:
    async with reading(pattern=r"(?P<code>SN\d+)") as (sim, observations, _):
        await sim.garbage(32)
        await sim.scan("SN0002")
        got = [await anext(observations)]
        while not isinstance(got[-1], Code):
            got.append(await anext(observations))
    assert isinstance(got[0], Notice)
    assert got[0].raw
    assert isinstance(got[-1], Code)
    assert got[-1].text == "SN0002"


async def test_what_the_reader_had_buffered_is_kept_but_not_bound() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    with server:
        server.setblocking(False)
        loop = asyncio.get_running_loop()
        device = driver(server.getsockname()[1], settle_ms=250)
        async with observing(device) as observations:
            peer, _ = await loop.sock_accept(server)
            with peer:
                await loop.sock_sendall(peer, b"SN-OLD\r\n")
                stale = await anext(observations)
                async with asyncio.TaskGroup() as tasks:
                    sending = tasks.create_task(send_for_ever(peer))
                    following = await anext(observations)
                    sending.cancel()
    assert isinstance(stale, Notice)
    assert stale.raw == b"SN-OLD"
    assert "before the connection" in stale.reason
    assert isinstance(following, Code)
    assert following.received.boottime_ns - stale.received.boottime_ns > 100_000_000


async def send_for_ever(peer: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    for serial in itertools.count():
        await loop.sock_sendall(peer, b"SN%d\r\n" % serial)
        await asyncio.sleep(0.01)


async def test_a_drop_in_the_middle_of_a_code_is_no_code() -> None:
    async with reading() as (sim, observations, _):
        await sim.send(b"SN00")
        sim.hang_up()
        cut = await anext(observations)
        assert isinstance(cut, Notice)
        assert cut.raw == b"SN00"
        with pytest.raises(DeviceUnavailable, match="hung up"):
            await anext(observations)


async def test_a_broken_connection_is_unavailable() -> None:
    async with reading() as (sim, observations, _):
        sim.drop()
        with pytest.raises(DeviceUnavailable):
            await anext(observations)


async def test_nobody_there_is_unavailable_with_advice() -> None:
    with pytest.raises(DeviceUnavailable, match=r"does not answer.*check its power"):
        async with driver(free_port()).connect(NoMemory()):
            pass


async def test_a_silent_reader_with_a_heartbeat_is_lost() -> None:
    async with reading(heartbeat="ALIVE", silence_s=0.2) as (sim, observations, _):
        await sim.scan("ALIVE")
        with pytest.raises(DeviceUnavailable, match="said nothing"):
            await anext(observations)


async def test_a_code_that_comes_as_the_silence_ends_is_read() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reader:
        async with observing(
            driver(reader.getsockname()[1], heartbeat="ALIVE", silence_s=0.2)
        ) as observations:
            connected, _ = reader.accept()

            def stand_still() -> None:
                connected.send(b"SN0001\r\n")
                time.sleep(0.4)

            asyncio.get_running_loop().call_later(0.1, stand_still)
            code = await anext(observations)
            connected.close()
    assert isinstance(code, Code)
    assert code.text == "SN0001"


async def test_a_flood_without_an_end_is_said_once_and_does_not_grow_memory() -> None:
    async with reading() as (sim, observations, _):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sim.flood(1_000_000))
            first = await anext(observations)
            before = peak(os.getpid())
            tasks.create_task(flood_then_scan(sim))
            second = await anext(observations)
        grown = peak(os.getpid()) - before
    assert isinstance(first, Notice)
    assert first.raw == b"A" * 1024
    assert isinstance(second, Code)
    assert grown < 8 * MIB  # after 200 MB


async def flood_then_scan(sim: RunningScanner) -> None:
    await sim.flood(200_000_000)
    await sim.send(b"\r\n")
    await sim.scan("SN0003")


async def test_a_reader_may_dial_in_and_its_hanging_up_ends_the_session() -> None:
    port = free_port()
    device = driver(port, mode="listen", bind="127.0.0.1")
    async with (
        serve(ScannerSimulation(dial_port=port)) as sim,
        observing(device) as observations,
    ):
        await sim.connected()
        await sim.scan("SN0001")
        code = await anext(observations)
        assert isinstance(code, Code)
        sim.hang_up()
        with pytest.raises(DeviceUnavailable):
            async for _ in observations:
                pass


async def test_a_reader_that_dials_in_for_each_read_is_never_lost() -> None:
    port = free_port()
    device = driver(port, mode="listen", bind="127.0.0.1", keeps_connection=False)
    async with observing(device) as observations:
        got = []
        for serial in range(3):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"SN%d\r\n" % serial)
            writer.close()
            await writer.wait_closed()
            got.append(await anext(observations))
    assert [one.text for one in got if isinstance(one, Code)] == ["SN0", "SN1", "SN2"]


async def test_a_stranger_is_not_let_in() -> None:
    port = free_port()
    device = driver(port, mode="listen", bind="127.0.0.1", host="127.0.0.2", connect_timeout_s=5)
    async with asyncio.TaskGroup() as tasks:
        connecting = tasks.create_task(first_text(device))
        stranger = await dialled(port)
        with contextlib.suppress(ConnectionError):
            assert await stranger[0].read() == b""  # hung up on
        reader = await dialled(port, local="127.0.0.2")
        reader[1].write(b"SN0001\r\n")
        assert await connecting == "SN0001"
        for _, writer in (stranger, reader):
            writer.close()


async def first_text(device: ScannerDriver) -> str:
    async with observing(device) as observations:
        code = await anext(observations)
        assert isinstance(code, Code)
        return code.text


async def dialled(port: int, local: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            return await asyncio.open_connection("127.0.0.1", port, local_addr=(local, 0))
        await asyncio.sleep(0.01)


async def test_nobody_dialling_in_is_unavailable() -> None:
    device = driver(free_port(), mode="listen", bind="127.0.0.1", connect_timeout_s=0.1)
    with pytest.raises(DeviceUnavailable, match="not dialled in"):
        async with device.connect(NoMemory()):
            pass


async def test_automatic_mode_reads_numbered_units() -> None:
    sim_device = ScannerDevice(period_s=0.02)
    async with (
        serve(ScannerSimulation(device=sim_device)) as sim,
        observing(driver(sim.port)) as observations,
    ):
        got = [await anext(observations) for _ in range(3)]
    serials = [int(one.text.removeprefix("SN")) for one in got if isinstance(one, Code)]
    assert serials == list(range(serials[0], serials[0] + 3))


async def test_the_command_says_ready_and_ends_on_sigterm() -> None:
    program = "import typer; from linewitness_simulators.scanner.command import command; typer.run(command)"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, "--port", "0", "--period", "0.05", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        ready = (await process.stdout.readline()).decode().split()
        assert ready[0] == "ready"
        code = await first_text(driver(int(ready[1].rpartition(":")[2])))
        assert code.startswith("SN")
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
