"""How many registers a second one Modbus device sustains, and at what cost in CPU time.

    python bench/modbus_rate.py --registers 2000 --period-ms 40 --seconds 5 --kind uint16 --evidence 0.1

The server is the simplest that answers, in a process of its own; the CPU seconds are those of the driver's
process alone.
"""

import argparse
import asyncio
import struct
import subprocess
import sys
import time

from peak_memory import peak_mib

from linewitness.base.clock import SystemClock, monotonic
from linewitness.devices.base import Reading, Signals
from linewitness.devices.modbus.driver import ModbusDriver
from linewitness.devices.modbus.options import ModbusOptions
from linewitness.devices.modbus.points import WIDTH
from linewitness.devices.modbus.wire.bus import Buses


class Forgetful:
    """A memory without content: polling needs none."""

    async def get(self, key: str) -> None:
        """Know nothing."""

    async def items(self, prefix: str) -> dict[str, str]:
        """Know nothing."""
        return {}


class Answering(asyncio.Protocol):
    """Answer each read of registers from one buffer; a counter moves in it, so that values change."""

    counter = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.memory = bytearray(b"\x3f\x80\x00\x00" * 0x8000)

    def data_received(self, data: bytes) -> None:
        Answering.counter += 1
        transaction, _, _, unit, function, first, count = struct.unpack(">HHHBBHH", data[:12])
        struct.pack_into(">H", self.memory, first * 2, Answering.counter & 0x3FFF)
        body = self.memory[first * 2 : (first + count) * 2]
        head = struct.pack(">HHHBBB", transaction, 0, len(body) + 3, unit, function, len(body))
        self.transport.write(head + body)


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def points(arguments: argparse.Namespace) -> list[dict[str, object]]:
    width = WIDTH[arguments.kind]
    count = arguments.registers // width
    evidence = int(count * arguments.evidence)
    return [
        {
            "id": f"p{number}",
            "record": "change" if number < evidence else "telemetry",
            "table": "holding",
            "address": number * width,
            "type": arguments.kind,
            **({"scale": "0.1"} if arguments.scaled else {}),
        }
        for number in range(count)
    ]


async def measure(port: int, arguments: argparse.Namespace) -> None:
    options = ModbusOptions(
        id="bench", host="127.0.0.1", port=port, period_ms=arguments.period_ms, points=points(arguments)
    )
    values = readings = 0
    async with ModbusDriver(options, clock=SystemClock(), buses=Buses()).connect(Forgetful()) as session:
        begun, cpu = monotonic(), time.process_time()
        async for observation in session.observations():
            if isinstance(observation, Signals):
                values += len(observation.values)
            elif isinstance(observation, Reading):
                readings += 1
            if monotonic() - begun > arguments.seconds:
                break
        elapsed, used = monotonic() - begun, time.process_time() - cpu
        missed = session._grid.figures.missed  # noqa: SLF001 (nothing else counts them)
    rate = values / elapsed
    memory = peak_mib()
    cost = used / max(values, 1) * 100_000
    print(
        f"{rate:,.0f} {arguments.kind} points/s as telemetry "
        f"({rate * WIDTH[arguments.kind]:,.0f} registers/s), "
        f"{readings} evidence readings, {cost:.2f} CPU s per 100 000 points, "
        f"{100 * used / elapsed:.0f} % of one core, {missed} ticks missed, {memory:.0f} MB at most"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--registers", type=int, default=2000)
    parser.add_argument("--period-ms", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--kind", default="uint16", choices=["int16", "uint16", "int32", "float32", "int64"])
    parser.add_argument("--evidence", type=float, default=0.0, help="share of the points that are evidence")
    parser.add_argument("--scaled", action="store_true", help="give each point a scale of 0.1")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve())
        return
    server = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        asyncio.run(measure(int(server.stdout.readline()), arguments))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
