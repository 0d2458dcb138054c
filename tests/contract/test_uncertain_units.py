"""A result whose unit is uncertain: operators see it on every door, for an hour, and it is logged once."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from linewitness.base.clock import monotonic
from linewitness.gateway.capture import Capture
from linewitness.gateway.intake.arrival import Standstills
from linewitness.stations.options import StationOptions
from linewitness.stations.shared_state import SharedState
from linewitness.stations.station import Station
from linewitness.status.problems import device as device_problems
from linewitness.status.problems.problem import SHOWN_S
from linewitness.status.running_file import FILE_NAME, write_running
from support.clocks import ManualClock
from support.devices import ScriptedDriver
from support.lines import call
from support.observations import START, code, tightening
from support.status_pages import Looked, looked_at
from support.waiting import until

CONFLICT = "the result says 'SN0002', the station holds 'SN0001'"

UNKNOWN = "wrench-10: of 2 results since the start it is not known to which unit they belong"
HINT = "read the unit&#39;s code before the work begins"


class Bolting:
    """A station with a scanner and a wrench, and the line that shows it."""

    def __init__(self, line: Looked, clock: ManualClock) -> None:
        self.line, self.driver = line, ScriptedDriver("wrench-10")
        settings: dict[str, Any] = {"unit": {"scanner": "scan-10"}, "devices": ("scan-10", "wrench-10")}
        options = StationOptions(id="st-10", **settings)
        self.station = Station(options, {}, shared=SharedState(), state={}, now=START)
        self.capture = Capture(
            self.driver,
            self.station,
            journal=line.journal,
            telemetry=line.buffer,
            clock=clock,
            health=line.health,
            standstills=Standstills(clock),
        )

    async def tighten(self, number: int, identifier: str | None) -> None:
        self.driver.says.put_nowait(tightening(number, identifier=identifier))
        await until(lambda: len(self.driver.confirmed) == number)

    async def problems(self) -> dict[str, Any]:
        return {one["code"]: one for one in json.loads((await self.line.get("/healthz"))[2])["problems"]}

    async def metric(self, name: str) -> float:
        lines = (await self.line.get("/metrics"))[2].splitlines()
        begin = f'{name}{{device="wrench-10"}} '
        return float(next(one.removeprefix(begin) for one in lines if one.startswith(begin)))


async def status(directory: Path, line: Looked) -> str:
    """Return what `linewitness status` prints while the line runs."""
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(write_running(directory, line.overview.running_state))
        await until((directory / FILE_NAME).exists)
        said = str((await asyncio.to_thread(call, "status", directory)).output)
        writing.cancel()
    return said


@asynccontextmanager
async def bolting(directory: Path, clock: ManualClock) -> AsyncIterator[Bolting]:
    async with looked_at(directory, clock) as line:
        bench = Bolting(line, clock)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(bench.capture.run())
            yield bench
            task.cancel()


async def test_a_result_that_names_another_unit_than_the_station_is_an_alarm(
    tmp_path: Path, clock: ManualClock
) -> None:
    directory = tmp_path / "journal"
    with capture_logs() as logs:
        async with bolting(directory, clock) as bench:
            bench.station.interpret(code("SN0001"))
            await bench.tighten(1, "SN0002")
            found = (await bench.problems())["binding-conflict"]
            assert (found["subject"], found["alarm"]) == ("wrench-10", True)
            assert CONFLICT in found["what"]
            assert (await bench.line.get("/healthz"))[0] == 503
            assert await bench.metric("linewitness_device_binding_conflicts_total") == 1
            page = (await bench.line.get("/"))[2]
            assert "stand under no unit" in page
            assert "docs/stations.md" in page
            await bench.tighten(2, "SN0002")
            assert "2 results" in (await bench.problems())["binding-conflict"]["what"]
            said = await status(directory, bench.line)
            assert "ALARM      wrench-10: 2 results since the start stand under no unit" in said
    assert [one["event"] for one in logs].count("a result contradicts the unit at the station") == 1


async def test_a_result_whose_unit_is_not_known_is_a_warning_for_an_hour(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "journal"
    with capture_logs() as logs:
        async with bolting(directory, clock) as bench:
            for number in (1, 2):
                await bench.tighten(number, None)
            found = (await bench.problems())["unit-unknown"]
            assert (found["subject"], found["alarm"]) == ("wrench-10", False)
            assert "2 results" in found["what"]
            assert (await bench.line.get("/healthz"))[0] == 200
            assert await bench.metric("linewitness_results_without_unit_total") == 2
            page = (await bench.line.get("/"))[2]
            assert UNKNOWN in page
            assert HINT in page
            assert "2 results without a unit" in page
            assert f"warning    {UNKNOWN}" in await status(directory, bench.line)
            later = monotonic() + SHOWN_S
            monkeypatch.setattr(device_problems, "monotonic", lambda: later)
            assert "unit-unknown" not in await bench.problems()
            assert UNKNOWN not in (await bench.line.get("/"))[2]
            assert await bench.metric("linewitness_results_without_unit_total") == 2, "it counts on"
            assert UNKNOWN not in await status(directory, bench.line)
    assert [one["event"] for one in logs].count("the unit of a result is not known") == 1


async def test_a_result_that_fits_its_station_is_no_problem(tmp_path: Path, clock: ManualClock) -> None:
    async with bolting(tmp_path / "journal", clock) as bench:
        bench.station.interpret(code("SN0001"))
        await bench.tighten(1, "SN0001")
        assert await bench.problems() == {}
        assert await bench.metric("linewitness_device_binding_conflicts_total") == 0
