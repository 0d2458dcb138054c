"""Room for evidence: said at thresholds, devices held back at the end, and all goes on by itself."""

import asyncio
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from linewitness.evidence.format.record import Event
from linewitness.gateway.capture import Capture
from linewitness.gateway.intake.arrival import Standstills
from linewitness.journal import pressure as module
from linewitness.journal.pressure import Level, Pressure, Room, level_of
from linewitness.journal.reader import Figures, JournalReader
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.stations.shared_state import SharedState
from linewitness.stations.station import Station
from support.clocks import ManualClock
from support.devices import Health, ScriptedDriver
from support.journals import create, members_of, options, running, verdict_of
from support.observations import START, tightening
from support.waiting import until

MIB = 1024**2
WHOLE = 100 * MIB


class Disk:
    """A disk and a journal whose sizes the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.used, self.free, self.log = 0, 10**12, 0
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=0, used=0, free=self.free))
        monkeypatch.setattr(module, "CHECK_PERIOD_S", 0.01)

    async def read(self, _query: Callable[..., Any]) -> Figures:
        return Figures(10, 0, 5, self.used, self.used, self.log)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def pressure() -> Pressure:
    return Pressure(options(Path("/nowhere"), max_size=WHOLE, min_free=MIB))


def room(share: float) -> Room:
    return Room(used=0, left=round(WHOLE * (1 - share)), whole=WHOLE, hours_left=None)


@pytest.mark.parametrize(
    ("share", "before", "now"),
    [
        (0.50, Level.NORMAL, Level.NORMAL),
        (0.80, Level.NORMAL, Level.HIGH),
        (0.79, Level.HIGH, Level.HIGH),
        (0.77, Level.HIGH, Level.NORMAL),
        (0.95, Level.HIGH, Level.CRITICAL),
        (0.94, Level.CRITICAL, Level.CRITICAL),
        (0.92, Level.CRITICAL, Level.HIGH),
        (1.00, Level.NORMAL, Level.FULL),
        (0.99, Level.FULL, Level.FULL),
        (0.99, Level.CRITICAL, Level.CRITICAL),
        (0.97, Level.FULL, Level.CRITICAL),
        (0.10, Level.FULL, Level.NORMAL),
    ],
)
def test_a_level_begins_at_its_threshold_and_ends_with_some_distance(
    share: float, before: Level, now: Level
) -> None:
    assert level_of(room(share), before) is now


async def test_the_journals_limit_and_the_disks_count_whichever_comes_first(
    disk: Disk, pressure: Pressure
) -> None:
    disk.used = 30 * MIB
    await pressure.measure(disk.read)
    assert pressure.room_left.left == 70 * MIB
    disk.free = 5 * MIB
    await pressure.measure(disk.read)
    assert pressure.room_left.left == 4 * MIB
    assert pressure.level is Level.CRITICAL
    disk.free = MIB
    await pressure.measure(disk.read)
    assert pressure.full


async def test_devices_wait_while_it_is_full_and_go_on_when_space_returns(
    disk: Disk, pressure: Pressure
) -> None:
    disk.used = WHOLE
    await pressure.measure(disk.read)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(pressure.gate())
        await asyncio.sleep(0)
        assert not waiting.done()
        disk.used = WHOLE // 2
        await pressure.measure(disk.read)
    assert not pressure.full


async def test_a_larger_room_lets_devices_go_on(disk: Disk, pressure: Pressure) -> None:
    disk.used = WHOLE
    await pressure.measure(disk.read)
    assert pressure.full
    pressure.take_over(options(Path("/nowhere"), max_size=2 * WHOLE, min_free=MIB))
    await pressure.measure(disk.read)
    assert not pressure.full
    assert pressure.room_left.left == WHOLE
    disk.free = 10 * MIB
    pressure.take_over(options(Path("/nowhere"), max_size=2 * WHOLE, min_free=20 * MIB))
    await pressure.measure(disk.read)
    assert pressure.full


async def test_a_gateway_that_stops_uses_the_reserve(disk: Disk, pressure: Pressure) -> None:
    disk.used = WHOLE
    await pressure.measure(disk.read)
    pressure.lift()
    await pressure.measure(disk.read)
    await asyncio.wait_for(pressure.gate(), 1)


async def test_hours_left_follow_from_the_growth_of_the_last_hour(
    disk: Disk, pressure: Pressure, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(module, "monotonic", lambda: now)
    for minute in range(31):
        disk.used = minute * MIB
        await pressure.measure(disk.read)
        now += 60
    assert pressure.room_left.hours_left == pytest.approx(70 / 60, rel=0.01)
    assert len(pressure._history) < 100


async def test_no_hours_are_promised_from_the_first_seconds(
    disk: Disk, pressure: Pressure, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(module, "monotonic", lambda: now)
    for second in range(30):
        disk.used = second * MIB
        await pressure.measure(disk.read)
        now += 1
    assert pressure.room_left.hours_left is None
    assert len(pressure._history) < 6


async def test_a_log_that_fills_after_the_start_is_no_growth(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(module, "monotonic", lambda: now)
    pressure = Pressure(options(Path("/nowhere"), max_size=80 * WHOLE, min_free=MIB))
    for minute in range(61):
        disk.log = min(minute, 8) * MIB
        disk.used = disk.log + minute * MIB // 100
        await pressure.measure(disk.read)
        hours = pressure.room_left.hours_left
        assert hours is None or hours > 10_000, f"after {minute} minutes"
        assert pressure.level is Level.NORMAL
        now += 60
    assert hours is not None


async def test_the_log_of_a_real_journal_is_told_apart(tmp_path: Path, clock: ManualClock) -> None:
    create(tmp_path, clock)
    async with running(tmp_path, clock) as journal:
        await journal.submit([], state={"point/a": "1"})
        figures = await journal.read(JournalReader.figures)
    assert figures.log_used > 0
    assert (figures.bytes_used - figures.log_used) % 4096 == 0, "whole pages of the main file"


@pytest.mark.heavy
async def test_each_level_is_put_on_record_once(disk: Disk, pressure: Pressure, clock: ManualClock) -> None:
    spared: list[Any]
    events, spared = [], []

    def submit(submitted: list[Event]) -> asyncio.Future[Any]:
        events.extend(submitted)
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def levels() -> list[object]:
        return [event.changes[0].after for event in events]

    async with asyncio.TaskGroup() as group:
        task = group.create_task(
            pressure.watch(disk.read, cast(Any, submit), clock=clock, spare=spared.append)
        )
        for used, level in ((0.85, "high"), (0.96, "critical"), (1.0, "full"), (0.3, "normal")):
            disk.used = int(used * WHOLE)
            await until(partial(lambda level: levels()[-1:] == [level], level))
            await asyncio.sleep(0.05)
        task.cancel()
    assert levels() == ["high", "critical", "full", "normal"]
    assert [event.changes[0].before for event in events] == ["normal", "high", "critical", "full"]
    assert {event.kind for event in events} == {"journal.pressure"}
    assert spared == [False, True, True, False]


async def test_capture_confirms_nothing_in_a_full_journal_and_all_of_it_afterwards(
    tmp_path: Path, clock: ManualClock, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(JournalReader, "figures", lambda _self: Figures(1, 0, 0, disk.used, disk.used))
    directory = tmp_path / "journal"
    create(directory, clock)
    driver, health = ScriptedDriver(), Health()
    async with running(directory, clock, max_size=WHOLE) as journal:
        buffer = TelemetryBuffer(directory, max_bytes=MIB)
        capture = Capture(
            driver,
            Station(None, {}, shared=SharedState(), state={}, now=START),
            journal=journal,
            telemetry=buffer,
            clock=clock,
            health=health,
            standstills=Standstills(clock),
        )
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(capture.run()),
                group.create_task(journal.pressure.watch(journal.read, journal.submit, clock=clock)),
            ]
            await driver.says.put(tightening(1))
            await until(lambda: len(driver.confirmed) == 1)
            disk.used = WHOLE
            await until(lambda: journal.pressure.full)
            await driver.says.put(tightening(2))
            await driver.says.put(tightening(3))
            await asyncio.sleep(0.1)
            assert len(driver.confirmed) == 1
            # The gateway's own records go on: the pressure itself is one of them.
            kinds = [record["kind"] for record in members_of(directory)]
            assert kinds[-1] == "journal.pressure"
            disk.used = WHOLE // 2
            await until(lambda: len(driver.confirmed) == 3)
            for task in tasks:
                task.cancel()
        buffer.close()
    assert verdict_of(directory).status == "INTACT"
    records = members_of(directory)
    assert [r["resource"]["id"] for r in records if r["kind"] == "tightening.result"] == [
        "ACT-1234/1/0/1",
        "ACT-1234/1/0/2",
        "ACT-1234/1/0/3",
    ]
