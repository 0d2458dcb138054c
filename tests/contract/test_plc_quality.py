"""Value and quality, from the PLC to the journal: what is bad or uncertain is never recorded as good."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from linewitness_simulators.oven.server import OvenServerOptions
from linewitness_simulators.oven.server import serve as serve_oven
from linewitness_simulators.press.server import PressSimulation
from linewitness_simulators.press.server import serve as serve_press
from support.plc_line import PlcLine, plc_line
from support.waiting import until

BAD_NOT_CONNECTED = 0x808A0000
UNCERTAIN_LAST_USABLE = 0x40900000
GOOD_CLAMPED = 0x00300000


def press(endpoint: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "press",
        "driver": "opcua",
        "endpoint": endpoint,
        "publishing_ms": 50,
        "points": [
            {"id": "holding", "node": "ns=2;s=Press.Holding", "record": "change", "low": 100, "high": 140},
            {"id": "force", "node": "ns=2;s=Press.Force", "record": "telemetry"},
        ],
        **more,
    }


def oven(port: int, *points: Any) -> Any:
    return {
        "id": "oven",
        "driver": "modbus",
        "host": "127.0.0.1",
        "port": port,
        "period_ms": 50,
        "points": [*points],
    }


def told(line: PlcLine, point: str) -> list[tuple[Any, ...]]:
    """Return each change of a point's records: field, before, after, and the verdict on its limits."""
    return [
        (change["field"], change["before"], change["after"], change.get("status"))
        for record in line.records("parameter.changed")
        if record["resource"]["id"].endswith("/" + point)
        for change in record["changes"]
    ]


@pytest.mark.parametrize("mode", ["subscribe", "poll"])
async def test_bad_opcua_value_is_no_value_and_an_uncertain_one_says_so(tmp_path: Path, mode: str) -> None:
    async with serve_press(PressSimulation(tick_s=0)) as device:
        yaml = press(device.url, mode=mode, poll_ms=50)
        async with plc_line(tmp_path / "journal", yaml) as line:
            await until(lambda: line.value("holding"))
            steps = [
                (999.0, BAD_NOT_CONNECTED, "BadNotConnected"),
                (130.0, 0, "Good"),
                (131.0, UNCERTAIN_LAST_USABLE, "UncertainLastUsableValue"),
                (132.0, 0, "Good"),
            ]
            for value, status, word in steps:
                await device.set("Holding", value, status=status)
                await until(partial(lambda word: told(line, "holding")[-1][2] == word, word))
        assert told(line, "holding") == [
            ("holding", None, "125", "ok"),
            ("holding.quality", "Good", "BadNotConnected", None),
            ("holding", "125", "130", "ok"),
            ("holding.quality", "BadNotConnected", "Good", None),
            ("holding", "130", "131", "ok"),
            ("holding.quality", "Good", "UncertainLastUsableValue", None),
            ("holding", "131", "132", "ok"),
            ("holding.quality", "UncertainLastUsableValue", "Good", None),
        ]


async def test_bad_opcua_telemetry_reaches_the_historian_with_its_status(tmp_path: Path) -> None:
    async with serve_press(PressSimulation(tick_s=0)) as device:
        async with plc_line(tmp_path / "journal", press(device.url)) as line:
            await until(lambda: any("force" in message["points"] for message in line.signals()))
            await device.set("Force", 3.5, status=BAD_NOT_CONNECTED)
            await until(lambda: any(message.get("status") for message in line.signals()))
        (marked,) = [message for message in line.signals() if message.get("status")]
        assert marked["status"] == {str(marked["points"].index("force")): "BadNotConnected"}


async def test_bad_modbus_value_is_no_value_and_the_next_good_one_follows_the_last_good_one(
    tmp_path: Path,
) -> None:
    async with serve_oven(OvenServerOptions()) as device:
        points = [
            {"id": "set-point", "address": 1, "type": "int16", "scale": "0.1", "record": "change"},
            {"id": "program", "address": 0, "type": "bcd16", "record": "change"},
        ]
        async with plc_line(tmp_path / "journal", oven(device.port, *points)) as line:
            await until(lambda: line.value("set-point") and line.value("program"))
            device.oven.inputs.program = 0x1A  # no decimal digit
            await until(lambda: told(line, "program")[-1][0] == "program.quality")
            device.oven.inputs.program = 0x12
            await until(lambda: told(line, "program")[-1][2] == "Good")
            device.faults.exceptions[1] = 4
            await until(lambda: told(line, "set-point")[-1][0] == "set-point.quality")
            device.faults.exceptions.clear()
            await until(lambda: told(line, "set-point")[-1][2] == "Good")
        field, before, words, _ = told(line, "program")[1]
        assert (field, before) == ("program.quality", "Good")
        assert "0x001A is not binary-coded decimal" in words
        assert told(line, "program")[2:4] == [
            ("program", "1", "12", None),
            ("program.quality", words, "Good", None),
        ]
        (first, failed, good) = told(line, "set-point")
        assert first == ("set-point", None, "180.0", None)
        assert "exception 4" in failed[2]
        assert good == ("set-point.quality", failed[2], "Good", None)


async def test_label_that_is_not_configured_is_uncertain_and_never_good(tmp_path: Path) -> None:
    async with serve_oven(OvenServerOptions()) as device:
        point = {"id": "program", "address": 0, "type": "uint16", "labels": {1: "slow"}, "record": "change"}
        async with plc_line(tmp_path / "journal", oven(device.port, point)) as line:
            await until(lambda: line.value("program"))
            device.oven.inputs.program = 7
            await until(lambda: len(told(line, "program")) == 3)
        assert told(line, "program")[:2] == [
            ("program", None, "slow", None),
            ("program", "slow", "7", None),
        ]
        assert "7 has no label" in told(line, "program")[2][2]
