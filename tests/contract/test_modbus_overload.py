"""A device that answers more slowly than it is asked: what is not read is counted and on record."""

from pathlib import Path
from typing import Any

import pytest

from linewitness.devices import polling
from linewitness.gateway.intake import polls
from linewitness.status.health import Health
from linewitness_simulators.oven.server import OvenServerOptions, serve
from support.plc_line import plc_line
from support.waiting import until

PERIOD_MS = 100


def device(port: int, *points: dict[str, Any]) -> dict[str, Any]:
    place = {"host": "127.0.0.1", "port": port}
    return {
        "id": "oven", "driver": "modbus", **place, "period_ms": PERIOD_MS, "points": list(points), "gap": 0
    }  # fmt: skip


def point(name: str, address: int, record: str) -> dict[str, Any]:
    return {"id": name, "table": "input", "address": address, "type": "int16", "record": record}


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Health:
    """Short windows, and where the figures are shown."""
    monkeypatch.setattr(polling, "WINDOW_S", 1.0)
    monkeypatch.setattr(polls, "SHOW_S", 0.05)
    return Health()


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
