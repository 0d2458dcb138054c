"""The driver against servers that we did not write, and the oven against a client that we did not write."""

import asyncio
from contextlib import aclosing
from typing import Any, cast

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from linewitness.base.clock import SystemClock
from linewitness.devices.base import Reading, Signals
from linewitness.devices.modbus.driver import ModbusDriver
from linewitness.devices.modbus.options import ModbusOptions
from linewitness.devices.modbus.wire.bus import Buses
from linewitness_simulators.oven.server import OvenServerOptions, serve
from support.foreign_servers import in_node, served
from support.one_by_one import one_by_one


class NoMemory:
    async def get(self, key: str) -> None:
        return None

    async def items(self, prefix: str) -> Any:
        return {}


def driver_for(port: int, points: list[dict[str, Any]], **settings: Any) -> ModbusDriver:
    options = ModbusOptions(
        id="plc", host="127.0.0.1", port=port, period_ms=20, points=points, **({"timeout_s": 2} | settings)
    )
    return ModbusDriver(options, clock=SystemClock(), buses=Buses())


async def first_round(driver: ModbusDriver, evidence: int, signals: int = 0) -> dict[str, Any]:
    """Return the first values of so many evidence points and telemetry columns."""
    found = {}
    async with (
        driver.connect(NoMemory()) as session,
        asyncio.timeout(10),
        aclosing(one_by_one(session.observations())) as observations,
    ):
        async for observation in observations:
            if isinstance(observation, Reading):
                found[observation.point] = (observation.value, observation.quality.value)
            elif isinstance(observation, Signals):
                found |= dict(zip(observation.points, cast(Any, observation.values), strict=True))
            if len(found) >= evidence + signals:
                return found
    raise AssertionError("the observations ended")


async def test_jsmodbus_blocks_types_and_orders() -> None:
    points = [
        {"id": "temperature", "record": "change", "address": 0, "type": "int16", "scale": "0.01"},
        {"id": "power", "record": "change", "address": 1, "type": "float32"},
        {"id": "count", "record": "change", "address": 3, "type": "uint32", "order": "DCBA"},
        {"id": "lot", "record": "change", "address": 10, "type": "string", "length": 16},
        {"id": "ratio", "record": "change", "address": 20, "type": "float64"},
        {"id": "firmware", "record": "change", "table": "input", "address": 3, "type": "bcd16"},
        {"id": "door", "record": "change", "table": "coil", "address": 1},
        {"id": "fan", "record": "change", "table": "coil", "address": 2},
    ]
    signals = [
        {"id": f"r{address}", "record": "telemetry", "address": address, "type": "uint16"}
        for address in range(100, 200)
    ]
    async with served(*in_node("jsmodbus")) as server:
        found = await first_round(driver_for(server.port, points + signals), len(points), len(signals))
    good = {point["id"]: found.pop(cast(Any, point["id"])) for point in points}
    assert good == {
        "temperature": ("-12.34", "good"),
        "power": ("12.1", "good"),
        "count": ("305419896", "good"),
        "lot": ("LOT-0042", "good"),
        "ratio": ("0.1", "good"),
        "firmware": ("1234", "good"),
        "door": (False, "good"),
        "fan": (True, "good"),
    }
    assert found == {f"r{address}": address for address in range(100, 200)}


async def test_jsmodbus_a_handshake_is_written_and_read_back() -> None:
    result = {
        "id": "cycle",
        "pattern": "counter",
        "counter": {"address": 105},
        "handshake": 50,
        "fields": [{"id": "value", "address": 106, "type": "uint16"}],
    }
    confirmed = {"id": "confirmed", "record": "change", "address": 50, "type": "uint16"}
    async with served(*in_node("jsmodbus")) as server:
        driver = driver_for(server.port, [confirmed], results=[result])
        async with (
            driver.connect(NoMemory()) as session,
            asyncio.timeout(10),
            aclosing(one_by_one(session.observations())) as observations,
        ):
            before, taken = [await anext(observations) for _ in range(2)]
            await session.confirm(taken)
            after = await anext(observations)
    assert (before.value, taken.result_id, taken.measured[0].value, after.value) == ("0", "105", "106", "105")


@pytest.mark.parametrize(
    ("transport", "framer"), [("tcp", FramerType.SOCKET), ("rtu-over-tcp", FramerType.RTU)]
)
async def test_pymodbus_server_a_hole_in_the_block_leaves_the_rest(
    transport: str, framer: FramerType
) -> None:
    registers = [
        SimData(0, values=[5, 6], datatype=DataType.REGISTERS),
        SimData(4, values=[7], datatype=DataType.REGISTERS),
    ]
    bits = [SimData(0, values=[True] * 16, datatype=DataType.BITS)]
    device = SimDevice(3, simdata=(bits, bits, registers, registers))
    server = ModbusTcpServer(device, address=("127.0.0.1", 0), framer=framer)
    await server.serve_forever(background=True)
    try:
        port = cast(Any, server.transport).sockets[0].getsockname()[1]
        points = [
            {"id": f"h{address}", "record": "change", "address": address, "type": "uint16"}
            for address in (0, 1, 2, 4)
        ]
        coil = {"id": "coil", "record": "change", "table": "coil", "address": 9}
        found = await first_round(driver_for(port, [*points, coil], device_id=3, transport=transport), 5)
    finally:
        await cast(Any, server).shutdown()
    assert found == {
        "h0": ("5", "good"),
        "h1": ("6", "good"),
        "h2": (None, "bad"),
        "h4": ("7", "good"),
        "coil": (True, "good"),
    }


@pytest.mark.parametrize("rtu", [False, True])
async def test_the_oven_talks_to_a_client_that_we_did_not_write(rtu: bool) -> None:
    async with serve(OvenServerOptions(rtu=rtu, units=(1, 9))) as oven:
        client = AsyncModbusTcpClient(
            "127.0.0.1",
            port=oven.port,
            framer=FramerType.RTU if rtu else FramerType.SOCKET,
            reconnect_delay=0,
        )
        assert await client.connect()
        try:
            read = await client.read_holding_registers(1, count=4, device_id=9)
            assert read.registers == [1800, 1850, 1850, 1800]
            await client.write_register(1, 1700, device_id=9)
            await client.write_registers(2, [1710, 1720], device_id=9)
            await client.write_coil(0, True, device_id=9)
            await client.write_coils(0, [True, False], device_id=9)
            assert oven.ovens[9].inputs.set_points == [1700, 1710, 1720, 1800]
            assert (oven.ovens[9].inputs.door_open, oven.ovens[9].inputs.fan) == (True, False)
            assert oven.ovens[1].inputs.set_points[0] == 1800
            coils = await client.read_coils(0, count=2, device_id=9)
            assert coils.bits[:2] == [True, False]
            missing = await client.read_input_registers(500, count=2, device_id=1)
            assert missing.exception_code == 2
            refused = await client.write_register(0, 100, device_id=1)
            assert refused.exception_code == 3
            if not rtu:  # the library takes the length of this answer wrongly in RTU
                oven.oven.complete_cycles(2)
                queue = await client.read_fifo_queue(address=400, device_id=1)
                assert cast(Any, queue).values[0::3] == [1, 2]
        finally:
            client.close()
