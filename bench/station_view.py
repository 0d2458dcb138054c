"""Measure the time from a scan to the screen beside the work, beside bare fsyncs in the same run.

A simulated code reader says a serial number over TCP; a gateway of its own process records it in a journal
on the disk; the viewers read `/station/<id>/events`. Measured is the time until the last of them has the
picture with that serial number. After each scan, a file in the same folder is written and synced. Usage:

    PYTHONPATH=tests python bench/station_view.py [--scans 500] [--viewers 1,3] [--folder PATH]

Exit code 1 means that 99 of 100 scans took longer than 300 ms.
"""

import argparse
import asyncio
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import quantiles

from linewitness.demo.plant import Process
from linewitness_simulators.scanner import RunningScanner, ScannerSimulation, serve
from support.screens import Viewer, free_port

LINE = """\
version: 1
line: {{tenant: acme, plant: bench, line: line-1, gateway: gw-1, origin: acme.example/bench/line-1/1}}
journal: {{directory: journal}}
status: {{listen: "127.0.0.1:{status}"}}
stations:
  - id: st-10
    devices: [reader]
    unit: {{scanner: reader, pattern: "SN[0-9]{{7}}"}}
    requires:
      - {{id: pcb, kind: component, part: P1, pattern: "P1-(?P<serial>[0-9]+)"}}
devices:
  - {{id: reader, driver: scanner, host: 127.0.0.1, port: {reader}, settle_ms: 0}}
"""
LIMIT_MS = 300
#: Between two scans; nobody reads codes faster.
PAUSE_S = 0.02
PATIENCE_S = 60


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)


def answers(port: int) -> bool:
    """Return whether somebody listens."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@asynccontextmanager
async def gateway(folder: Path, reader: RunningScanner) -> AsyncIterator[int]:
    """Run a gateway that has the reader; yield the port of its pages."""
    port = free_port()
    (folder / "line.yaml").write_text(LINE.format(status=port, reader=reader.port), encoding="utf-8")
    await Process("init", folder, "init", "line.yaml").run()
    process = Process("gateway", folder, "run", "line.yaml")
    await process.start()
    try:
        await until(lambda: reader.clients and answers(port))
        yield port
    finally:
        await process.stop()


@asynccontextmanager
async def looking(port: int) -> AsyncIterator[Viewer]:
    """Look at the station, as a screen does."""
    connection = await asyncio.open_connection("127.0.0.1", port)
    viewer = Viewer(*connection)
    try:
        await viewer.begin("/station/st-10/events")
        yield viewer
    finally:
        await viewer.close()


async def shown(viewer: Viewer, serial: str) -> None:
    """Wait until a viewer has the picture with a serial number."""
    while serial not in (await viewer.event()).data:
        pass


def sync_ms(file: int) -> float:
    """Write and sync, and return the milliseconds of it."""
    os.pwrite(file, os.urandom(4096), 0)
    began = time.perf_counter()
    os.fsync(file)
    return (time.perf_counter() - began) * 1000


async def measure(
    reader: RunningScanner, port: int, numbers: range, *, viewers: int, file: int
) -> tuple[list[float], list[float]]:
    """Return the milliseconds of scans, and of bare fsyncs."""
    scan_ms, bare_ms = [], []
    async with AsyncExitStack() as stack:
        all_viewers = [await stack.enter_async_context(looking(port)) for _ in range(viewers)]
        for number in numbers:
            serial = f"SN{number:07d}"
            began = time.perf_counter()
            await reader.scan(serial)
            async with asyncio.TaskGroup() as group:
                for viewer in all_viewers:
                    group.create_task(shown(viewer, serial))
            scan_ms.append((time.perf_counter() - began) * 1000)
            bare_ms.append(await asyncio.to_thread(sync_ms, file))
            await asyncio.sleep(PAUSE_S)
    return scan_ms, bare_ms


def spread(values: list[float]) -> tuple[float, float]:
    """Return p50 and p99."""
    cuts = quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[98]


async def run(folder: Path, scans: int, viewers: list[int]) -> bool:
    """Measure and print; return whether all is within the limit."""
    within = True
    file = os.open(folder / "bare", os.O_RDWR | os.O_CREAT, 0o600)
    async with serve(ScannerSimulation()) as reader, gateway(folder, reader) as port:
        await measure(reader, port, range(1, 21), viewers=1, file=file)
        for turn, count in enumerate(viewers, 1):
            numbers = range(turn * 1_000_000, turn * 1_000_000 + scans)
            found = await measure(reader, port, numbers, viewers=count, file=file)
            (middle, high), (bare, bare_high) = map(spread, found)
            within = within and high <= LIMIT_MS
            print(
                f"{count} viewers, {scans} scans: scan to view p50 {middle:6.1f} ms, p99 {high:6.1f} ms; "
                f"a bare fsync p50 {bare:.1f} ms, p99 {bare_high:.1f} ms",
                flush=True,
            )
    os.close(file)
    return within


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scans", type=int, default=500)
    parser.add_argument("--viewers", default="1,3")
    parser.add_argument("--folder", type=Path, default=None, help="where to write; default: a new folder")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        viewers = [int(text) for text in chosen.viewers.split(",")]
        return int(not asyncio.run(run(Path(folder), chosen.scans, viewers)))


if __name__ == "__main__":
    sys.exit(main())
