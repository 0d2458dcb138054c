"""PLCs on a real gateway process: no broker, and clocks that believe it is the year 2000."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from linewitness.base.clock import SystemClock
from linewitness.demo.plant import Process, free_port
from linewitness_simulators.oven.server import OvenServerOptions
from linewitness_simulators.oven.server import serve as serve_oven
from linewitness_simulators.press.server import PressSimulation
from linewitness_simulators.press.server import serve as serve_press
from support.journals import members_of, verdict_of
from support.lines import prepare
from support.plants import run
from support.plc_line import is_of_missed_polls
from support.waiting import until

VKEY = "store.demo.example+af2add38+BMkzGYD25lzCqldM5FG44mXDTFMW14TNvrzAd3lV0hRW"
LINE = """\
version: 1
line: {{tenant: demo, plant: p, line: l, gateway: g, origin: demo.example/p/l/1}}
journal: {{directory: journal}}
{more}
devices:
  - id: press
    driver: opcua
    endpoint: {press}
    points:
      - {{id: holding, node: ns=2;s=Press.Holding, record: change}}
      - {{id: force, node: ns=2;s=Press.Force, record: telemetry}}
  - id: oven
    driver: modbus
    host: 127.0.0.1
    port: {oven}
    period_ms: 50
    points:
      - {{id: set-point, address: 1, type: int16, record: change}}
      - {{id: zone, table: input, address: 0, type: int16, record: telemetry}}
"""


@asynccontextmanager
async def gateway_on(folder: Path, press: Any, oven: Any, more: str = "") -> AsyncIterator[Any]:
    """Run a gateway on a press and an oven; at its end it stops in order and its journal verifies."""
    file = folder / "line.yaml"
    file.write_text(LINE.format(press=press.url, oven=oven.port, more=more))
    await prepare("init", file)
    gateway = Process("gateway", folder, "run", str(file))
    await gateway.start()
    try:
        await until(lambda: len(records(folder, "device.back")) == 2, "both devices")
        yield gateway
    finally:
        code = await gateway.stop()
    assert code == 0, gateway.log.read_text()
    assert verdict_of(folder / "journal").status == "INTACT"


def records(folder: Path, kind: Any) -> Any:
    return [record for record in members_of(folder / "journal") if record["kind"] == kind]


def afters(folder: Path, point: Any) -> Any:
    return [
        change["after"]
        for record in records(folder, "parameter.changed")
        if record["resource"]["id"] == point
        for change in record["changes"]
    ]


def samples(folder: Path) -> Any:
    connection = sqlite3.connect(folder / "journal" / "telemetry.sqlite")
    try:
        return dict(connection.execute("SELECT device, SUM(samples) FROM block GROUP BY device"))
    finally:
        connection.close()


def signals(folder: Path, device: Any) -> Any:
    connection = sqlite3.connect(folder / "journal" / "telemetry.sqlite")
    try:
        rows = connection.execute("SELECT payload FROM block WHERE device = ?", (device,))
        return [json.loads(row[0]) for row in rows]
    finally:
        connection.close()


async def test_complaint_2_devices_are_polled_and_recorded_while_there_is_no_broker(tmp_path: Path) -> None:
    uplink = f"uplink: {{url: 'mqtt://127.0.0.1:{free_port()}'}}\nstore: {{vkey: {VKEY}}}"
    async with serve_press(PressSimulation(tick_s=0.1)) as press, serve_oven(OvenServerOptions()) as oven:
        async with gateway_on(tmp_path, press, oven, uplink):
            await until(lambda: afters(tmp_path, "press/holding") and afters(tmp_path, "oven/set-point"))
            served = oven.served
            for number in range(1, 21):
                await press.set("Holding", 125.0 + number)
                oven.oven.inputs.set_points[0] = 1800 + number
                await asyncio.sleep(0.15)
            polled = oven.served - served
            await until(lambda: afters(tmp_path, "press/holding")[-1] == "145", "the last holding pressure")
            await until(lambda: afters(tmp_path, "oven/set-point")[-1] == "1820", "the last set point")
            log = (tmp_path / "gateway.log").read_text()
        assert "broker" in log, log
        # Two blocks every 50 ms for three seconds are 120 requests.
        assert polled > 80
        assert afters(tmp_path, "press/holding") == [str(125 + number) for number in range(21)]
        assert afters(tmp_path, "oven/set-point") == [str(1800 + number) for number in range(21)]
        assert all(is_of_missed_polls(gap) for gap in records(tmp_path, "source.gap"))
        found = samples(tmp_path)
        assert found["press"] > 10
        assert found["oven"] > 40


async def test_complaint_14_a_plc_in_the_year_2000_is_on_record_beside_our_time_and_poisons_nothing(
    tmp_path: Path,
) -> None:
    now = SystemClock().stamp().realtime_ns / 1e9
    far_s = datetime(2000, 1, 1, tzinfo=UTC).timestamp() - now
    wrong = PressSimulation(tick_s=0.1, clock_offset_s=far_s)
    async with serve_press(wrong) as press, serve_oven(OvenServerOptions()) as oven:
        async with gateway_on(tmp_path, press, oven):
            await until(lambda: afters(tmp_path, "press/holding"))
            await press.set("Holding", 131.0)
            await until(lambda: afters(tmp_path, "press/holding")[-1] == "131")
            await until(lambda: samples(tmp_path).get("press", 0) > 5, "telemetry")
            shown = await run("clock", tmp_path / "line.yaml")
        assert shown.code == 0, shown.err
        told = next(line for line in shown.out.splitlines() if line.strip().startswith("press"))
        assert abs(float(told.split()[1].replace(",", "")) - far_s) < 5, told
        assert "BEYOND" in told, told
        changed = records(tmp_path, "parameter.changed")
        (of_press,) = [
            record for record in changed if any(change["after"] == "131" for change in record["changes"])
        ]
        clock = of_press["clock"]
        assert clock["device_time"].startswith(("1999-12-31", "2000-01-01"))
        assert abs(clock["device_offset_ms"] / 1000 - far_s) < 5
        for record in members_of(tmp_path / "journal"):
            occurred = datetime.fromisoformat(record["occurred_at"]).timestamp()
            ingested = datetime.fromisoformat(record["ingested_at"]).timestamp()
            assert abs(occurred - now) < 60, record
            assert abs(ingested - now) < 60, record
        for message in signals(tmp_path, "press"):
            assert all(abs(time / 1000 - now) < 60 for time in message["times_ms"])
            assert abs(message["t_ms"] / 1000 - now) < 60
