"""A connection that ended says what happened, wherever a user looks: closed, reset, or no answer."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from linewitness.base.clock import SystemClock
from linewitness.base.errors import DeviceUnavailable
from linewitness.devices.modbus.driver import ModbusDriver
from linewitness.devices.modbus.options import ModbusOptions
from linewitness.devices.modbus.wire.bus import Buses
from linewitness.gateway.capture import Capture
from linewitness.gateway.intake.arrival import Standstills
from linewitness.stations.shared_state import SharedState
from linewitness.stations.station import Station
from support.clocks import ManualClock
from support.journals import members_of
from support.lines import call
from support.present import present
from support.status_pages import looked_at
from support.waiting import until

TIMEOUT_S = 1.0
HEADER = struct.Struct(">HHHBB")


class Plc:
    """A device with one register, until the test ends its connections in one of several ways."""

    def __init__(self) -> None:
        self.port = 0
        self.serves = self.takes_more = True
        self.connections: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        if not self.takes_more:
            writer.write_eof()
        while request := await read_or_nothing(reader):
            if self.serves:
                number, _, _, unit, function = HEADER.unpack_from(request)
                writer.write(HEADER.pack(number, 0, 5, unit, function) + b"\2\0\7")
        writer.close()

    def close(self) -> None:
        """End the connections in an orderly way, and those that follow.

        Only the end is sent: a socket that is closed answers the next request with a reset.
        """
        self.serves = self.takes_more = False
        for writer in self.connections:
            writer.write_eof()

    def reset(self) -> None:
        """Throw the connections away, as a device does that is switched off and on."""
        self.serves = False
        for writer in self.connections:
            lingering: socket.socket = writer.get_extra_info("socket")
            lingering.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def fall_silent(self) -> None:
        """Keep the connections, and answer nothing any more."""
        self.serves = False


async def read_or_nothing(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(300)
    except ConnectionError:
        return b""


@asynccontextmanager
async def running() -> AsyncIterator[Plc]:
    plc = Plc()
    served: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        await plc.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    plc.port = server.sockets[0].getsockname()[1]
    try:
        yield plc
    finally:
        server.close()
        for writer in plc.connections:
            writer.close()
        for task in served:
            await present(task)


def driver_for(plc: Plc, buses: Buses | None = None, **settings: Any) -> ModbusDriver:
    defaults: dict[str, Any] = {
        "id": "press-4",
        "period_ms": 20,
        "timeout_s": TIMEOUT_S,
        "retries": 0,
        "points": [{"id": "level", "record": "change", "address": 0, "type": "uint16"}],
    }
    options = ModbusOptions(host="127.0.0.1", port=plc.port, **(defaults | settings))
    return ModbusDriver(options, clock=SystemClock(), buses=buses or Buses())


CLOSED = "the connection was closed by the device"
RESET = "the connection was reset by the device or by the network"


@pytest.mark.parametrize(
    ("ends", "words"),
    [(Plc.close, CLOSED), (Plc.reset, RESET), (Plc.fall_silent, f"no answer within {TIMEOUT_S:g} s")],
    ids=["closed", "reset", "silent"],
)
async def test_log_record_page_and_status_say_how_a_connection_ended(
    ends: Callable[[Plc], None], words: str, tmp_path: Path, clock: ManualClock
) -> None:
    system = SystemClock()
    async with running() as plc, looked_at(tmp_path / "journal", clock) as line:
        capture = Capture(
            driver_for(plc),
            Station(None, {}, shared=SharedState(), state={}, now=system.stamp()),
            journal=line.journal,
            telemetry=line.buffer,
            clock=system,
            health=line.health,
            standstills=Standstills(system),
        )
        with capture_logs() as logs:
            async with asyncio.TaskGroup() as group:
                task = group.create_task(capture.run())
                await until(lambda: "press-4" in line.health.devices)
                await until(lambda: line.health.devices["press-4"].state == "up")
                ends(plc)
                await until(lambda: line.health.devices["press-4"].state == "lost")
                _, _, body = await line.get("/healthz")
                page = (await line.get("/"))[2]
                await until(lambda: lost(tmp_path / "journal"))
                status = (await asyncio.to_thread(call, "status", tmp_path / "journal")).output
                task.cancel()
        (record,) = lost(tmp_path / "journal")
        (shown,) = [one for one in json.loads(body)["problems"] if one["code"] == "device-lost"]
        (logged,) = [one for one in logs if one["event"] == "device lost"]
    for text in (record["reason"], shown["what"], logged["why"], page, status):
        assert f"127.0.0.1:{plc.port}: {words}" in text


def lost(journal: Path) -> list[dict[str, Any]]:
    return [record for record in members_of(journal) if record["kind"] == "device.lost"]


async def end_of(driver: ModbusDriver) -> str:
    """Return the words with which a session of this driver ends."""
    try:
        async with driver.connect(cast(Any, NoMemory())) as session:
            async for _ in session.observations():
                pass
    except DeviceUnavailable as error:
        return error.what
    raise AssertionError("the session did not end")


class NoMemory:
    async def get(self, key: str) -> None:
        return None

    async def items(self, prefix: str) -> Any:
        return {}


async def test_each_device_behind_a_gateway_is_told_how_their_connection_ended() -> None:
    buses = Buses()
    async with running() as plc, asyncio.TaskGroup() as group:
        ends = [
            group.create_task(end_of(driver_for(plc, buses, id=f"press-{unit}", device_id=unit)))
            for unit in (1, 2)
        ]
        await until(lambda: bool(plc.connections))
        plc.close()
        assert {await end for end in ends} == {f"127.0.0.1:{plc.port}: {CLOSED}"}


async def test_a_device_that_takes_no_connection_more_is_said_to_close_it() -> None:
    """Many devices accept a connection beyond their last one, and close it at once."""
    async with running() as plc:
        plc.close()
        assert await end_of(driver_for(plc)) == f"127.0.0.1:{plc.port}: {CLOSED}"


async def test_a_connection_that_we_give_up_says_so() -> None:
    async with running() as plc, asyncio.TaskGroup() as group:
        end = group.create_task(end_of(driver_for(plc, retries=3, timeout_s=0.1)))
        await until(lambda: bool(plc.connections))
        plc.fall_silent()
        words = "no answer to 3 requests in a row: we closed the connection"
        assert await end == f"127.0.0.1:{plc.port}: {words}"
