"""Measure what thousands of points cost: loading their configuration, and starting the device that has them.

Both are compared with the same points as JSON, read and validated by pydantic alone, in the same run. Usage:

    python bench/many_points.py [--points 50000]

Processor seconds of this process are measured, so that a busy machine changes little. At the end a gateway of
its own process starts twice with the same points, up to the message that its device has answered. Exit code
1 means that loading takes more than three times as long as the bare way, or the start more than eight times.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import psutil
from generators import Generator
from pydantic import TypeAdapter

from linewitness.config import Config, load
from linewitness.config.files import secret_files
from linewitness.demo.plant import Process
from linewitness.devices.modbus.options import ModbusOptions
from linewitness.devices.modbus.points import ModbusPoint
from linewitness.devices.modbus.polling.blocks import BlockState, EvidencePoint, Origin
from linewitness.devices.modbus.polling.plan import limits_of, plan

T = TypeVar("T")
LOAD_LIMIT = 3.0
START_LIMIT = 8.0
DEVICE = "  - {{id: oven, driver: modbus, host: 127.0.0.1, port: {port}, "
HEAD = """\
version: 1
line: {tenant: acme, plant: ber-01, line: line-02, gateway: gw-02, origin: acme.example/ber-01/line-02/1}
journal: {directory: state}
devices:
"""


def measured(work: Callable[[], T]) -> tuple[float, T]:
    """Return the processor seconds that some work took, and what it returned."""
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def bare(count: int, record: str) -> float:
    """Return the seconds for the points as JSON, without places, checks between points, or a digest."""
    settings = {"table": "holding", "type": "int16", "record": record, "unit": "K", "low": "1", "high": "9"}
    text = json.dumps([{"id": f"zone-{n}", "address": n, **settings} for n in range(count)])
    points = TypeAdapter(tuple[ModbusPoint, ...])
    return measured(lambda: points.validate_python(json.loads(text)))[0]


def written(folder: Path, count: int, record: str, *, table: bool, port: int = 502) -> Path:
    """Write a line with so many points, in a table or as a range."""
    rest = f"int16,{record},K,1,9\n"
    if table:
        rows = "".join(f"zone-{n},holding,{n},{rest}" for n in range(count))
        (folder / "points.csv").write_text(f"id,table,address,type,record,unit,low,high\n{rows}")
        device = DEVICE.format(port=port) + "points_from: points.csv}\n"
    else:
        entry = f"id: 'zone-{{n}}', address: 0..{count - 1}, type: int16, record: {record}"
        device = DEVICE.format(port=port) + f"points: [{{{entry}, unit: K, low: 1, high: 9}}]}}\n"
    file = folder / "line.yaml"
    file.write_text(HEAD + device)
    return file


def start(config: Config) -> None:
    """Do what a start does with the points before the first poll."""
    [device] = cast(tuple[ModbusOptions], config.devices)
    list(secret_files(config))
    blocks = plan(device.points, limits_of(device))
    origin = Origin(device=device.id, session_id="bench", order=device.order)
    known: dict[str, EvidencePoint] = {}
    for block in blocks:
        BlockState(block, origin, known, last_read=None)
    assert config.digest  # for the start's own record, and for what was applied last


async def start_of_gateway(folder: Path) -> tuple[float, float]:
    """Start a gateway and stop it; return seconds and processor seconds until its device has answered."""
    line = Process("gateway", folder, "run", "line.yaml")
    line.log.write_text("")
    began = time.perf_counter()
    await line.start()
    try:
        while "device connected" not in line.log.read_text():
            if not line.running:
                raise SystemExit(line.log.read_text())
            await asyncio.sleep(0.02)
        return time.perf_counter() - began, sum(psutil.Process(line.pid).cpu_times()[:2])
    finally:
        await line.stop()


async def starts(folder: Path) -> list[tuple[float, float]]:
    """Start a gateway twice on one journal: the first start puts the settings on record."""
    await Process("init", folder, "init", "line.yaml").run()
    return [await start_of_gateway(folder) for _ in range(2)]


def started(count: int) -> None:
    """Print how long a gateway takes to start, by how its points are written."""
    for record in ("telemetry", "change"):
        for table in (True, False):
            with tempfile.TemporaryDirectory() as folder, Generator("modbus") as device:
                written(Path(folder), count, record, table=table, port=device.port)
                first, again = asyncio.run(starts(Path(folder)))
            way = "table" if table else "range"
            print(
                f"{record:<9} {way}: gateway started in {first[0]:.1f} s ({first[1]:.1f} s of the "
                f"processor), again in {again[0]:.1f} s ({again[1]:.1f})"
            )


def main() -> int:
    """Print the ratios, and return 1 if one is above its limit."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--points", type=int, default=50_000)
    count = parser.parse_args().points
    failed = False
    bare(100, "change")
    print(f"{count:,} points; ratios to reading and validating the same points as JSON")
    for record in ("telemetry", "change"):
        base = bare(count, record)
        for table in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                file = written(Path(folder), count, record, table=table)
                loading, config = measured(lambda: load(file))  # noqa: B023 (called at once)
                starting = loading + measured(lambda: start(config))[0]  # noqa: B023 (called at once)
            way = "table" if table else "range"
            print(
                f"{record:<9} {way}: load {loading / base:4.1f}, load and start {starting / base:4.1f}   "
                f"({loading:.2f} s and {starting:.2f} s of the processor; bare {base:.2f} s)"
            )
            failed = failed or loading > LOAD_LIMIT * base or starting > START_LIMIT * base
    started(count)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
