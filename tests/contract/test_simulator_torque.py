"""The torque controller simulator, spoken to by a client that knows only bytes and positions."""

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from linewitness_simulators.torque import ParameterSet, Tool, TorqueOptions, serve

GOLDEN = {
    case["name"]: case["telegram"].encode()
    for case in json.loads(
        (Path(__file__).parents[1] / "vectors" / "open_protocol" / "golden.json").read_text(encoding="utf-8")
    )
}
PSET = ParameterSet(7, "M8 bracket 25Nm", 2300, 2700, 2500, 20, 90)
MOMENT = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)


class Client:
    """Twenty bytes of header, then data; nothing of the product's own codec."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    def send(self, mid, data=b"", revision=1, no_ack=b" ", sequence=b"  "):
        header = b"%04d%04d%03d%s    %s  " % (20 + len(data), mid, revision, no_ack, sequence)
        self.writer.write(header + data + b"\0")

    async def receive(self, timeout=5):
        async with asyncio.timeout(timeout):
            first = await self.reader.readexactly(1)
            while first == b"\0":
                first = await self.reader.readexactly(1)
            head = first + await self.reader.readexactly(3)
            return head + await self.reader.readexactly(int(head) - 4)

    async def ask(self, mid, data=b"", revision=1):
        self.send(mid, data, revision)
        return await self.receive()

    async def start(self, revision=1):
        return await self.ask(1, revision=revision)

    async def until(self, mid):
        while int((telegram := await self.receive())[4:8]) != mid:
            pass
        return telegram

    async def at_end(self, timeout=5):
        async with asyncio.timeout(timeout):
            try:
                return await self.reader.read() == b""
            except ConnectionResetError:
                return True


def code(telegram):
    assert telegram[4:8] == b"0004", telegram
    return telegram[20:24], int(telegram[24:])


@asynccontextmanager
async def client_of(simulator):
    reader, writer = await asyncio.open_connection(simulator.options.host, simulator.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def running(**options):
    async with serve(TorqueOptions(**options)) as simulator, client_of(simulator) as client:
        yield simulator, client


async def condition(check, timeout=5):
    async with asyncio.timeout(timeout):
        while not check():  # noqa: ASYNC110  (what is checked has no event)
            await asyncio.sleep(0.01)


def golden_controller(**more):
    tool = Tool(lifetime_before=184_233 - 2, since_service_before=40_211 - 2)
    return running(parameter_sets=(PSET,), tool=tool, first_id=1_000_122, keep_alive_s=0, **more)


def make_golden_results(simulator):
    simulator.controller.identify("LOT-2026-031", 1)
    simulator.tighten("WP1SIM00000000042", torque=2500, angle=50, at=MOMENT)
    return simulator.tighten("WP1SIM00000000042", torque=2512, angle=47, rundown_angle=812, at=MOMENT)


@pytest.mark.parametrize(("name", "revision"), [("0002 r1 reply", 1), ("0002 r6 reply", 6)])
async def test_start_is_answered_with_the_golden_bytes(name, revision):
    async with golden_controller() as (_, client):
        assert await client.start(revision) == GOLDEN[name]


@pytest.mark.parametrize(
    ("name", "revision"),
    [
        ("0061 r1 OK result", 1),
        ("0061 r2 OK result", 2),
        ("0061 r7 OK result", 7),
        ("0061 r999 compact result", 999),
    ],
)
async def test_a_pushed_result_has_the_golden_bytes(name, revision):
    async with golden_controller() as (simulator, client):
        await client.start()
        assert await client.ask(60, revision=revision) == GOLDEN["0005: 0060 accepted"]
        assert make_golden_results(simulator) == 1_000_123
        await client.receive()
        client.send(62)
        assert await client.receive() == GOLDEN[name]


@pytest.mark.parametrize(
    ("name", "revision"),
    [("0065 r1 reply", 1), ("0065 r2 reply", 2), ("0065 r7 reply (with station id/name)", 7)],
)
async def test_an_old_result_has_the_golden_bytes(name, revision):
    async with golden_controller() as (simulator, client):
        await client.start()
        make_golden_results(simulator)
        assert await client.ask(64, b"0000000000", revision) == GOLDEN[name]
        assert await client.ask(64, b"0001000123", revision) == GOLDEN[name]


async def test_other_answers_have_the_golden_bytes():
    async with golden_controller() as (simulator, client):
        refused = await client.ask(1, revision=8)
        assert refused == GOLDEN["0004 r1: 0001 refused, revision unsupported (97)"]
        await client.start()
        assert await client.ask(64, b"0000000009") == GOLDEN["0004 r1: 0064 id not found (15)"]
        assert await client.ask(9999) == GOLDEN["9999 keep-alive (both directions)"]
        make_golden_results(simulator)
        assert await client.ask(40, revision=2) == GOLDEN["0041 r2 tool data"]
        assert (await client.ask(51))[20:] == b"0051"
        simulator.set_vin("WP1SIM00000000042")
        assert await client.receive() == GOLDEN["0052 r1 VIN event"]
        client.send(53)
        assert (await client.ask(14))[20:] == b"0014"
        assert await client.receive() == GOLDEN["0015 r1 event"]
