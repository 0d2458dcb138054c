"""What signals cost, and how long a value takes from its reading to whoever subscribes at the broker.

    PYTHONPATH=tests python bench/telemetry_rate.py --rates 500,5000 --round-trip-ms 50

Driver, stations, journal and forwarder run in this process; the Modbus device, mosquitto, the audit store and
the subscriber have processes of their own. Between gateway and broker lies a relay with the round trip that
was asked for. The points are read at 5 Hz.
"""

import argparse
import asyncio
import json
import multiprocessing
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from multiprocessing.connection import Connection
from pathlib import Path

from evidence_rate import MODBUS_HZ, connected
from generators import Generator
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from whole_line import Plant, gateway, plant

from linewitness.base.clock import NS_PER_MS, SystemClock, monotonic
from support.slow_cable import slow_cable


def subscribe(port: int, pipe: Connection) -> None:
    """Count values and their ages until told to stop; a process of its own."""
    clock, values = SystemClock(), 0
    ages_ms: list[float] = []

    def on_message(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        nonlocal values
        now_ms = clock.stamp().realtime_ns / NS_PER_MS
        block = json.loads(message.payload)
        values += len(block["values"])
        ages_ms.append(now_ms - block["t_ms"])

    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.subscribe("linewitness/v1/+/+/telemetry/#", qos=1)
    client.loop_start()
    while pipe.recv() == "count":
        pipe.send((values, ages_ms))
        values, ages_ms = 0, []
    client.loop_stop()


@asynccontextmanager
async def subscriber(port: int) -> AsyncIterator[Connection]:
    """Run the subscriber."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=subscribe, args=(port, there), daemon=True)
    process.start()
    try:
        yield here
    finally:
        here.send("stop")
        process.join()


def counted(pipe: Connection) -> tuple[int, list[float]]:
    """Return values and ages since the last time."""
    pipe.send("count")
    answer: tuple[int, list[float]] = pipe.recv()
    return answer


async def measure(rate: int, arguments: argparse.Namespace, running: Plant) -> None:
    """Load the gateway with one rate, and print what it took."""
    points = rate // MODBUS_HZ
    trip_s = arguments.round_trip_ms / 1000
    cable = slow_cable(running.port, trip_s) if trip_s else nullcontext()
    with Generator("modbus", "--points", str(points)) as device:
        async with (
            subscriber(running.port) as pipe,
            cable as relay,
            gateway(running, port=relay.port if relay else None) as own,
            connected("modbus", device.port, points, own, record="telemetry"),
        ):
            device.go(MODBUS_HZ)
            await asyncio.sleep(2)
            counted(pipe)
            cpu, begun = time.process_time(), monotonic()
            await asyncio.sleep(arguments.seconds)
            values, ages_ms = await asyncio.to_thread(counted, pipe)
            cpu, elapsed = time.process_time() - cpu, monotonic() - begun
            await asyncio.to_thread(device.stop)
    ages_ms.sort()
    print(
        f"{points} points: {rate:,}/s wanted, {values / elapsed:,.0f}/s arrived; "
        f"{cpu / max(values, 1) * 1e5:.2f} CPU s per 100,000; value read to subscriber "
        f"p50 {ages_ms[len(ages_ms) // 2]:.1f} ms, p99 {ages_ms[int(len(ages_ms) * 0.99)]:.1f} ms"
        + (f" (round trip {arguments.round_trip_ms} ms, relay in this process)" if trip_s else ""),
        flush=True,
    )


async def run(arguments: argparse.Namespace, folder: Path) -> None:
    """Measure each rate, on one journal."""
    async with plant(folder) as running:
        for rate in map(int, arguments.rates.split(",")):
            await measure(rate, arguments, running)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", default="500,5000")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--round-trip-ms", type=float, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, suppress(KeyboardInterrupt):
        asyncio.run(run(arguments, Path(folder)))


if __name__ == "__main__":
    main()
