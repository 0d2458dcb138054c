"""Devices that change as fast as they are told, each in a process of its own: how benches load a gateway.

    python bench/generators.py opcua --points 2000
    python bench/generators.py modbus

The first line printed is the port. Commands on standard input: `go HZ` begins, `stop` ends and prints what
was done as JSON. OPC UA point n has the value n + k after the k-th change. Each Modbus block of registers
holds how often it was read, so that every read finds a change in every register.
"""

import argparse
import asyncio
import json
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import ClassVar, Self

from linewitness.base.clock import SystemClock, monotonic
from linewitness.devices.opcua.decoding.times import moment_of
from linewitness_simulators.press.flood import Flood
from linewitness_simulators.press.library import make_server, ua


class Generator:
    """One generator's process, as a bench uses it."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._commands = self._process.stdin
        self._answers = self._process.stdout
        self.port = int(self._answers.readline())
        self.pid = self._process.pid

    def go(self, hz: float) -> None:
        self._tell(f"go {hz}")

    def stop(self) -> dict[str, int]:
        self._tell("stop")
        counts: dict[str, int] = json.loads(self._answers.readline())
        return counts

    def _tell(self, line: str) -> None:
        self._commands.write(line + "\n")
        self._commands.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._commands.close()
        self._answers.close()


class Ticking:
    """Changes all points of an OPC UA server at a given rate, on a grid: what is late is made up for."""

    def __init__(self, flood: Flood) -> None:
        self._flood = flood
        self._going = asyncio.Event()
        self._hz = 1.0
        self.ticks = 0
        self._idle = asyncio.Event()

    def go(self, hz: float) -> None:
        self._hz = hz
        self._going.set()

    async def stop(self) -> dict[str, int]:
        self._going.clear()
        await self._idle.wait()
        return {"ticks": self.ticks}

    async def run(self) -> None:
        clock = SystemClock()
        while True:
            self._idle.set()
            await self._going.wait()
            self._idle.clear()
            due = monotonic()
            while self._going.is_set():
                self.ticks += 1
                await self._flood.rise(float(self.ticks), moment_of(clock.stamp().realtime_ns))
                due += 1 / self._hz
                await asyncio.sleep(max(0.0, due - monotonic()))


async def serve_opcua(points: int) -> None:
    server = make_server()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0")
    index = await server.register_namespace("urn:linewitness:bench")
    nodes = [
        await server.nodes.objects.add_variable(
            ua.NodeId(f"p{number}", index), f"{index}:p{number}", 0.0, ua.VariantType.Double
        )
        for number in range(points)
    ]
    async with server:
        ticking = Ticking(Flood(server, nodes))
        print(server.bserver.port, flush=True)
        async with asyncio.TaskGroup() as group:
            group.create_task(ticking.run())
            async for word, *more in commands():
                if word == "go":
                    ticking.go(float(more[0]))
                else:
                    print(json.dumps(await ticking.stop()), flush=True)


class Registers(asyncio.Protocol):
    """Answer each read of registers with how often this block was read."""

    reads: ClassVar[Counter[str]] = Counter()
    going = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        transaction, _, _, unit, function, first, count = struct.unpack(">HHHBBHH", data[:12])
        if count > 1 and self.going:
            self.reads[str(first)] += 1
        body = struct.pack(">H", self.reads[str(first)] & 0xFFFF) * count
        head = struct.pack(">HHHBBB", transaction, 0, len(body) + 3, unit, function, len(body))
        self.transport.write(head + body)


async def serve_modbus() -> None:
    server = await asyncio.get_running_loop().create_server(Registers, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async for word, *_ in commands():
        Registers.going = word == "go"
        if word == "stop":
            print(json.dumps(Registers.reads), flush=True)


async def commands() -> AsyncIterator[list[str]]:
    """Yield the words of each line of standard input."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line.decode().split()


@contextmanager
def generators(opcua: int, modbus: int) -> Iterator[tuple[Generator, Generator]]:
    """Start the generators of both kinds."""
    with (
        Generator("opcua", "--points", str(opcua)) as one,
        Generator("modbus", "--points", str(modbus)) as two,
    ):
        yield one, two


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["opcua", "modbus"])
    parser.add_argument("--points", type=int, default=2000)
    arguments = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(serve_opcua(arguments.points) if arguments.kind == "opcua" else serve_modbus())


if __name__ == "__main__":
    main()
