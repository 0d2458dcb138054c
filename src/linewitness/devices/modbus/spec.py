"""Modbus devices, as the table of drivers lists them."""

from typing import Final

from linewitness.devices.spec import DriverSpec, ProbeSpec

MODBUS: Final = DriverSpec(
    name="modbus",
    title="Modbus",
    options="linewitness.devices.modbus.options:ModbusOptions",
    driver="linewitness.devices.modbus.driver:build",
    probe=ProbeSpec(
        output="linewitness.devices.modbus.diagnostics:probe_output",
        scheme="modbus",
        options="linewitness.devices.modbus.diagnostics:options_at",
    ),
    explain="linewitness.devices.modbus.polling.plan:explain",
)
