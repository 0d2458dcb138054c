"""The highest rate of changes that one OPC UA device sustains, and its cost, beside the bare library's.

    python bench/opcua_rate.py --points 2000 --seconds 5

Each mode runs at rising rates until it or the server falls behind: `bare` is asyncua's own client with a
handler that only counts, `telemetry` and `evidence` are the driver with everything behind it up to the disk
(for evidence: chain, signature and synced commit). The server has a process of its own; CPU seconds are those
of this process alone.
"""

import argparse
import asyncio
import logging
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from generators import Generator

from linewitness.base.clock import SharedClockState, SystemClock, monotonic
from linewitness.devices.opcua.connection.wire import Client
from linewitness.devices.opcua.driver import OpcUaDriver
from linewitness.devices.opcua.options import OpcUaOptions
from linewitness.gateway.capture import Capture
from linewitness.gateway.intake.arrival import Standstills
from linewitness.journal.file import JournalFile
from linewitness.journal.journal import open_journal
from linewitness.journal.options import JournalOptions
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.records.builder import StreamIdentity
from linewitness.stations.shared_state import SharedState
from linewitness.stations.station import Station
from linewitness.status.health import Health

IDENTITY = StreamIdentity("bench.example/plant/line/1", "bench", "plant", "line")
#: A rate is sustained if so much of it has arrived when the server stops, and nothing is dropped.
ARRIVED = 0.98
#: What may still be on its way when the server stops.
SETTLE_S = 0.5


@dataclass(frozen=True)
class Step:
    """One rate in one mode."""

    wanted: float
    made: int
    arrived: int
    cpu_s: float
    seconds: float

    @property
    def sustained(self) -> bool:
        return self.arrived >= ARRIVED * self.made and self.made >= ARRIVED * self.wanted * self.seconds

    def __str__(self) -> str:
        behind = "the server makes no more" if self.arrived >= ARRIVED * self.made else "not sustained"
        word = "sustained" if self.sustained else behind
        cost = self.cpu_s / max(self.arrived, 1) * 100_000
        return (
            f"{self.wanted:>7,.0f}/s wanted, {self.made / self.seconds:>7,.0f}/s made, "
            f"{self.arrived / self.seconds:>7,.0f}/s arrived: {word}, "
            f"{cost:.2f} CPU s per 100 000, {100 * self.cpu_s / self.seconds:.0f} % of a core"
        )


class Counting:
    """What asyncua's client calls at each change."""

    def __init__(self) -> None:
        self.count = 0

    def datachange_notification(self, _node: object, _value: object, _data: object) -> None:
        self.count += 1


@asynccontextmanager
async def bare(port: int, points: int) -> AsyncIterator[Callable[[], int]]:
    """Subscribe with the library alone."""
    counting = Counting()
    async with Client(f"opc.tcp://127.0.0.1:{port}") as client:
        subscription: Any = await client.create_subscription(200, counting)
        nodes = [client.get_node(f"ns=2;s=p{number}") for number in range(points)]
        await subscription.subscribe_data_change(nodes, queuesize=100, sampling_interval=100)
        yield lambda: counting.count


@asynccontextmanager
async def driven(port: int, points: int, *, record: str, folder: Path) -> AsyncIterator[Callable[[], int]]:
    """Capture with the driver, up to the disk."""
    clock, state = SystemClock(), SharedClockState()
    JournalFile.create(folder, IDENTITY, clock=clock, clock_state=state).close()
    listed = [{"id": f"p{n}", "node": f"ns=2;s=p{n}", "record": record} for n in range(points)]
    options = OpcUaOptions.model_validate(
        {"id": "bench", "driver": "opcua", "endpoint": f"opc.tcp://127.0.0.1:{port}", "points": listed}
    )
    telemetry = TelemetryBuffer(folder, max_bytes=1 << 30)
    counted = Counted(telemetry)
    async with (
        open_journal(JournalOptions(directory=folder), clock=clock, clock_state=state) as journal,
        asyncio.TaskGroup() as group,
    ):
        capture = Capture(
            OpcUaDriver(options, clock=clock),
            Station(None, {}, shared=SharedState(), state={}, now=clock.stamp()),
            journal=journal,
            telemetry=cast(Any, counted),
            clock=clock,
            health=Health(),
            standstills=Standstills(clock),
        )
        tasks = [group.create_task(run) for run in (journal.run(), telemetry.run(), capture.run())]
        yield lambda: counted.samples if record == "telemetry" else journal.head.size
        tasks[2].cancel()
        tasks[1].cancel()
        await journal.drain()
    telemetry.close()


class Counted:
    """The telemetry buffer, counting samples."""

    def __init__(self, buffer: TelemetryBuffer) -> None:
        self._buffer = buffer
        self.samples = 0

    async def put(self, device: str, samples: int, payload: bytes) -> None:
        await self._buffer.put(device, samples, payload)
        self.samples += samples


async def measure(mode: str, rate: float, arguments: argparse.Namespace) -> Step:
    """Load one mode with one rate."""
    with (
        Generator("opcua", "--points", str(arguments.points)) as generator,
        tempfile.TemporaryDirectory(prefix="opcua-rate-") as name,
    ):
        if mode == "bare":
            subscribed = bare(generator.port, arguments.points)
        else:
            record = "telemetry" if mode == "telemetry" else "change"
            subscribed = driven(
                generator.port, arguments.points, record=record, folder=Path(name) / "journal"
            )
        async with subscribed as count:
            async with asyncio.timeout(60):
                while count() < arguments.points:  # noqa: ASYNC110 - the first values tell that all is set up
                    await asyncio.sleep(0.1)
            await asyncio.sleep(0.5)
            before = count()
            generator.go(rate / arguments.points)
            begun, cpu = monotonic(), time.process_time()
            await asyncio.sleep(arguments.seconds)
            done = await asyncio.to_thread(generator.stop)
            seconds = monotonic() - begun
            await asyncio.sleep(SETTLE_S)
            used = time.process_time() - cpu
            return Step(rate, done["ticks"] * arguments.points, count() - before, used, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--modes", default="bare,telemetry,evidence")
    parser.add_argument("--rates", default="2000,5000,10000,20000,30000,40000,60000")
    arguments = parser.parse_args()
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    for mode in arguments.modes.split(","):
        best = 0.0
        for rate in map(float, arguments.rates.split(",")):
            step = asyncio.run(measure(mode, rate, arguments))
            print(f"{mode:<10}{step}", flush=True)
            if not step.sustained:
                break
            best = rate
        print(f"{mode:<10}highest sustained: {best:,.0f} changes/s", flush=True)


if __name__ == "__main__":
    main()
