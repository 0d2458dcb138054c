"""Tightening controllers, as the table of drivers lists them."""

from typing import Final

from linewitness.devices.spec import DriverSpec, ProbeSpec

OPEN_PROTOCOL: Final = DriverSpec(
    name="open_protocol",
    title="Open Protocol",
    options="linewitness.devices.open_protocol.options:OpenProtocolOptions",
    driver="linewitness.devices.open_protocol.assembly:build",
    probe=ProbeSpec(output="linewitness.devices.open_protocol.assembly:probe_output", scheme="open-protocol"),
)
