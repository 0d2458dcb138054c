"""What the driver's constant names: how a driver is built, and what `linewitness probe` prints."""

from collections.abc import AsyncIterator

from linewitness.devices.context import DriverContext
from linewitness.devices.open_protocol.driver import OpenProtocolDriver
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness.devices.open_protocol.probe import probe
from linewitness.devices.spec import ProbeRequest


def build(options: OpenProtocolOptions, context: DriverContext) -> OpenProtocolDriver:
    """Return the driver of one controller."""
    return OpenProtocolDriver(options, clock=context.clock)


async def probe_output(options: OpenProtocolOptions, request: ProbeRequest) -> AsyncIterator[str]:
    """Yield who the controller is and what it offers, and YAML to paste."""
    report = await probe(options, clock=request.clock)
    for line in report.lines():
        yield line
    yield ""
    yield report.yaml.rstrip("\n")
