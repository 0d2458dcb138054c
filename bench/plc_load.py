"""One gateway under the load of two PLCs at once, a tenth of it evidence: nothing may be missing.

    python bench/plc_load.py --seconds 600

OPC UA points change at 1 Hz, Modbus registers are read at 5 Hz. The gateway is the real process with a
journal and without an uplink; the two devices have processes of their own. Checked: every evidence change is
recorded once and with the right value before it, telemetry is complete, memory is flat, the journal verifies.
CPU seconds are the gateway's, with everything that it does.
"""

import argparse
import asyncio
import json
import shutil
import sqlite3
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import psutil
from generators import Generator, generators

from linewitness.base.clock import monotonic
from linewitness.demo.plant import Process
from linewitness.evidence.verify.stream import verify
from linewitness.journal.reader import JournalReader

LINE = """\
version: 1
line: {tenant: acme, plant: bench, line: line-1, gateway: gw-1, origin: acme.example/bench/line-1/1}
journal: {directory: journal, max_size: 32 GiB, telemetry_size: 4 GiB}
devices:
"""
#: What the last poll and the last delivery may take to arrive.
SETTLE_S = 3.0


def write_line(folder: Path, opcua: Generator, modbus: Generator, arguments: argparse.Namespace) -> None:
    """Write the YAML of the line, with a share of evidence among the points of both devices."""
    parts = [LINE]
    if arguments.opcua:
        evidence = int(arguments.opcua * arguments.evidence)
        parts.append(
            f"  - id: opcua\n    driver: opcua\n    endpoint: opc.tcp://127.0.0.1:{opcua.port}\n    points:\n"
        )
        parts += [
            f"      - {{id: p{n}, node: 'ns=2;s=p{n}', record: {_record(n, evidence)}}}\n"
            for n in range(arguments.opcua)
        ]
    if arguments.modbus:
        evidence = int(arguments.modbus * arguments.evidence)
        period_ms = int(1000 / arguments.modbus_hz)
        parts.append(
            f"  - id: modbus\n    driver: modbus\n    host: 127.0.0.1\n    port: {modbus.port}\n"
            f"    period_ms: {period_ms}\n    points:\n"
        )
        parts += [
            f"      - {{id: r{n}, address: {n}, type: uint16, record: {_record(n, evidence)}}}\n"
            for n in range(arguments.modbus)
        ]
    (folder / "line.yaml").write_text("".join(parts), encoding="utf-8")


def _record(number: int, evidence: int) -> str:
    return "change" if number < evidence else "telemetry"


@dataclass
class Sampled:
    """What was measured of the gateway's process while it ran."""

    cpu_s: float = 0.0
    elapsed_s: float = 0.0
    rss_mb: list[float] = field(default_factory=list)

    @property
    def third_mb(self) -> float:
        return self.rss_mb[len(self.rss_mb) // 3]


async def load(
    folder: Path, opcua: Generator, modbus: Generator, arguments: argparse.Namespace
) -> tuple[Sampled, dict[str, int], dict[str, int]]:
    """Run the gateway under load; return what was measured, and what the devices say they did."""
    gateway = Process("gateway", folder, "run", "line.yaml")
    await gateway.start()
    try:
        await _connected(folder, bool(arguments.opcua) + bool(arguments.modbus))
        process = psutil.Process(gateway.pid)
        sampled = Sampled()
        opcua.go(arguments.opcua_hz)
        modbus.go(1)
        begun, cpu = monotonic(), sum(process.cpu_times()[:2])
        while monotonic() - begun < arguments.seconds:
            await asyncio.sleep(1)
            sampled.rss_mb.append(process.memory_info().rss / 1024 / 1024)
            if arguments.progress and len(sampled.rss_mb) % 30 == 0:
                used = sum(process.cpu_times()[:2]) - cpu
                print(
                    f"  {len(sampled.rss_mb):4d} s: {sampled.rss_mb[-1]:.0f} MB, {used:.1f} CPU s", flush=True
                )
        did = opcua.stop(), modbus.stop()
        sampled.elapsed_s = monotonic() - begun
        await asyncio.sleep(SETTLE_S)
        sampled.cpu_s = sum(process.cpu_times()[:2]) - cpu
    finally:
        await gateway.stop()
    return sampled, *did


async def _connected(folder: Path, devices: int) -> None:
    async with asyncio.timeout(60):
        while (folder / "gateway.log").read_text(encoding="utf-8").count("device connected") < devices:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)
    await asyncio.sleep(1)


class Ledger:
    """Compares what the gateway has with what the devices did."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.points: dict[str, int] = {"evidence": 0, "opcua": 0, "modbus": 0}

    def fault(self, text: str) -> None:
        self.faults.append(text)

    def evidence(self, folder: Path, wanted: dict[str, list[str]]) -> None:
        """Every change once, in order, each with the value before it."""
        told: dict[str, list[str]] = defaultdict(list)
        for record in records(folder):
            if record["kind"] in ("source.gap", "device.lost"):
                self.fault(f"{record['kind']}: {record['reason']}")
            if record["kind"] != "parameter.changed" or "/" not in record["resource"]["id"]:
                continue
            name, change = record["resource"]["id"], record["changes"][0]
            before = told[name][-1] if told[name] else None
            if change["before"] != before:
                self.fault(f"{name}: before is {change['before']}, not {before}")
            told[name].append(change["after"])
            self.points["evidence"] += 1
        for name, values in wanted.items():
            if told[name] != values:
                self.fault(
                    f"{name}: {len(told[name])} changes recorded, {len(values)} made; {told[name][-3:]}"
                )

    def telemetry(self, folder: Path, wanted: dict[str, int]) -> None:
        """Every value of every point, one after the other; `wanted` is the last one of each."""
        last: dict[str, float] = {}
        connection = sqlite3.connect(folder / "journal" / "telemetry.sqlite")
        for device, payload in connection.execute("SELECT device, payload FROM block ORDER BY id"):
            block = orjson.loads(payload)
            for point, value in zip(block["points"], block["values"], strict=True):
                before = last.get(point)
                if before is not None and value - before not in (0, 1) and before != 0:
                    self.fault(f"{point}: {before} is followed by {value}")
                self.points[device] += 1
                last[point] = value
        connection.close()
        for point, value in wanted.items():
            if last.get(point) != value:
                self.fault(f"{point}: the last value is {last.get(point)}, not {value}")


def records(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the journal's records."""
    with JournalReader(folder / "journal") as reader:
        for _, data in reader.records():
            yield orjson.loads(data)


def check(folder: Path, ticks: int, reads: dict[str, int], arguments: argparse.Namespace) -> Ledger:
    """Compare evidence and telemetry with what the devices did."""
    ledger = Ledger()
    starts = sorted(int(first) for first in reads)
    count_of = {n: reads[str(max(s for s in starts if s <= n))] for n in range(arguments.modbus)}
    evidence = int(arguments.opcua * arguments.evidence)
    wanted = {f"opcua/p{n}": ["0", *(str(n + tick) for tick in range(1, ticks + 1))] for n in range(evidence)}
    last: dict[str, int] = {f"p{n}": n + ticks for n in range(evidence, arguments.opcua)}
    for n, count in count_of.items():
        if n < int(arguments.modbus * arguments.evidence):
            wanted[f"modbus/r{n}"] = [str(value) for value in range(count + 1)]
        else:
            last[f"r{n}"] = count
    ledger.evidence(folder, wanted)
    ledger.telemetry(folder, last)
    return ledger


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--opcua", type=int, default=2000, help="OPC UA points")
    parser.add_argument("--opcua-hz", type=float, default=1)
    parser.add_argument("--modbus", type=int, default=2000, help="Modbus registers")
    parser.add_argument("--modbus-hz", type=float, default=5)
    parser.add_argument("--evidence", type=float, default=0.1, help="share of the points that are evidence")
    parser.add_argument("--progress", action="store_true")
    parser.add_argument("--keep", type=Path, help="folder to work in, and to leave as it is")
    arguments = parser.parse_args()
    folder = arguments.keep or Path(tempfile.mkdtemp(prefix="plc-load-"))
    folder.mkdir(exist_ok=True)
    try:
        with generators(arguments.opcua, arguments.modbus) as (opcua, modbus):
            write_line(folder, opcua, modbus, arguments)
            sys.exit(asyncio.run(run(folder, opcua, modbus, arguments)))
    finally:
        if arguments.keep is None:
            shutil.rmtree(folder)


async def run(folder: Path, opcua: Generator, modbus: Generator, arguments: argparse.Namespace) -> int:
    """Load, check, report; return the exit code."""
    await Process("init", folder, "init", "line.yaml").run()
    sampled, ticked, reads = await load(folder, opcua, modbus, arguments)
    ledger = check(folder, ticked["ticks"], reads, arguments)
    with JournalReader(folder / "journal") as reader:
        verdict = verify(data for _, data in reader.records())
    total = sum(ledger.points.values())
    growth = sampled.rss_mb[-1] - sampled.third_mb
    report = {
        "seconds": round(sampled.elapsed_s),
        "points": ledger.points,
        "opcua_ticks": ticked["ticks"],
        "modbus_polls": sorted(set(reads.values())),
        "cpu_s": round(sampled.cpu_s, 1),
        "cpu_share": round(sampled.cpu_s / sampled.elapsed_s, 3),
        "cpu_s_per_100k": round(sampled.cpu_s / max(total, 1) * 100_000, 2),
        "rss_mb_at_a_third": round(sampled.third_mb, 1),
        "rss_mb_at_the_end": round(sampled.rss_mb[-1], 1),
        "rss_mb_most": round(max(sampled.rss_mb), 1),
        "verdict": verdict.text,
    }
    print(json.dumps(report, indent=2))
    if growth > max(8.0, sampled.third_mb * 0.05):
        ledger.fault(f"memory grew by {growth:.1f} MB between a third of the time and the end")
    for fault in ledger.faults[:20]:
        print("FAULT", fault)
    print(f"{len(ledger.faults)} faults")
    return bool(ledger.faults)


if __name__ == "__main__":
    main()
