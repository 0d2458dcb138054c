"""Devices that answer more slowly than they are asked: what is not read is counted and on record."""

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from linewitness.devices import polling
from linewitness.devices.opcua import polled
from linewitness.devices.opcua.connection import server as opcua_server
from linewitness.gateway.intake import polls
from linewitness.status.health import Health
from linewitness_simulators.oven.server import OvenServerOptions, serve
from linewitness_simulators.press.server import PressSimulation
from linewitness_simulators.press.server import serve as serve_press
from linewitness_simulators.scale import ScaleSimulation
from linewitness_simulators.scale import serve as serve_scale
from support.plc_line import plc_line
from support.slow_cable import slow_cable
from support.waiting import until

PERIOD_MS = 100
#: What a request takes behind the slow cable.
ROUND_TRIP_S = 0.45


def device(port: int, *points: dict[str, Any]) -> dict[str, Any]:
    place = {"host": "127.0.0.1", "port": port}
    return {
        "id": "oven", "driver": "modbus", **place, "period_ms": PERIOD_MS, "points": list(points), "gap": 0
    }  # fmt: skip


def press(port: int, **roles: str) -> dict[str, Any]:
    """Return an OPC UA device that is polled; each node of the simulated press is a point of this role."""
    points = [
        {"id": name.lower(), "node": f"ns=2;s=Press.{name}", "record": role} for name, role in roles.items()
    ]
    return {
        "id": "press",
        "driver": "opcua",
        "endpoint": f"opc.tcp://127.0.0.1:{port}",
        "mode": "poll",
        "poll_ms": PERIOD_MS,
        "points": points,
    }


def scale(port: int) -> dict[str, Any]:
    place = {"host": "127.0.0.1", "port": port}
    return {"id": "scale", "driver": "mt_sics", **place, "trigger": "interval", "interval_s": 0.5}


def point(name: str, address: int, record: str) -> dict[str, Any]:
    return {"id": name, "table": "input", "address": address, "type": "int16", "record": record}


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Health:
    """Short windows, and where the figures are shown."""
    monkeypatch.setattr(polling, "WINDOW_S", 1.0)
    monkeypatch.setattr(polls, "SHOW_S", 0.05)
    return Health()


def said_of(shown: Health, hindrance: str) -> str:
    """Return what to do about an overload of the oven with this cause, "" where there is none."""
    overload = shown.devices["oven"].polls.overload if "oven" in shown.devices else None
    return overload.hint if overload is not None and overload.hindrance == hindrance else ""


async def test_polls_that_were_due_and_not_made_are_counted_and_on_record(
    tmp_path: Path, shown: Health, capfd: pytest.CaptureFixture[str]
) -> None:
    async with serve(OvenServerOptions()) as oven:
        oven.faults.delay_s = 0.45
        async with plc_line(
            tmp_path / "j", device(oven.port, point("zone", 0, "change")), health=shown
        ) as line:
            await until(lambda: any(source == "poll" for source, *_ in line.gaps()), "a gap")
            [gap, *_] = line.records("source.gap")
            fields = {change["field"]: change["after"] for change in gap["changes"]}
            assert fields["count"] >= 3
            assert "the device takes too long to answer" in gap["reason"]
            await until(lambda: shown.devices["oven"].polls.overload is not None, "the overload")
            assert shown.devices["oven"].polls.missed >= fields["count"]
            oven.faults.delay_s = 0.0
            await until(lambda: shown.devices["oven"].polls.overload is None, "the end of it")
    said = capfd.readouterr().out
    assert said.count("polls are not made in time") == 1
    assert said.count("polls are made in time again") == 1


async def test_telemetry_alone_is_counted_and_makes_no_gap(tmp_path: Path, shown: Health) -> None:
    async with serve(OvenServerOptions()) as oven:
        oven.faults.delay_s = 0.45
        telemetry = point("zone", 0, "telemetry")
        async with plc_line(tmp_path / "j", device(oven.port, telemetry), health=shown) as line:
            await until(lambda: shown.devices["oven"].polls.overload is not None, "the overload")
            assert line.gaps() == []


async def test_telemetry_gives_way_to_evidence(tmp_path: Path, shown: Health) -> None:
    """Five blocks do not fit into one period: the one with evidence is read in time, the others in turns."""
    async with serve(OvenServerOptions()) as oven:
        oven.faults.delay_s = 0.03
        evidence = {"id": "set", "address": 1, "type": "int16", "record": "change"}
        signals = [point(f"s{at}", at, "telemetry") for at in (0, 2, 4, 6)]
        async with plc_line(tmp_path / "j", device(oven.port, evidence, *signals), health=shown):
            await until(lambda: shown.devices["oven"].polls.cut > 20, "rounds without all telemetry")
            asked = {key[1:3]: count for key, count in oven.requests.items()}
            by_address = [asked["input", at] for at in (0, 2, 4, 6)]
            assert asked["holding", 1] > 1.5 * max(by_address)
            assert min(by_address) > 0
            assert max(by_address) <= min(by_address) + 2, "in turns"


async def test_polls_of_an_opcua_server_that_were_not_made_are_counted_and_on_record(
    tmp_path: Path, shown: Health
) -> None:
    async with serve_press(PressSimulation()) as server, slow_cable(server.port, ROUND_TRIP_S) as cable:
        yaml = press(cable.port, Holding="change", Force="telemetry")
        async with plc_line(tmp_path / "j", yaml, health=shown) as line:
            await until(lambda: any(source == "poll" for source, *_ in line.gaps()), "a gap")
            [gap, *_] = line.records("source.gap")
            assert "the device takes too long to answer" in gap["reason"]
            await until(lambda: shown.devices["press"].polls.overload is not None, "the overload")


async def test_weighings_in_a_rhythm_that_were_not_made_are_counted_and_on_record(
    tmp_path: Path, shown: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "WINDOW_S", 4.0)
    async with (
        serve_scale(ScaleSimulation()) as sim,
        slow_cable(sim.port, 1.2) as cable,
        plc_line(tmp_path / "j", scale(cable.port), health=shown) as line,
    ):
        await until(lambda: any(source == "poll" for source, *_ in line.gaps()), "a gap")
        [gap, *_] = line.records("source.gap")
        assert "the device takes too long to answer" in gap["reason"]
        await until(lambda: shown.devices["scale"].polls.overload is not None, "the overload")


class Requests:
    """The nodes of each read request of the polls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[list[str]] = []
        monkeypatch.setattr(polled, "read", self._read)

    async def _read(self, client: Any, nodes: list[Any], **options: Any) -> Any:
        self.made.append([node.Identifier.removeprefix("Press.") for node in nodes])
        return await opcua_server.read(client, nodes, **options)


async def test_telemetry_of_an_opcua_server_gives_way_to_evidence(
    tmp_path: Path, shown: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One node a request: the one with evidence is read in time, the others in turns."""
    monkeypatch.setattr(opcua_server, "DEFAULT_BATCH", 1)
    requests = Requests(monkeypatch)
    signals = ("Force", "Position", "PartCounter", "Cycle")
    async with serve_press(PressSimulation()) as server, slow_cable(server.port, 0.03) as cable:
        yaml = press(cable.port, Holding="change", **dict.fromkeys(signals, "telemetry"))
        async with plc_line(tmp_path / "j", yaml, health=shown):
            await until(lambda: shown.devices["press"].polls.cut > 20, "rounds without all telemetry")
            asked = Counter(name for [name] in requests.made)
    of_signals = [asked[name] for name in signals]
    assert asked["Holding"] > 1.5 * max(of_signals)
    assert min(of_signals) > 0
    assert max(of_signals) <= min(of_signals) + 2, "in turns"


async def test_what_fits_into_one_request_is_asked_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = Requests(monkeypatch)
    async with serve_press(PressSimulation()) as server:
        yaml = press(server.port, Force="telemetry", Holding="change", Position="telemetry")
        async with plc_line(tmp_path / "j", yaml):
            await until(lambda: len(requests.made) > 5, "polls")
    assert requests.made == [["Holding", "Force", "Position"]] * len(requests.made)


@pytest.mark.parametrize("end", ["by the device", "by us"])
async def test_what_a_session_missed_last_is_on_record_when_it_ends(tmp_path: Path, end: str) -> None:
    """The window has not ended: no report would come."""
    async with serve(OvenServerOptions()) as oven:
        oven.faults.delay_s = ROUND_TRIP_S
        async with plc_line(tmp_path / "j", device(oven.port, point("zone", 0, "change"))) as line:
            await until(lambda: sum(oven.requests.values()) > 5, "polls")
            assert line.gaps() == []
            if end == "by the device":
                oven.faults.dead_units.add(1)
                await until(lambda: line.records("device.lost"), "the end of the session")
                assert [source for source, *_ in line.gaps()] == ["poll"]
                oven.faults.dead_units.clear()
            await line.fleet.stop()
            gap = line.records("source.gap")[0]
            fields = {change["field"]: change["after"] for change in gap["changes"]}
            assert gap["resource"]["id"] == "poll"
            assert fields["count"] >= 3
            assert fields["first"] < fields["last"]


async def test_a_gateway_without_processor_time_says_so(
    tmp_path: Path, shown: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something in the process itself takes the time: the device answers at once.

    The share that counts as busy is lower here: other programs take of the processor what this one would.
    """
    monkeypatch.setattr(polling, "BUSY", 0.15)
    burning = True

    async def burn() -> None:
        while burning:
            enough = time.thread_time() + 0.15
            while time.thread_time() < enough:
                pass
            await asyncio.sleep(0)

    async with serve(OvenServerOptions()) as oven, asyncio.TaskGroup() as group:
        # Device and gateway share the processor that is taken: an answer that is late is no outage here.
        yaml = device(oven.port, point("zone", 0, "change")) | {"timeout_s": 30}
        async with plc_line(tmp_path / "j", yaml, health=shown) as line:
            group.create_task(burn())
            try:
                await until(lambda: said_of(shown, "processor"), "the overload")
                assert "use a faster processor" in said_of(shown, "processor")
            finally:
                burning = False
            busy = "the gateway's processor is busy"
            await until(lambda: any(busy in gap["reason"] for gap in line.records("source.gap")), "a gap")
