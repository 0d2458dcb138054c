"""The gateway's clock is set while a fault holds: numbers keep the order, steps are said, all is there."""

import itertools
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.clock import from_rfc3339
from linewitness_selftest.outcome import FaultOutcome
from support.faked_time import SettableTime, clean
from support.far import far_plant
from support.lossy import LossyCable, lossy_cable
from support.outcomes import kept
from support.plants import (
    Load,
    at_work,
    change,
    held,
    held_tightenings,
    journal_verdict,
    log_lines,
    settle,
)
from support.plc_line import wall
from support.small_disk import SmallDisk
from support.waiting import until

HOUR_S = 3600
#: Further back than forward: at the end the clock is behind what is on record already.
STEPS_S = (HOUR_S + 600, -2 * HOUR_S)


class Faulty:
    """A running plant whose gateway's clock can be set, and what may go wrong in it."""

    def __init__(self, plant: Any, cable: LossyCable, time: Any, folder: Path) -> None:
        self.plant, self.cable, self.time, self.folder = plant, cable, time, folder
        self.load = Load(plant, period_s=0.2)
        self.recording = True

    async def work(self, steps: int = 6) -> None:
        goal = self.load.steps + steps
        await until(lambda: self.load.steps >= goal, "work")

    async def set_clock(self, seconds: float) -> None:
        """Set it forward or backward, and wait until a record has the new time."""
        self.time.step(seconds)
        if self.plant.gateway.running and self.recording:
            await until(
                lambda: abs(self.newest_s() - wall() - self.time.offset_s) < HOUR_S / 4, "the new time"
            )

    def newest_s(self) -> Any:
        with self.plant.journal() as journal:
            *_, (_, data) = journal.records(journal.size() - 1)  # it may grow meanwhile
        return from_rfc3339(json.loads(data)["ingested_at"]) / 1e9

    async def arrived(self) -> None:
        made = set(self.load.made)
        await until(lambda: made <= held_tightenings(self.plant), "all so far in the store")

    async def kill(self) -> None:
        await self.plant.gateway.kill()
        clean(self.plant.gateway.pid)

    async def restart(self) -> None:
        await self.plant.gateway.start()
        await at_work(self.plant)

    @asynccontextmanager
    async def killed(self) -> AsyncIterator[None]:
        await self.kill()
        yield
        await self.restart()

    @asynccontextmanager
    async def stopped(self) -> AsyncIterator[None]:
        assert await self.plant.gateway.stop() == 0
        yield
        await self.restart()

    @asynccontextmanager
    async def broker_away(self) -> AsyncIterator[None]:
        await self.plant.broker.stop()
        yield
        await self.plant.broker.start()

    @asynccontextmanager
    async def half_open(self) -> AsyncIterator[None]:
        await self.cable.lose(1)
        yield
        await self.cable.lose(0)

    @asynccontextmanager
    async def packets_lost(self) -> AsyncIterator[None]:
        await self.cable.lose(0.3)
        yield
        await self.cable.lose(0)

    @asynccontextmanager
    async def store_killed(self) -> AsyncIterator[None]:
        await self.plant.store.kill()
        yield
        await self.plant.store.start()

    @asynccontextmanager
    async def store_restored(self) -> AsyncIterator[None]:
        store, database = self.plant.store, self.plant.folder / "store.db"
        await self.arrived()
        assert await store.stop() == 0
        shutil.copy(database, self.folder / "backup.db")
        await store.start()
        await self.work()
        await self.arrived()
        assert await store.stop() == 0
        yield
        shutil.copy(self.folder / "backup.db", database)
        await store.start()

    @asynccontextmanager
    async def disk_full(self) -> AsyncIterator[None]:
        disk = SmallDisk(self.folder / "disk")
        before = len(log_lines(self.plant, "journal full"))
        disk.fill()
        await until(lambda: len(log_lines(self.plant, "journal full")) > before, "the alarm")
        self.recording = False
        yield
        self.recording = True
        disk.free()
        await until(lambda: len(log_lines(self.plant, "journal has room again")) > before, "its end")

    def stamps(self) -> Any:
        """Return wall clock and BOOTTIME of each record in the store, in seconds."""
        records = held(self.plant).records
        return [(from_rfc3339(r["ingested_at"]) / 1e9, r["clock"]["boottime_us"] / 1e6) for r in records]


FAULTS = ("killed", "stopped", "broker_away", "half_open", "packets_lost", "store_killed", "store_restored")


@asynccontextmanager
async def faulty(folder: Path, prepare: Any = lambda plant: None) -> AsyncIterator[Any]:
    time = SettableTime(folder)

    def prepared(plant: Any) -> None:
        prepare(plant)
        plant.gateway.environment = time.environment

    async with (
        lossy_cable(seed=2, quick=True) as cable,
        far_plant(folder, cable, "broker", prepare=prepared) as plant,
    ):
        found = Faulty(plant, cable, time, folder)
        yield found
        await found.kill()


def moved(stamps: Any) -> Any:
    """Return by how much the clock was moved between two records, in hours, each time that it was."""
    jumps = [
        (wall - last_wall) - (boot - last_boot)
        for (last_wall, last_boot), (wall, boot) in itertools.pairwise(stamps)
    ]
    return [round(jump / HOUR_S, 2) for jump in jumps if abs(jump) > 1]


async def set_during(plant: Any, fault: str, *, steps_s: Any = STEPS_S) -> None:
    """Let a fault come once for each step, and set the clock while it holds; then let everything arrive."""
    async with plant.load.going_on():
        for step_s in steps_s:
            await plant.work()
            async with getattr(plant, fault)():
                await plant.work(4)
                await plant.set_clock(step_s)
                await plant.work()
        await plant.work()
    await settle(plant.plant, plant.load.made, timeout_s=120)


def check(plant: Any, fault: str, account: Callable[[FaultOutcome], None], *, steps_s: Any = STEPS_S) -> None:
    """Check ledgers, order and what is said of the clock."""
    account(kept(f"clock set while: {fault.replace('_', ' ')}", plant.plant, plant.load.made, injected=2))
    assert journal_verdict(plant.plant).status != "BROKEN"
    stamps = plant.stamps()
    assert moved(stamps) == [round(step_s / HOUR_S, 2) for step_s in steps_s]
    boottimes = [boot for _, boot in stamps]
    assert boottimes == sorted(boottimes), "the order of the numbers is the order in which it happened"
    remarks = [remark.text for remark in held(plant.plant).verdict.remarks if "clock" in remark.text]
    for step_s in steps_s:
        assert any(f"{step_s / HOUR_S:+.0f}"[0] in text for text in remarks), remarks


def stepped(plant: Any) -> Any:
    return [r for r in held(plant.plant).records if r["kind"] == "clock.stepped"]


async def test_clock_set_back_while_the_broker_is_away_and_across_a_kill(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    async with faulty(tmp_path) as plant:
        async with plant.load.going_on():
            await plant.work()
            async with plant.broker_away():
                await plant.work()
                await plant.set_clock(-HOUR_S)
                await plant.work()
                async with plant.killed():
                    await plant.set_clock(-HOUR_S)
                await plant.work()
        await settle(plant.plant, plant.load.made)
        check(plant, "broker away, then killed", account, steps_s=(-HOUR_S, -HOUR_S))
        assert len(stepped(plant)) == 1, "nobody saw the second one happen"


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("fault", FAULTS)
async def test_clock_set_in_the_middle_of(
    tmp_path: Path, account: Callable[[FaultOutcome], None], fault: str
) -> None:
    async with faulty(tmp_path) as plant:
        await set_during(plant, fault)
        check(plant, fault, account)
        expected = 0 if fault in ("killed", "stopped") else len(STEPS_S)
        assert len(stepped(plant)) == expected, "each one that the gateway saw is on record, once"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system; where none can be mounted, the test fails."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_clock_set_while_the_disk_is_full(
    tmp_path: Path, account: Callable[[FaultOutcome], None], small_disk: Path
) -> None:
    def on_small_disk(plant: Any) -> None:
        shutil.move(plant.folder / "journal", small_disk / "journal")
        (plant.folder / "journal").symlink_to(small_disk / "journal")
        change(plant, "directory: journal", f"directory: {small_disk}/journal\n  min_free: 0")

    async with faulty(tmp_path, on_small_disk) as plant:
        await set_during(plant, "disk_full")
        check(plant, "disk_full", account)
        assert len(stepped(plant)) == len(STEPS_S), "seen while there was no room, and on record afterwards"
