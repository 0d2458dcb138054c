"""A server that we did not write shows its clock, and the driver says how far it is ahead."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from linewitness.base.clock import NS_PER_S, SystemClock
from linewitness.devices.base import Notice, Reading
from linewitness.devices.modbus.driver import ModbusDriver
from linewitness.devices.modbus.options import ModbusOptions
from linewitness.devices.modbus.wire.bus import Buses
from support.one_by_one import one_by_one


class NoMemory:
    async def get(self, _key: Any) -> None:
        return None

    async def items(self, _prefix: Any) -> Any:
        return {}


async def test_a_clock_in_registers_is_compared_before_anything_is_read() -> None:
    clock = SystemClock()
    shown = datetime.fromtimestamp(clock.stamp().realtime_ns // NS_PER_S, UTC) + timedelta(hours=1)
    fields = [shown.year, shown.month, shown.day, shown.hour, shown.minute, shown.second]
    registers = [SimData(0, values=[7, *fields], datatype=DataType.REGISTERS)]
    bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
    server = ModbusTcpServer(
        SimDevice(1, simdata=(bits, bits, registers, registers)), address=("127.0.0.1", 0)
    )
    await server.serve_forever(background=True)
    try:
        options = ModbusOptions.model_validate(
            {
                "id": "oven-1",
                "host": "127.0.0.1",
                "port": cast(Any, server.transport).sockets[0].getsockname()[1],
                "clock": {"address": 1, "form": "fields"},
                "points": [{"id": "program", "record": "change", "address": 0, "type": "uint16"}],
            }
        )
        driver = ModbusDriver(options, clock=clock, buses=Buses())
        async with (
            driver.connect(NoMemory()) as session,
            asyncio.timeout(10),
            aclosing(one_by_one(session.observations())) as observations,
        ):
            notice, reading = [await anext(observations) for _ in range(2)]
    finally:
        await cast(Any, server).shutdown()
    assert isinstance(notice, Notice)
    assert notice.when.device_offset_ms is not None
    assert abs(notice.when.device_offset_ms - 3_600_000) < 2000
    assert isinstance(reading, Reading)
    assert reading.value == "7"
