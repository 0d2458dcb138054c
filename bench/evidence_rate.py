"""What evidence costs at a given rate of changes: from the device to the store's receipt.

    PYTHONPATH=tests python bench/evidence_rate.py modbus --rates 5000,10000,20000 --seconds 10
    PYTHONPATH=tests python bench/evidence_rate.py opcua --rates 2500 --round-trip-ms 50

Driver, stations, journal and forwarder run in this process; the device, mosquitto and the audit store have
processes of their own, and all share this machine. For each rate are printed: the share of the polls (of the
server's changes) that became records, processor seconds of the gateway and of the store for 100,000 changes,
also as a ratio to a bare loop of canonical form, SHA-256 and one signature a record in the same run, and how
long a value waited from its arrival until it was durable. Modbus points are read at 5 Hz, OPC UA points
change at 1 Hz. With a round trip, a relay in this process lies between gateway and broker.
"""

import argparse
import asyncio
import logging
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from append import bare
from generators import Generator
from pydantic import ByteSize
from whole_line import Gateway, Plant, gateway, plant

from linewitness.base.clock import monotonic
from linewitness.devices.base import Driver
from linewitness.devices.modbus.driver import ModbusDriver
from linewitness.devices.modbus.options import ModbusOptions
from linewitness.devices.modbus.wire.bus import Buses
from linewitness.devices.opcua.driver import OpcUaDriver
from linewitness.devices.opcua.options import OpcUaOptions
from linewitness.devices.options import ShareOptions
from linewitness.evidence.format.record import Event
from linewitness.evidence.format.value_changes import ValueChanges, count_records
from linewitness.gateway.capture import Capture
from linewitness.gateway.intake.arrival import Standstills
from linewitness.journal.journal import Journal
from linewitness.journal.reader import JournalReader
from linewitness.stations.shared_state import SharedState
from linewitness.stations.station import Station
from support.slow_cable import slow_cable

MODBUS_HZ = 5
OPCUA_HZ = 1
RECEIPT = b'"kind":"custody.received"'
#: Records that the bare loop repeats.
REFERENCE = 5000


@dataclass
class Waits:
    """How long events waited to be durable, in milliseconds since the clock reading of their arrival."""

    journal: Journal
    ms: list[float] = field(default_factory=list)

    def watch(self) -> None:
        """Time what devices observe from now on."""
        observe = self.journal.observe

        def timed(source: str, events: Sequence[Event | ValueChanges], **more: Any) -> Any:
            durable = observe(source, events, **more)
            begun, count = monotonic(), count_records(events)
            durable.add_done_callback(lambda _: self.ms.extend([(monotonic() - begun) * 1000] * count))
            return durable

        self.journal.observe = timed  # type: ignore[method-assign]  # a bench may look inside

    def quantile(self, share: float) -> float:
        """Return the wait that this share of the events did not exceed."""
        ordered = sorted(self.ms)
        return ordered[int(share * (len(ordered) - 1))] if ordered else float("nan")


def driver(kind: str, port: int, points: int, own: Gateway, *, record: str) -> Driver:
    """Return the driver of a device whose points are all recorded in one way."""
    if kind == "modbus":
        listed: list[dict[str, object]] = [
            {"id": f"r{n}", "address": n, "type": "uint16", "record": record} for n in range(points)
        ]
        period_ms = 1000 // MODBUS_HZ
        options = ModbusOptions.model_validate(
            {"id": "bench", "host": "127.0.0.1", "port": port, "period_ms": period_ms, "points": listed}
        )
        return ModbusDriver(options, clock=own.clock, buses=Buses())
    listed = [{"id": f"p{n}", "node": f"ns=2;s=p{n}", "record": record} for n in range(points)]
    endpoint = f"opc.tcp://127.0.0.1:{port}"
    return OpcUaDriver(
        OpcUaOptions.model_validate(
            {"id": "bench", "driver": "opcua", "endpoint": endpoint, "points": listed}
        ),
        clock=own.clock,
    )


@asynccontextmanager
async def connected(kind: str, port: int, points: int, own: Gateway, *, record: str) -> AsyncIterator[None]:
    """Capture from a device, which may take all of the journal."""
    capture = Capture(
        driver(kind, port, points, own, record=record),
        Station(None, {}, shared=SharedState(), state={}, now=own.clock.stamp()),
        journal=own.journal,
        telemetry=own.telemetry,
        clock=own.clock,
        health=own.health,
        standstills=Standstills(own.clock),
        share=ShareOptions(records_per_s=1_000_000, bytes_per_s=ByteSize(1 << 30)),
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(capture.run())
        yield
        task.cancel()


async def measure(kind: str, rate: int, arguments: argparse.Namespace, running: Plant) -> None:
    """Load the gateway with one rate, and print what it took."""
    hz = MODBUS_HZ if kind == "modbus" else OPCUA_HZ
    points = rate // hz
    trip_s = arguments.round_trip_ms / 1000
    cable = slow_cable(running.port, trip_s) if trip_s else nullcontext()
    with Generator(kind, "--points", str(points)) as device:
        async with cable as relay, gateway(running, port=relay.port if relay else None) as own:
            begun_with = own.journal.head.size
            async with connected(kind, device.port, points, own, record="change"):
                await _until(lambda: own.journal.head.size >= begun_with + points)
                await all_receipted(own)
                before = own.journal.head.size
                waits = Waits(own.journal)
                waits.watch()
                cpu, store_cpu, begun = time.process_time(), running.store_cpu_s, monotonic()
                device.go(hz)
                await asyncio.sleep(arguments.seconds)
                done = await asyncio.to_thread(device.stop)
                elapsed = monotonic() - begun
                await asyncio.sleep(0.5)
                behind = own.journal.head.size - own.judge.receipted
                await all_receipted(own)
                cpu, store_cpu = time.process_time() - cpu, running.store_cpu_s - store_cpu
                made = own.journal.head.size - before
    due = elapsed * hz
    polls = done["ticks"] if kind == "opcua" else max(done.values())
    reference = 1e5 / bare(last_records(running.folder / "journal"), time.process_time)
    print(
        f"{kind} {points} points: {rate:,}/s wanted, {polls / due:.1%} of the {due:.0f} rounds made, "
        f"{made:,} records, {made / elapsed:,.0f}/s, {behind:,} without receipt after 0.5 s\n"
        f"  gateway {cpu / made * 1e5:.2f} CPU s per 100,000 ({cpu / elapsed:.0%} of a core), "
        f"{cpu / made * 1e5 / reference:.2f} of the bare loop's; store {store_cpu / made * 1e5:.2f}\n"
        f"  durable after p50 {waits.quantile(0.5):.1f} ms, p99 {waits.quantile(0.99):.1f} ms",
        flush=True,
    )


async def all_receipted(own: Gateway) -> None:
    """Wait for receipts over everything but records of receipts, which alone are not sent."""

    def unsent(reader: JournalReader) -> bool:
        return all(RECEIPT in data for _, data in reader.records(own.judge.receipted))

    async with asyncio.timeout(60):
        while not await own.journal.read(unsent):  # noqa: ASYNC110 - a bench
            await asyncio.sleep(0.05)


def last_records(directory: Path) -> list[bytes]:
    """Return the newest records, for the bare loop."""
    with JournalReader(directory) as reader:
        return [data for _, data in reader.records(reader.size() - REFERENCE, reader.size())]


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - a bench
            await asyncio.sleep(0.05)


async def run(arguments: argparse.Namespace, folder: Path) -> None:
    """Measure each rate, on one journal."""
    async with plant(folder) as running:
        for rate in map(int, arguments.rates.split(",")):
            await measure(arguments.kind, rate, arguments, running)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["modbus", "opcua"])
    parser.add_argument("--rates", default="5000,10000,20000")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--round-trip-ms", type=float, default=0)
    parser.add_argument("--in", dest="folder", type=Path, help="where to work; default: a new folder")
    arguments = parser.parse_args()
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        asyncio.run(run(arguments, Path(folder)))


if __name__ == "__main__":
    main()
