"""A scale that is asked when a unit is scanned: the weight belongs to that unit, and verifies."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.clock import SystemClock
from linewitness.devices.mt_sics.driver import MtSicsDriver
from linewitness.devices.mt_sics.options import MtSicsOptions
from linewitness.devices.scanner.driver import ScannerDriver
from linewitness.devices.scanner.options import ScannerOptions
from linewitness.gateway.fleet import Fleet
from linewitness.gateway.intake.arrival import Standstills
from linewitness.journal.reader import JournalReader
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.stations.checklist.options import ResultRequirement
from linewitness.stations.options import StationOptions, UnitOptions
from linewitness_simulators.scale.device import ScaleDevice
from linewitness_simulators.scale.server import ScaleSimulation
from linewitness_simulators.scale.server import serve as serve_scale
from linewitness_simulators.scanner.server import ScannerSimulation
from linewitness_simulators.scanner.server import serve as serve_scanner
from support.devices import Health
from support.journals import create, running, verdict_of
from support.waiting import until

STATION = StationOptions(
    id="packing",
    devices=("reader", "scale"),
    unit=UnitOptions(scanner="reader", pattern=r"SN\d{4}"),
    ask=("scale",),
    requires=(ResultRequirement(device="scale", kind="measurement", count=1),),
)


def records(directory: Path, kind: Any) -> Any:
    with JournalReader(directory) as reader:
        found = [json.loads(data) for _, data in reader.records()]
    return [record for record in found if record["kind"] == kind]


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Any]:
    clock, directory = SystemClock(), tmp_path / "journal"
    create(directory, clock)
    telemetry = TelemetryBuffer(directory, max_bytes=1_000_000)
    async with AsyncExitStack() as stack:
        scale = await stack.enter_async_context(
            serve_scale(ScaleSimulation(device=ScaleDevice(serial="0123456789", settle_s=0.05, seed=1)))
        )
        reader = await stack.enter_async_context(serve_scanner(ScannerSimulation()))
        journal = await stack.enter_async_context(running(directory, clock))
        group = await stack.enter_async_context(asyncio.TaskGroup())
        drivers = {"scanner": ScannerDriver, "mt_sics": MtSicsDriver}
        fleet = Fleet(
            group,
            build=lambda options: drivers[options.driver](options, clock=clock),
            journal=journal,
            telemetry=telemetry,
            clock=clock,
            health=Health(),
            standstills=Standstills(clock),
        )
        devices = [
            ScannerOptions(id="reader", driver="scanner", host="127.0.0.1", port=reader.port, settle_ms=0),
            MtSicsOptions(
                id="scale",
                driver="mt_sics",
                host="127.0.0.1",
                port=scale.port,
                trigger="request",
                unit="g",
                low=90,
                high=110,
            ),
        ]
        await fleet.apply(devices, [STATION])
        await until(lambda: len(records(directory, "device.back")) == 2)
        yield directory, reader, scale
        await fleet.stop()
    telemetry.close()


async def test_the_weight_that_was_asked_for_belongs_to_the_scanned_unit(line: Any) -> None:
    directory, reader, scale = line
    for serial, grams in (("SN0001", "100.25"), ("SN0002", "120.50")):
        scale.load(Decimal(grams))
        before = len(records(directory, "measurement.result"))
        await reader.scan(serial)
        await until(lambda: len(records(directory, "measurement.result")) > before)  # noqa: B023 (awaited at once)
    first, second = records(directory, "measurement.result")
    assert first["resource"]["parent"] == {"id": "SN0001", "type": "unit"}
    assert (first["changes"][0]["after"], first["changes"][0]["status"]) == ("100.25", "ok")
    assert second["resource"]["parent"] == {"id": "SN0002", "type": "unit"}
    assert second["changes"][0]["status"] == "high"
    [left] = records(directory, "unit.left")
    assert {change["field"]: change["after"] for change in left["changes"]}["scale.measurement.done"] == 1
    assert verdict_of(directory).status == "INTACT"
