"""Look into a Modbus device once: who it is, what its points read now, which registers exist."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pymodbus.pdu.mei_message import ReadDeviceInformationRequest

from linewitness.base.clock import NS_PER_MS, Clock
from linewitness.devices.modbus.options import ModbusOptions
from linewitness.devices.modbus.points import ModbusPoint
from linewitness.devices.modbus.polling.decode import Decoded, bad, decoder, slice_of
from linewitness.devices.modbus.wire.answers import identity_objects
from linewitness.devices.modbus.wire.bus import Bus, Buses, awaken
from linewitness.devices.modbus.wire.link import LinkBroken, MalformedAnswer, ModbusError, NoAnswer
from linewitness.devices.modbus.wire.protocol import FROM_GATEWAY, Table, exception_words, is_bits, reference
from linewitness.devices.modbus.wire.reader import Reader

_IDENTITY: Final = {0: "vendor", 1: "product", 2: "revision"}
#: A scan asks for so many addresses at first; where some are missing it asks for half, and so on.
_SCAN_STEP: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Addresses of one table that a scan covers, both ends included."""

    table: Table
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What one look found."""

    place: str
    round_trip_ms: float
    identity: tuple[tuple[str, str], ...]
    values: tuple[tuple[ModbusPoint, Decoded], ...]
    found: tuple[tuple[Table, int, int], ...]

    def report(self) -> str:
        """Return the findings as text."""
        lines = [f"{self.place} answers in {self.round_trip_ms:.1f} ms"]
        lines += [f"  {name}: {text}" for name, text in self.identity]
        if not self.identity:
            lines.append("  it does not say who it is (function 43 is optional)")
        for point, decoded in self.values:
            unit = f" {point.unit}" if point.unit else ""
            value = f"{decoded.value}{unit}" if decoded.value is not None else decoded.status
            lines.append(f"  {point.id} ({point.table} {point.address}): {value} [{decoded.quality.value}]")
        lines += [
            f"  {table} {address} ({reference(table, address)}): {value}"
            for table, address, value in self.found
        ]
        return "\n".join(lines)

    def yaml(self) -> str:
        """Return points to paste into the YAML, one for each address that the scan found."""
        lines = ["points:"]
        for table, address, _ in self.found:
            kind = "" if is_bits(table) else ", type: uint16"
            name = f"{table}-{address}"
            lines.append(f"  - {{id: {name}, record: telemetry, table: {table}, address: {address}{kind}}}")
        return "\n".join(lines) + "\n" if self.found else "points: []\n"


async def probe(
    options: ModbusOptions, *, clock: Clock, scan: Sequence[Span] = (), buses: Buses | None = None
) -> Probed:
    """Read each configured point and each address of the scan once; nothing is written.

    Forbidden ranges stay forbidden. Raises DeviceUnavailable or DeviceRefused.
    """
    async with (buses or Buses()).use(options) as bus:
        reader = Reader(bus, options)
        places: list[tuple[Table, int]] = [(point.table, point.address) for point in options.points]
        before = clock.stamp()
        await awaken(bus, reader.probe_request(*(places or [("holding", 0)])[0]), options)
        passed_ns = clock.stamp().boottime_ns - before.boottime_ns
        return Probed(
            place=f"unit {options.device_id} at {options.place}",
            round_trip_ms=passed_ns / NS_PER_MS,
            identity=await _identity(bus, options),
            values=tuple([(point, await _value(reader, point, options)) for point in options.points]),
            found=tuple([each for span in scan for each in await _scan(reader, span, options)]),
        )


async def _identity(bus: Bus, options: ModbusOptions) -> tuple[tuple[str, str], ...]:
    request = ReadDeviceInformationRequest(read_code=1, object_id=0, dev_id=options.device_id)
    try:
        objects = await bus.ask(request, timeout_s=options.timeout_s, pause_s=options.pause_ms / 1000)
    except (ModbusError, NoAnswer, LinkBroken):
        await bus.open()
        return ()
    known = dict(identity_objects(objects))
    names = [(name, known.get(number)) for number, name in _IDENTITY.items()]
    return tuple((name, text.decode("ascii", "replace")) for name, text in names if text)


async def _value(reader: Reader, point: ModbusPoint, options: ModbusOptions) -> Decoded:
    try:
        data = await reader.read(point.table, point.address, point.width)
    except ModbusError as error:
        return bad(exception_words(error.code))
    except MalformedAnswer as error:
        return bad(f"not what was asked for: {error}")
    except NoAnswer:
        return bad("no answer")
    return decoder(point, options.order)(slice_of(point, point.address, data))


async def _scan(reader: Reader, span: Span, options: ModbusOptions) -> list[tuple[Table, int, int]]:
    found: list[tuple[Table, int, int]] = []
    for first, last in _allowed(span, options):
        at = first
        while at <= last:
            count = min(_SCAN_STEP, last - at + 1)
            found += await _existing(reader, span.table, at, count)
            at += count
    return found


def _allowed(span: Span, options: ModbusOptions) -> Iterable[tuple[int, int]]:
    """Return the parts of a span that are not forbidden, in the order of their addresses."""
    at = span.first
    for forbidden in sorted(options.forbidden, key=lambda each: each.first):
        if forbidden.table == span.table and forbidden.last >= at and forbidden.first <= span.last:
            if forbidden.first > at:
                yield at, forbidden.first - 1
            at = forbidden.last + 1
    if at <= span.last:
        yield at, span.last


async def _existing(reader: Reader, table: Table, first: int, count: int) -> list[tuple[Table, int, int]]:
    """Return the addresses of a stretch that can be read, with their values, by halving around the holes."""
    try:
        data = await reader.read(table, first, count)
    except ModbusError as error:
        if error.code in FROM_GATEWAY or count == 1:
            return []
        half = count // 2
        left = await _existing(reader, table, first, half)
        return left + await _existing(reader, table, first + half, count - half)
    except NoAnswer:
        return []
    if is_bits(table):
        return [(table, first + at, data[at >> 3] >> (at & 7) & 1) for at in range(count)]
    return [(table, first + at, int.from_bytes(data[2 * at : 2 * at + 2], "big")) for at in range(count)]
