"""A line with a reader, a tool and a gate that makes six units, for the packages of one of them."""

import asyncio
from pathlib import Path
from typing import Any

from linewitness.devices.scanner.options import ScannerOptions
from linewitness.gateway.intake.arrival import PAUSE_NS
from linewitness.stations.options import GateOptions, UnitOptions
from linewitness_simulators.scanner.server import RunningScanner, ScannerSimulation
from linewitness_simulators.scanner.server import serve as serve_scanner
from linewitness_simulators.torque import serve
from linewitness_simulators.torque.server import TorqueSimulator
from support.torque_line import Line, fields_of, line, ready, station, wrench
from support.waiting import until

UNITS = [f"SN{7 * number:04d}" for number in range(1, 7)]
#: The unit whose package somebody is given: it has a predecessor and successors.
OURS = UNITS[2]


async def make_units(folder: Path) -> None:
    """Let a line with a reader, a tool and a gate make the units."""
    place = station(
        "reader-10",
        "wrench-10",
        unit=UnitOptions(scanner="reader-10", pattern=r"SN\d{4}"),
        gate=GateOptions(device="wrench-10", hold=("not_ok",)),
    )
    async with serve() as simulator, serve_scanner(ScannerSimulation()) as reader:
        options = ScannerOptions(
            id="reader-10", driver="scanner", host="127.0.0.1", port=reader.port, settle_ms=0
        )
        async with line(folder, [wrench(simulator), options], [place]) as running:
            await ready(simulator)
            await until(lambda: reader.clients > 0)
            for made, unit in enumerate(UNITS):
                await make_unit(unit, made, running, reader, simulator)


async def make_unit(
    unit: str, made: int, running: Line, reader: RunningScanner, simulator: TorqueSimulator
) -> None:
    """Scan a unit after `made` others, and tighten it twice; the first result arrives damaged."""
    await reader.scan(unit)
    await until(lambda: len(running.records("unit.entered")) > made, unit)
    # What a tool sends soon after a confirmation may be of the unit before.
    await asyncio.sleep(PAUSE_NS / 1e9)
    simulator.controller.enable_tool(True)
    simulator.faults.corrupt_results = 1
    simulator.tighten(unit)
    await until(lambda: len(unread(running.records())) > made, f"the damaged result of {unit}")
    # The gate has locked the tool, and does it again. The next id shows that one is missing.
    await until(lambda: not simulator.controller.state.tool_enabled, "the lock")
    simulator.controller.enable_tool(True)
    simulator.tighten(unit, ok=False)
    await until(lambda: {2 * made + 1, 2 * made + 2} <= set(running.ids()), f"both results of {unit}")


def unread(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records of results that could not be decoded."""
    return [record for record in records if fields_of(record).get("decoded") is False]
