"""A tester over OPC UA, an oven and a sensor over Modbus: they hold a unit as tightenings do."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from linewitness.evidence.package.report import build_report
from linewitness.stations.options import StationOptions
from linewitness_simulators.oven.server import OvenServerOptions, RunningOvens
from linewitness_simulators.oven.server import serve as serve_oven
from linewitness_simulators.press.server import PressSimulation, RunningPress
from linewitness_simulators.press.server import serve as serve_press
from linewitness_simulators.scanner.server import RunningScanner, ScannerSimulation
from linewitness_simulators.scanner.server import serve as serve_reader
from support.journals import members_of
from support.plc_line import PlcLine, plc_line
from support.report_texts import parsed
from support.waiting import until

#: What the simulators make with their seeds: parts and cycles that are good by themselves.
CYCLES = range(1, 9)


@dataclass(frozen=True)
class MeasuringLine:
    """The station with its devices. `weak` and `strong` are cycles of the press, `soaked` one of the oven."""

    plcs: PlcLine
    reader: RunningScanner
    press: RunningPress
    oven: RunningOvens
    weak: int
    strong: int
    soaked: int

    @property
    def is_held(self) -> bool:
        """Whether the PLC was told to hold what stands there."""
        return self.oven.oven.inputs.fan

    def done(self) -> dict[str, str]:
        """Return the requirements that are done on record, and the records that met them."""
        found = {}
        for record in self.plcs.records("requirement.changed"):
            said = {change["field"]: change["after"] for change in record["changes"]}
            if said["state"] == "done":
                found[record["resource"]["id"].rpartition("/")[2]] = said.get("met_by", "")
        return found

    async def results(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many results, and return them in order."""
        await until(lambda: len(self.plcs.records("measurement.result")) >= count, f"{count} results")
        return self.plcs.records("measurement.result")

    async def scan(self, serial: str) -> None:
        """Read a unit, and wait until the oven was asked again: what it finds then is of this unit."""
        known = len(self.plcs.records("unit.entered"))
        await self.reader.scan(serial)
        await until(lambda: len(self.plcs.records("unit.entered")) > known, "the unit")
        before = self.oven.served
        await until(lambda: self.oven.served > before + 10, "some polls")

    async def press_one(self, serial: str, cycle: int, count: int) -> dict[str, Any]:
        """Let the press make a part, and return the record of it, the `count`-th result."""
        await self.press.set("Serial", serial)
        await self.press.finish(cycle)
        return (await self.results(count))[-1]


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[MeasuringLine]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        reader = await enter(serve_reader(ScannerSimulation()))
        press = await enter(serve_press(PressSimulation(tick_s=0)))
        oven = await enter(serve_oven(OvenServerOptions(cycle_s=1e9)))
        forces = {cycle: press.part(cycle).peak_kn for cycle in CYCLES if press.part(cycle).ok}
        baked = {cycle: oven.oven.result(cycle) for cycle in CYCLES if cycle > 1}
        soaks = {cycle: result.soak_s for cycle, result in baked.items() if result.ok}
        weak = min(forces)
        strong = next(cycle for cycle in forces if forces[cycle] > forces[weak])
        soaked = max(soaks, key=lambda cycle: soaks[cycle])
        oven.oven.inputs.set_points[0] = 0
        plcs = await enter(
            plc_line(
                tmp_path / "journal",
                reader_of(reader),
                press_of(press),
                cabinet(oven),
                stations=[station(force=forces[strong], soak_s=soaks[soaked])],
            )
        )
        await until(lambda: len(plcs.records("device.back")) == 3, "three devices")
        yield MeasuringLine(plcs, reader, press, oven, weak, strong, soaked)


def reader_of(reader: RunningScanner) -> dict[str, Any]:
    return {"id": "reader", "driver": "scanner", "host": "127.0.0.1", "port": reader.port, "settle_ms": 0}


def press_of(press: RunningPress) -> dict[str, Any]:
    """Return a tester that names the unit in its results."""
    result = {
        "fields": [{"id": "peak", "node": "ns=2;s=Press.PeakForce", "unit": "kN"}],
        "identifier": "ns=2;s=Press.Serial",
        "ok": "ns=2;s=Press.PartOk",
    }
    point = {"id": "pressing", "node": "ns=2;s=Press.CycleCount", "record": "result", "result": result}
    return {
        "id": "tester",
        "driver": "opcua",
        "endpoint": press.url,
        "points": [{**point, "sampling_ms": 10}],
        "publishing_ms": 50,
        "timeout_s": 10,
        "silence_s": 2,
    }


def cabinet(oven: RunningOvens) -> dict[str, Any]:
    """Return an oven that does not know the unit, with a sensor, and the stop of the station."""
    return {
        "id": "oven",
        "driver": "modbus",
        "host": "127.0.0.1",
        "port": oven.port,
        "period_ms": 20,
        "points": [
            {"id": "hold", "record": "change", "table": "coil", "address": 1},
            {"id": "humidity", "record": "change", "address": 1, "type": "int16"},
        ],
        "results": [
            {
                "id": "cycle",
                "pattern": "counter",
                "counter": {"address": 100},
                "fields": [
                    {"id": "soak", "address": 120, "type": "uint16", "unit": "s"},
                    {"id": "good", "address": 121, "type": "uint16"},
                    {"id": "number", "address": 122, "type": "uint16"},
                ],
                "number_field": "number",
                "ok_field": "good",
            }
        ],
    }


def station(*, force: float, soak_s: int) -> StationOptions:
    return StationOptions.model_validate(
        {
            "id": "testing",
            "devices": ["reader", "tester", "oven"],
            "unit": {"scanner": "reader", "pattern": "SN[0-9]{4}"},
            "gate": {
                "device": "oven",
                "point": "hold",
                "closed": "true",
                "opened": "false",
                "hold": ["missing"],
            },
            "requires": [
                {
                    "id": "pressed",
                    "kind": "measurement",
                    "device": "tester",
                    "count": 1,
                    "limits": {"peak": {"low": str(force)}},
                },
                {
                    "id": "baked",
                    "kind": "measurement",
                    "device": "oven",
                    "count": 1,
                    "limits": {"soak": {"low": str(soak_s)}},
                    "after": ["pressed"],
                },
                {
                    "id": "dry",
                    "kind": "condition",
                    "point": "oven/humidity",
                    "low": 100,
                    "high": 150,
                    "for_s": 0.2,
                },
            ],
        }
    )


async def test_press_oven_and_sensor_hold_a_unit_until_each_is_within_our_limits(
    line: MeasuringLine,
) -> None:
    await line.scan("SN0001")
    await until(lambda: line.is_held, "the stop")
    weak = await line.press_one("SN0001", line.weak, 1)
    assert weak["resource"]["parent"]["id"] == "SN0001"
    line.oven.oven.complete_cycles(1)
    await line.results(2)
    assert line.done() == {}, "the tester's part is good by itself, and too weak for us"
    strong = await line.press_one("SN0001", line.strong, 3)
    await until(lambda: line.done() == {"pressed": strong["event_id"]}, line.done)
    baked: dict[str, Any] = {}
    for cycle in range(2, line.soaked + 1):
        assert "baked" not in line.done()
        line.oven.oven.complete_cycles(1)
        baked = (await line.results(cycle + 2))[-1]
    await until(lambda: line.done().get("baked") == baked["event_id"], line.done)
    assert line.is_held, "nobody knows that it is dry"
    line.oven.oven.inputs.set_points[0] = 120
    await until(lambda: "dry" in line.done(), line.done)
    await until(lambda: not line.is_held, "the way on")
    await line.scan("SN0002")
    await until(lambda: line.is_held, "the stop for the next one")
    [left] = line.plcs.records("unit.left")
    said = {change["field"]: change["after"] for change in left["changes"]}
    assert said["complete"] is True
    assert [said[name] for name in ("pressed", "baked", "dry")] == ["done"] * 3
    assert (said["pressed.met_by"], said["baked.met_by"]) == (strong["event_id"], baked["event_id"])
    html = build_report(members_of(line.plcs.folder), title="SN0001", created_at="2026-03-02T00:00:00.000Z")
    page = parsed(html.decode().partition("Device history record: checklist</h2>")[2]).text
    assert "SN0001" in page
    assert all(name in page for name in ("pressed", "baked", "dry"))
