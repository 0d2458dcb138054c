"""Cut the power with unsynchronised writes dropped: what was told to be durable is there, once."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from linewitness_selftest.outcome import FaultOutcome
from linewitness_selftest.power.cuts import (
    at_each_of,
    by_chance,
    each_with_nothing,
    judge_all,
    outcome,
    power_cuts,
    recorded,
)
from linewitness_selftest.power.disk import Disk, Rule
from linewitness_selftest.power.image import Cut, Survives, image_after
from linewitness_selftest.power.recording import record

WEAK = Path(__file__).parents[1] / "support" / "weak_workload.py"
FEW, MANY = 60, 500
SEEDS = (11, 12, 13, 14, 15)


async def test_power_cut_loses_nothing(tmp_path: Path, account: Callable[[FaultOutcome], None]) -> None:
    account(await power_cuts(tmp_path, cuts=FEW, seed=1))
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240


BEGIN = """
import sys
from pathlib import Path
from linewitness.base.clock import SharedClockState, SystemClock
from linewitness.journal.file import JournalFile
from linewitness_selftest.power.truth import identity

folder = Path(sys.argv[1]) / "lines" / "weld-3" / "journal"
JournalFile.create(folder, identity(1), clock=SystemClock(), clock_state=SharedClockState())
"""


async def test_folders_that_init_makes_are_durable_with_all_above_them(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    recording = await record(site, (sys.executable, "-c", BEGIN, str(site)))
    disk = Disk(Rule.STRICT)
    for number, step in enumerate(recording.steps):
        disk.take(number, step)
    image, _ = image_after(disk, Cut(after=0, rule=Rule.STRICT, survives=Survives.NONE))
    assert "lines/weld-3/journal/journal.sqlite" in image.files
    assert "lines/weld-3/journal/keys/log.key" in image.files


@pytest.mark.parametrize("moment", ["recording", "judging"])
async def test_given_up_leaves_nothing_behind(tmp_path: Path, moment: Any) -> None:
    def reached() -> Any:
        there = {path.suffix for path in tmp_path.glob("power-cut-*/*")}
        return ".strace" in there if moment == "recording" else there == {".wrapping"}

    async with asyncio.TaskGroup() as group:
        task = group.create_task(power_cuts(tmp_path, cuts=100_000, seed=1), name="power cuts")
        while not reached():  # noqa: ASYNC110 (the file system tells nobody)
            await asyncio.sleep(0.01)
        task.cancel()
    assert task.cancelled()
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240
    gone, alive = psutil.wait_procs(psutil.Process().children(recursive=True), timeout=10)
    assert not alive, gone


async def test_given_up_while_the_process_is_being_started_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawn, begun = asyncio.create_subprocess_exec, asyncio.Event()

    async def slowly(*command: str, **options: Any) -> Any:
        process = await spawn(*command, **options)
        begun.set()
        await asyncio.sleep(0.2)  # a machine that has much else to do
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", slowly)
    site = tmp_path / "site"
    site.mkdir()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(record(site, (sys.executable, "-c", "import time; time.sleep(1000)")))
        await begun.wait()
        task.cancel()
    assert task.cancelled()
    gone, alive = psutil.wait_procs(psutil.Process().children(recursive=True), timeout=10)
    assert not alive, gone


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
async def test_many_power_cuts_lose_nothing(
    tmp_path: Path, account: Callable[[FaultOutcome], None], seed: Any
) -> None:
    account(await power_cuts(tmp_path, cuts=MANY, seed=seed))


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_power_cut_after_every_call_loses_nothing(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    """Nothing survives that was not synchronised: the hardest disk that keeps its word."""
    recording = await recorded(tmp_path, 21)
    judged = judge_all(recording, each_with_nothing(recording))
    account(outcome(judged, note=f"nothing survives, after each of {len(recording.steps)} calls"))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("operation", "times"), [("init", 5), ("rotate", 5), ("wrap", 10), ("continue", 10)])
async def test_power_cut_at_each_call_with_names_and_keys_loses_nothing(
    tmp_path: Path, account: Callable[[FaultOutcome], None], operation: str, times: int
) -> None:
    """Where it matters which of several files and names is there: by chance, several times a call."""
    recording = await recorded(tmp_path, 41)
    judged = judge_all(recording, at_each_of(recording, [operation], times=times, seed=41))
    account(outcome(judged, note=f"{operation}, {times} times after each call"))


WEAKNESSES = {
    "off": "lost",
    "normal": "lost",
    "folders": "lost",
    "keys": "lost",
    "twice": "duplicated",
}


@pytest.mark.parametrize(
    "weakness",
    [
        pytest.param(weakness, marks=[] if weakness in ("normal", "folders") else pytest.mark.slow)
        for weakness in WEAKNESSES
    ],
)
async def test_power_cut_finds_out_a_journal_that_does_not_synchronise(tmp_path: Path, weakness: str) -> None:
    recording = await recorded(tmp_path, 31, command=(sys.executable, str(WEAK), weakness))
    found = outcome(judge_all(recording, by_chance(recording, FEW, 31)), note="weakened")
    assert getattr(found, WEAKNESSES[weakness]) > 0
    assert found.survived < found.injected
    assert "seed" in found.note
    assert "survived" in found.note
