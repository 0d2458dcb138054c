"""A point that its device refuses is shown for as long as it lasts, with the device's own word."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from linewitness.base.clock import SystemClock
from linewitness.devices.base import Driver
from linewitness.devices.modbus.driver import ModbusDriver
from linewitness.devices.modbus.wire.bus import Buses
from linewitness.devices.opcua.driver import OpcUaDriver
from linewitness.gateway.capture import Capture
from linewitness.gateway.intake import refusals
from linewitness.gateway.intake.arrival import Standstills
from linewitness.stations.shared_state import SharedState
from linewitness.stations.station import Station
from linewitness_simulators.oven import server as oven_server
from linewitness_simulators.press.server import PressSimulation, serve
from support.clocks import ManualClock
from support.journals import members_of
from support.opcua_rig import options, point
from support.oven_rig import options_for
from support.status_pages import Looked, looked_at
from support.waiting import until

SET_POINT = {"id": "set-point", "record": "change", "address": 1, "type": "int16", "scale": "0.1"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "SHOW_S", 0.02)
    monkeypatch.setattr("linewitness.devices.opcua.session.RETRY_REFUSED_S", 0.1)
    monkeypatch.setattr("linewitness.devices.modbus.polling.rounds.MISSING_RETRY_S", 0.1)


@asynccontextmanager
async def captured(line: Looked, driver: Driver) -> AsyncIterator[None]:
    clock = SystemClock()
    capture = Capture(
        driver,
        Station(None, {}, shared=SharedState(), state={}, now=clock.stamp()),
        journal=line.journal,
        telemetry=line.buffer,
        clock=clock,
        health=line.health,
        standstills=Standstills(clock),
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(capture.run())
        yield
        task.cancel()


async def problem(line: Looked) -> dict[str, Any] | None:
    """Return what /healthz says of refused points."""
    _, _, body = await line.get("/healthz")
    return next((one for one in json.loads(body)["problems"] if one["code"] == "points-refused"), None)


async def shows(line: Looked, holds: Callable[[dict[str, Any] | None], bool]) -> dict[str, Any] | None:
    async with asyncio.timeout(20):
        while not holds(found := await problem(line)):  # noqa: ASYNC110 (nothing tells it)
            await asyncio.sleep(0.02)
    return found


async def metric(line: Looked, device: str) -> str:
    _, _, body = await line.get("/metrics")
    begin = f'linewitness_device_points_refused{{device="{device}"}} '
    return next(one.removeprefix(begin) for one in body.splitlines() if one.startswith(begin))


async def test_a_node_that_the_server_does_not_have(tmp_path: Path, clock: ManualClock) -> None:
    async with serve(PressSimulation(tick_s=0, missing=frozenset({"Program"}))) as press:
        settings = options(press, point("Program"), point("Holding"))
        driver = OpcUaDriver(settings, clock=SystemClock())
        async with looked_at(tmp_path / "journal", clock) as line:
            with capture_logs() as logs:
                async with captured(line, driver):
                    found = await shows(line, bool)
                    assert found is not None
                    assert found == {
                        "code": "points-refused",
                        "subject": "press-4",
                        "alarm": True,
                        "what": "press-4 refuses a point or feature: "
                        "program (ns=2;s=Press.Program: BadNodeIdUnknown)",
                        "hint": found["hint"],
                    }
                    assert "correct the YAML" in found["hint"]
                    assert await metric(line, "press-4") == "1.0"
                    page = (await line.get("/"))[2]
                    assert "BadNodeIdUnknown" in page
                    assert "correct the YAML" in page
                    await press.reveal("Program")
                    await shows(line, lambda one: one is None)
                    assert await metric(line, "press-4") == "0.0"
            said = [one for one in logs if "points" in one["event"]]
            assert [one["event"] for one in said] == [
                "the device refuses points",
                "the device gives points again",
            ]
            assert "BadNodeIdUnknown" in said[0]["points"]


async def test_fields_of_a_result_that_the_server_does_not_have(tmp_path: Path, clock: ManualClock) -> None:
    fields = [
        {"id": "peak", "node": "ns=2;s=Press.Nowhere"},
        {"id": "end", "node": "ns=2;s=Press.EndPosition"},
    ]
    result = {"fields": fields, "identifier": "ns=2;s=Press.NoSerial", "ok": "ns=2;s=Press.Program"}
    async with serve(PressSimulation(tick_s=0, missing=frozenset({"Program"}))) as press:
        settings = options(press, point("CycleCount", id="pressing", record="result", result=result))
        driver = OpcUaDriver(settings, clock=SystemClock())
        async with looked_at(tmp_path / "journal", clock) as line, captured(line, driver):
            found = await shows(line, bool)  # before there is a result
            assert found is not None
            assert found["what"] == (
                "press-4 refuses 3 points or features: "
                "pressing.peak (ns=2;s=Press.Nowhere: BadNodeIdUnknown); "
                "pressing.identifier (ns=2;s=Press.NoSerial: BadNodeIdUnknown); "
                "pressing.ok (ns=2;s=Press.Program: BadNodeIdUnknown)"
            )
            await press.finish(1)
            await until(lambda: results(tmp_path / "journal"))
            (record,) = results(tmp_path / "journal")
            statuses = {change["field"]: change["after"] for change in record["changes"]}
            assert statuses["identifier.status"] == statuses["ok.status"] == "BadNodeIdUnknown"
            await press.reveal("Program")
            await press.finish(2)
            await shows(line, lambda one: one is not None and "2 points" in one["what"])


def results(journal: Path) -> list[dict[str, Any]]:
    return [record for record in members_of(journal) if record["kind"] == "measurement.result"]


@pytest.mark.parametrize("mode", ["subscribe", "poll"])
@pytest.mark.parametrize("record", ["change", "telemetry"])
async def test_a_node_that_the_server_does_not_let_us_read_any_more(
    mode: str, record: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with serve(PressSimulation(tick_s=0)) as press:
        settings = options(press, point("Holding", record=record), mode=mode)
        driver = OpcUaDriver(settings, clock=SystemClock())
        async with looked_at(tmp_path / "journal", clock) as line, captured(line, driver):
            await until(lambda: line.health.devices["press-4"].state == "up")
            assert await problem(line) is None
            await press.set("Holding", 1.0, status=0x801F_0000)
            found = await shows(line, bool)
            assert found is not None
            assert "holding (" in found["what"]
            assert "BadUserAccessDenied" in found["what"]
            await press.set("Holding", 2.0)
            await shows(line, lambda one: one is None)


async def test_a_register_that_the_device_does_not_have(tmp_path: Path, clock: ManualClock) -> None:
    nothing = {"id": "nothing", "record": "telemetry", "address": 122, "type": "uint16"}
    refused = "nothing (holding 122: the device has no such register (Modbus exception 2))"
    async with oven_server.serve(oven_server.OvenServerOptions(cycle_s=1e9)) as oven:
        oven.faults.illegal.append(("holding", 122, 122))
        settings = options_for(oven, SET_POINT, nothing, id="press-4", period_ms=50)
        driver = ModbusDriver(settings, clock=SystemClock(), buses=Buses())
        async with looked_at(tmp_path / "journal", clock) as line:
            with capture_logs() as logs:
                async with captured(line, driver):
                    found = await shows(line, bool)
                    assert found is not None
                    assert found["what"] == f"press-4 refuses a point or feature: {refused}"
                    assert "correct the YAML" in found["hint"]
                    assert await metric(line, "press-4") == "1.0"
                    page = (await line.get("/"))[2]
                    assert refused in page
                    assert "correct the YAML" in page
                    await oven.stop()
                    await until(lambda: line.health.devices["press-4"].state != "up", timeout_s=30)
                    assert await problem(line), "it stays while the device is away"
                    await oven.start()
                    await until(lambda: line.health.devices["press-4"].state == "up", timeout_s=30)
                    served = oven.served
                    await until(lambda: oven.served > served + 5)  # asked again on the new connection
                    assert await problem(line)
                    oven.faults.illegal.clear()
                    await shows(line, lambda one: one is None)
                    assert await metric(line, "press-4") == "0.0"
            said = [(one["event"], one["points"]) for one in logs if "points" in one["event"]]
            assert [event for event, _ in said] == [
                "the device refuses points",
                "the device gives points again",
            ]
            assert all(refused in points for _, points in said)


async def test_a_register_that_the_device_does_not_give_for_a_while(
    tmp_path: Path, clock: ManualClock
) -> None:
    nothing = {"id": "nothing", "record": "telemetry", "address": 7, "type": "uint16"}
    async with oven_server.serve(oven_server.OvenServerOptions()) as oven:
        settings = options_for(oven, SET_POINT, nothing, id="press-4", period_ms=50)
        driver = ModbusDriver(settings, clock=SystemClock(), buses=Buses())
        async with looked_at(tmp_path / "journal", clock) as line, captured(line, driver):
            found = await shows(line, bool)
            assert found is not None
            assert found["what"] == (
                "press-4 refuses a point or feature: nothing"
                " (holding 7: the device has no such register (Modbus exception 2))"
            )
            oven.faults.exceptions[1] = 4
            found = await shows(line, lambda one: one is not None and "2 points" in one["what"])
            assert found is not None
            assert "set-point (holding 1: " in found["what"]
            del oven.faults.exceptions[1]
            await shows(line, lambda one: one is not None and "a point or feature: nothing" in one["what"])


async def test_a_clock_that_the_device_does_not_have(tmp_path: Path, clock: ManualClock) -> None:
    shown = {"address": 100, "form": "unix", "every_s": 86_400}
    async with oven_server.serve(oven_server.OvenServerOptions(cycle_s=1e9)) as oven:
        oven.faults.illegal.append(("holding", 100, 101))
        settings = options_for(oven, SET_POINT, id="press-4", period_ms=50, clock=shown)
        driver = ModbusDriver(settings, clock=SystemClock(), buses=Buses())
        async with looked_at(tmp_path / "journal", clock) as line:
            with capture_logs() as logs:
                async with captured(line, driver):
                    found = await shows(line, bool)
                    assert found is not None
                    assert found["what"] == (
                        "press-4 refuses a point or feature: the clock"
                        " (holding 100: the device has no such register (Modbus exception 2))"
                    )
                    assert "correct the YAML" in found["hint"]
                    assert await metric(line, "press-4") == "1.0"
                    assert "the clock (holding 100: " in (await line.get("/"))[2]
                    await until(lambda: told(tmp_path / "journal", "cannot be read"))
                    oven.faults.illegal.clear()
                    await shows(line, lambda one: one is None)  # not only when a day has passed
                    assert await metric(line, "press-4") == "0.0"
            said = [(one["event"], one["points"]) for one in logs if "points" in one["event"]]
            assert [event for event, _ in said] == [
                "the device refuses points",
                "the device gives points again",
            ]
            assert all("the clock (holding 100: " in points for _, points in said)


def told(journal: Path, words: str) -> list[dict[str, Any]]:
    """Return the records of the device's clock that say this."""
    return [
        record
        for record in members_of(journal)
        if record["kind"] == "clock.status"
        and record["resource"]["type"] == "device"
        and words in record["reason"]
    ]


RESULT = {
    "id": "cycle",
    "pattern": "counter",
    "counter": {"address": 100},
    "number_field": "number",
    "fields": [{"id": "number", "address": 122, "type": "uint16"}],
}


@pytest.mark.parametrize("register", [100, 122], ids=["the number of the newest", "a value"])
async def test_results_that_the_device_does_not_give(
    register: int, tmp_path: Path, clock: ManualClock
) -> None:
    async with oven_server.serve(oven_server.OvenServerOptions(cycle_s=1e9)) as oven:
        settings = options_for(oven, SET_POINT, id="press-4", period_ms=50, results=[RESULT])
        driver = ModbusDriver(settings, clock=SystemClock(), buses=Buses())
        async with looked_at(tmp_path / "journal", clock) as line, captured(line, driver):
            await until(lambda: line.health.devices["press-4"].state == "up")
            oven.faults.illegal.append(("holding", register, register))
            oven.oven.complete_cycles(1)
            found = await shows(line, bool)
            assert found is not None
            assert found["what"] == (
                "press-4 refuses a point or feature: "
                "cycle (the device has no such register (Modbus exception 2))"
            )
            oven.faults.illegal.clear()
            oven.oven.complete_cycles(1)
            await shows(line, lambda one: one is None)


async def test_it_stays_while_the_device_is_away_and_is_logged_once(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with serve(PressSimulation(tick_s=0)) as press:
        settings = options(press, point("Nowhere"), point("Holding"))
        driver = OpcUaDriver(settings, clock=SystemClock())
        async with looked_at(tmp_path / "journal", clock) as line, captured(line, driver):
            with capture_logs() as logs:
                await shows(line, bool)
                await press.switch_off()
                await until(lambda: line.health.devices["press-4"].state != "up", timeout_s=30)
                assert await problem(line)
                await press.switch_on()
                await until(lambda: line.health.devices["press-4"].state == "up", timeout_s=30)
                await asyncio.sleep(0.2)
                assert await problem(line)
            assert [one["event"] for one in logs].count("the device refuses points") == 1
