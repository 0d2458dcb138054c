"""What `linewitness probe` prints of a Modbus device."""

import re
from collections.abc import AsyncIterator
from typing import Final, get_args

from linewitness.base.errors import ConfigurationError
from linewitness.devices.modbus.options import ModbusOptions
from linewitness.devices.modbus.probe import Span, probe
from linewitness.devices.modbus.wire.protocol import Table
from linewitness.devices.spec import ProbeAddress, ProbeRequest

_TABLES: Final[dict[str, Table]] = {name: name for name in get_args(Table)}
_SPAN: Final = re.compile(r"(?P<table>[a-z]+):(?P<first>\d+)-(?P<last>\d+)")


def options_at(address: ProbeAddress) -> ModbusOptions:
    """Return the options of the device behind an address."""
    return ModbusOptions(id="probed", host=address.host, port=address.port, device_id=address.unit)


async def probe_output(options: ModbusOptions, request: ProbeRequest) -> AsyncIterator[str]:
    """Yield who answers and what the points read; for a scan, the registers found, as points to paste."""
    spans = [_span(text) for text in request.scan]
    found = await probe(options, clock=request.clock, scan=spans)
    yield found.report()
    if spans:
        yield found.yaml().rstrip("\n")


def _span(text: str) -> Span:
    match = _SPAN.fullmatch(text)
    table = _TABLES.get(match["table"]) if match else None
    if match is None or table is None:
        raise ConfigurationError(f"{text!r} is not a range of registers", hint="write holding:0-99")
    return Span(table=table, first=int(match["first"]), last=int(match["last"]))
