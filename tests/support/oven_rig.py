"""What the tests of the Modbus driver against the bundled oven share: options, and the driver."""

from typing import Any

from linewitness.base.clock import SystemClock
from linewitness.devices.modbus.driver import ModbusDriver
from linewitness.devices.modbus.options import ModbusOptions
from linewitness.devices.modbus.wire.bus import Buses
from linewitness_simulators.oven.server import RunningOvens

DOOR = {"id": "door", "record": "change", "table": "coil", "address": 0}


def options_for(oven: RunningOvens, *points: dict[str, Any], **settings: Any) -> ModbusOptions:
    defaults = {
        "id": "oven-1",
        "host": "127.0.0.1",
        "port": oven.port,
        "period_ms": 20,
        "timeout_s": 0.3,
        "retries": 1,
        "points": points,
    }
    return ModbusOptions(**(defaults | settings))


def driver_for(
    oven: RunningOvens, *points: dict[str, Any], buses: Buses | None = None, **settings: Any
) -> ModbusDriver:
    return ModbusDriver(options_for(oven, *points, **settings), clock=SystemClock(), buses=buses or Buses())
