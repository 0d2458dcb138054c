"""Restarts, pulled cables, silent subscriptions and full queues, from the device to the journal.

After each one all points live again within 15 s, and every interval that was lost is on record.
"""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from linewitness.devices.opcua.backlog import Backlog, Delivery
from linewitness.journal.attestations import JournalHead
from linewitness.journal.file import JournalFile
from linewitness.journal.submission import Submission
from linewitness_simulators.oven.server import OvenServerOptions
from linewitness_simulators.oven.server import serve as serve_oven
from linewitness_simulators.press.server import PressSimulation
from linewitness_simulators.press.server import serve as serve_press
from support.netns import cable
from support.plc_line import PlcLine, plc_line, wall
from support.waiting import until

WITHIN_S = 15
NAMES = ("Force", "Position", "Temperature")
REMINDS = {"opcua": "session", "modbus": "absence"}
LIVING = {"opcua": ("force", "position", "temperature"), "modbus": ("zone-0", "zone-1", "humidity")}


def press(endpoint: str, *names: str, **more: Any) -> dict[str, Any]:
    points = [{"id": name.lower(), "node": f"ns=2;s=Press.{name}", "record": "change"} for name in names]
    return {"id": "press", "driver": "opcua", "endpoint": endpoint, "points": points, **more}


def oven(host: str, port: int, **more: Any) -> Any:
    points = [
        {"id": name, "table": "input", "address": address, "type": "int16", "record": "change"}
        for name, address in (("zone-0", 0), ("zone-1", 1), ("humidity", 4))
    ]
    place = {"host": host, "port": port}
    return {"id": "oven", "driver": "modbus", **place, "period_ms": 100, "points": points, **more}


def cycles(**more: Any) -> Any:
    """The oven's ring of results."""
    return {
        "id": "cycle", "pattern": "ring", "counter": {"address": 200}, "slots": 8, "stride": 16,
        "first_number": 0, "number_field": "number",
        "fields": [
            {"id": "peak", "address": 218, "type": "float32"},
            {"id": "number", "address": 222, "type": "uint16"},
        ],
        **more,
    }  # fmt: skip


def device_of(kind: str, host: str, port: int) -> dict[str, Any]:
    return press(f"opc.tcp://{host}:{port}", *NAMES) if kind == "opcua" else oven(host, port)


def simulator_of(kind: str) -> str:
    return "press" if kind == "opcua" else "oven"


def assert_on_record(line: PlcLine, begun_s: float, ended_s: float, *, slack_s: float) -> None:
    """One gap covers the outage, and is not much longer than it."""
    covering = [
        (first, last)
        for _, first, last in line.gaps()
        if isinstance(first, float) and first <= begun_s + slack_s and last >= ended_s - slack_s
    ]
    assert covering, (begun_s, ended_s, line.gaps())
    assert covering[0][0] >= begun_s - slack_s
    assert len(line.records("device.lost")) >= 1
    assert len(line.records("device.back")) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["opcua", "modbus"])
async def test_complaint_8_pulled_cable_all_points_live_again_and_the_outage_is_on_record(
    tmp_path: Path, kind: str
) -> None:
    with cable() as wire:
        async with (
            wire.simulator(simulator_of(kind), 5020),
            plc_line(tmp_path / "journal", device_of(kind, wire.theirs, 5020)) as line,
        ):
            await line.all_move(LIVING[kind])
            wire.pull()
            pulled = wall()
            await until(lambda: line.records("device.lost"), timeout_s=30)
            assert "refused" not in line.records("device.lost")[0]["reason"]
            await asyncio.sleep(5)
            wire.plug()
            plugged = wall()
            took_s = await line.all_move(LIVING[kind])
        assert_on_record(line, pulled, plugged, slack_s=1)
    print(f"\n{kind}: cable pulled for {plugged - pulled:.1f} s, all points live after {took_s:.1f} s")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["opcua", "modbus"])
async def test_complaint_8_killed_device_all_points_live_again_and_the_outage_is_on_record(
    tmp_path: Path, kind: str
) -> None:
    with cable() as wire:
        async with (
            wire.simulator(simulator_of(kind), 5020) as process,
            plc_line(tmp_path / "journal", device_of(kind, wire.theirs, 5020)) as line,
        ):
            await line.all_move(LIVING[kind])
            process.kill()
            killed = wall()
            await until(lambda: line.records("device.lost"), timeout_s=30)
            async with wire.simulator(simulator_of(kind), 5020):
                started = wall()
                took_s = await line.all_move(LIVING[kind])
        assert_on_record(line, killed, started, slack_s=1)
    print(f"\n{kind}: away for {started - killed:.1f} s, all points live after {took_s:.1f} s")


async def test_complaint_8_restarted_oven_lives_again_with_its_lost_interval_on_record(
    tmp_path: Path,
) -> None:
    async with serve_oven(OvenServerOptions()) as device:
        settings = {"id": "set-point", "address": 1, "type": "int16", "record": "change"}
        yaml = oven("127.0.0.1", device.port) | {"points": [settings]}
        async with plc_line(tmp_path / "journal", yaml) as line:
            await until(lambda: line.value("set-point") == "1800")
            await device.stop()
            stopped = wall()
            await until(lambda: line.records("device.lost"))
            device.oven.inputs.set_points[0] = 1700
            await device.start()
            started = wall()
            await until(lambda: line.value("set-point") == "1700", timeout_s=WITHIN_S)
        assert line.changes("set-point") == [(None, "1800"), ("1800", "1700")]
        assert_on_record(line, stopped, started, slack_s=0.5)


async def test_complaint_9_silent_subscription_all_points_live_again_and_the_silence_is_on_record(
    tmp_path: Path,
) -> None:
    async with serve_press(PressSimulation(tick_s=0.1)) as device:
        async with plc_line(
            tmp_path / "journal", press(device.url, *NAMES, silence_s=1, timeout_s=1)
        ) as line:
            await line.all_move(LIVING["opcua"])
            silenced = wall()
            device.silence()
            size = line.size()
            await until(lambda: len(line.records("device.back")) == 2, timeout_s=WITHIN_S)
            assert line.size() > size
            assert "silent" in line.records("device.lost")[0]["reason"]
            again = wall()
            await line.all_move(LIVING["opcua"], within_s=WITHIN_S - (again - silenced))
            assert device.sessions == 1
        assert_on_record(line, silenced, again, slack_s=1)


async def test_full_queue_of_the_server_is_a_gap_between_two_changes(tmp_path: Path) -> None:
    async with serve_press(PressSimulation(tick_s=0)) as device:
        async with plc_line(tmp_path / "journal", press(device.url, "Holding", "Program")) as line:
            await until(lambda: line.value("holding") and line.value("program"))
            await device.overflow("Holding", 77.0)
            await device.set("Program", 9)
            await until(lambda: line.value("holding") == "77" and line.value("program") == "9")
        ((source, first, last),) = line.outages()
        assert (source, first < last) == ("holding", True)
        kinds = [record["kind"] for record in line.records("source.gap", "parameter.changed")]
        assert kinds == ["parameter.changed"] * 2 + ["source.gap"] + ["parameter.changed"] * 2


async def test_full_buffer_while_the_disk_is_slow_is_a_gap_with_its_count_and_points_live_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only so much is taken from the driver while the disk stands still; what does not fit is counted."""
    disk, append = threading.Event(), JournalFile.append

    def when_the_disk_works(journal: JournalFile, batch: Sequence[Submission]) -> JournalHead:
        assert disk.wait(60)
        return append(journal, batch)

    dropped: list[int] = []
    drop = Backlog._drop

    def counting(backlog: Backlog, delivery: Delivery) -> None:
        dropped.append(delivery.changes)
        drop(backlog, delivery)

    disk.set()
    monkeypatch.setattr(JournalFile, "append", when_the_disk_works)
    monkeypatch.setattr(Backlog, "_drop", counting)
    points = [f"Signal{number}" for number in range(100)]
    async with serve_press(PressSimulation(tick_s=0.1, extra=len(points))) as device:
        yaml = press(device.url, *points, "Program", buffer=1000)
        async with plc_line(tmp_path / "journal", yaml) as line:
            await until(lambda: line.value("program") and line.value("signal99"))
            disk.clear()
            begun = wall()
            await until(lambda: sum(dropped) >= 1500)  # a slow machine delivers slowly
            disk.set()
            await until(lambda: line.records("source.gap"))
            await device.set("Program", 9)
            await until(lambda: line.value("program") == "9", timeout_s=150)
            ended = wall()
        # A slow machine fills the buffer more than once, also after the disk works again.
        counts = [
            int(change["after"])
            for gap in line.records("source.gap")
            for change in gap["changes"]
            if change["field"] == "count"
        ]
        assert 1000 <= sum(counts) <= sum(dropped)
        # One gap may hold one tick of the device alone, whose values bear one time; all of them do not.
        firsts, lasts = [first for _, first, _ in line.outages()], [last for _, _, last in line.outages()]
        assert all(first <= last for first, last in zip(firsts, lasts, strict=True))
        assert begun - 1 <= min(firsts) < max(lasts) <= ended + 1
        assert not line.records("device.lost")


async def test_ring_that_went_round_during_an_outage_is_a_gap_with_its_numbers(tmp_path: Path) -> None:
    """Modbus has no queue but the one that the PLC keeps: what was overwritten there is named by number."""
    async with serve_oven(OvenServerOptions(cycle_s=1e9)) as device:
        yaml = oven("127.0.0.1", device.port, results=[cycles()])
        async with plc_line(tmp_path / "journal", yaml) as line:
            await until(lambda: line.value("humidity"))
            device.oven.complete_cycles(3)
            await until(lambda: len(line.records("measurement.result")) == 3)
            await device.stop()
            await until(lambda: line.records("device.lost"))
            device.oven.complete_cycles(20)
            await device.start()
            await until(lambda: len(line.records("measurement.result")) == 11, timeout_s=WITHIN_S)
        numbers = [
            int(record["resource"]["id"].rpartition("/")[2]) for record in line.records("measurement.result")
        ]
        assert numbers == [1, 2, 3, *range(16, 24)]
        assert ("cycle", "4", "15") in [(source.rpartition("/")[2], *span) for source, *span in line.gaps()]


@pytest.mark.parametrize("kind", ["opcua", "modbus"])
async def test_complaint_11_what_happened_while_the_gateway_was_down_is_a_gap_even_where_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    """A quiet device is remembered as heard, so that the gap does not begin with its last change."""
    monkeypatch.setattr(f"linewitness.devices.{kind}.{REMINDS[kind]}.REMIND_S", 0.2)
    async with (
        serve_press(PressSimulation(tick_s=0)) as quiet_press,
        serve_oven(OvenServerOptions()) as quiet_oven,
    ):
        set_point = {"id": "holding", "address": 1, "type": "int16", "record": "change"}
        yaml = {
            "opcua": press(quiet_press.url, "Holding", silence_s=3),
            "modbus": oven("127.0.0.1", quiet_oven.port) | {"points": [set_point]},
        }[kind]
        async with plc_line(tmp_path / "journal", yaml) as line:
            await until(lambda: line.records("parameter.changed") and line.records("device.back"))
            changed, kinds = wall(), line.kinds()
            await asyncio.sleep(2)
            assert line.kinds() == kinds, "being heard is remembered, and no event"
        ended = wall()
        assert not line.outages()
        await asyncio.sleep(0.5)
        begun = wall()
        async with plc_line(tmp_path / "journal", yaml) as line:
            await until(line.outages)
        ((_, first, last),) = line.outages()
        assert changed + 0.5 < first <= ended
        assert last >= begun
        assert line.changes("holding")[1:] == []
