"""OPC UA servers, as the table of drivers lists them."""

from typing import Final

from linewitness.devices.spec import DriverSpec, ProbeSpec

OPCUA: Final = DriverSpec(
    name="opcua",
    title="OPC UA",
    options="linewitness.devices.opcua.options:OpcUaOptions",
    driver="linewitness.devices.opcua.driver:build",
    probe=ProbeSpec(
        output="linewitness.devices.opcua.look.diagnostics:probe_output",
        scheme="opc.tcp",
        options="linewitness.devices.opcua.look.first_contact:options_at",
        secured=True,
    ),
    browse="linewitness.devices.opcua.look.diagnostics:browse_output",
)
