"""Read Modbus devices in planned blocks, over TCP, TLS or a serial bus."""

from linewitness.devices.modbus.driver import ModbusDriver
from linewitness.devices.modbus.options import ModbusOptions

__all__ = ["ModbusDriver", "ModbusOptions"]
