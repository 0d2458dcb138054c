"""The bytes on the wire, pinned: what each read sends and what is made of its answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from linewitness.base.clock import SystemClock
from linewitness.devices.base import Reading
from linewitness.devices.modbus.driver import ModbusDriver
from linewitness.devices.modbus.options import ModbusOptions
from linewitness.devices.modbus.wire.bus import Buses
from support.one_by_one import one_by_one


class NoMemory:
    async def get(self, key: Any) -> None:
        return None


@dataclass
class Script:
    """A device that knows a few requests by heart; MBAP transaction ids are copied, the rest is literal."""

    answers: dict[str, str]
    rtu: bool = False
    heard: list[str] = field(default_factory=list)
    pieces: int | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.answer_all(reader, writer)
        finally:
            writer.close()
            self.ended.set()

    async def answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(300):
            request = data.hex() if self.rtu else data[2:].hex()
            self.heard.append(request)
            answer = bytes.fromhex(self.answers[request])
            answer = answer if self.rtu else data[:2] + answer
            for at in range(0, len(answer), self.pieces or len(answer)):
                writer.write(answer[at : at + (self.pieces or len(answer))])
                await writer.drain()
                await asyncio.sleep(0.005 if self.pieces else 0)


@asynccontextmanager
async def listening(script: Any) -> AsyncIterator[Any]:
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
        await script.ended.wait()


TCP = {
    # transaction id left out: protocol 0000, length, unit, function, first, count
    "00000006110300000001": "00000005110302fff6",
    "00000006110300000005": "0000000d11030afff600004141999a0000",
    "00000006110100130013": "00000006110103cd6b05",
    "00000006110400080001": "00000003118402",
    "00000006110100130001": "0000000411010101",
}
POINTS = [
    {"id": "level", "record": "change", "address": 0, "type": "int16", "scale": "0.1"},
    {"id": "power", "record": "change", "address": 2, "type": "float32"},
    {"id": "last", "record": "change", "address": 4, "type": "uint16"},
    *(
        {"id": f"coil-{address}", "record": "change", "table": "coil", "address": address}
        for address in (19, 20, 27, 37)
    ),
    {"id": "missing", "record": "change", "table": "input", "address": 8, "type": "uint16"},
]
VALUES = {
    "level": "-1.0",
    "power": "12.1",
    "last": "0",
    "coil-19": True,
    "coil-20": False,
    "coil-27": True,
    "coil-37": True,
    "missing": None,
}


async def read_once(port: int, points: Any, **settings: Any) -> Any:
    options = ModbusOptions(
        id="plc", host="127.0.0.1", port=port, device_id=17, points=points, timeout_s=2, **settings
    )
    driver = ModbusDriver(options, clock=SystemClock(), buses=Buses())
    async with (
        driver.connect(cast(Any, NoMemory())) as session,
        asyncio.timeout(10),
        aclosing(one_by_one(session.observations())) as observations,
    ):
        found = [await anext(observations) for _ in points]
    return {each.point: each.value for each in found if isinstance(each, Reading)}


@pytest.mark.parametrize("pieces", [None, 3])
async def test_modbus_tcp_requests_and_answers(pieces: Any) -> None:
    script = Script(TCP, pieces=pieces)
    async with listening(script) as port:
        assert await read_once(port, POINTS) == VALUES
    assert script.heard == [
        "00000006110100130001",
        "00000006110100130013",
        "00000006110300000005",
        "00000006110400080001",
    ]


@pytest.mark.parametrize("pieces", [None, 3])
async def test_modbus_rtu_requests_and_answers(pieces: Any) -> None:
    """The checksums 869a and b831 are literal, not computed by our code."""
    script = Script({"110300000001869a": "110302fff6b831"}, rtu=True, pieces=pieces)
    async with listening(script) as port:
        values = await read_once(port, POINTS[:1], transport="rtu-over-tcp")
    assert values == {"level": "-1.0"}
