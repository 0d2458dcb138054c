"""Cut the audit store's power with unsynchronised writes dropped: what it gave a receipt for, it has."""

import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linewitness_selftest.outcome import FaultOutcome
from linewitness_selftest.power.cuts import check_complete, each_with_nothing
from linewitness_selftest.power.disk import Disk, Rule
from linewitness_selftest.power.image import Cut, Grown, Survives, image_after
from linewitness_selftest.power.recording import record
from linewitness_selftest.power.steps import Said
from support.store_rig import Work, judge, outcome, told

WORKLOAD = Path(__file__).parents[1] / "support" / "store_workload.py"
FAULT = "power cut of the store, unsynchronised writes dropped"
FEW, MANY = 60, 300


async def recorded(place: Path, work: Work, *weakness: str) -> Any:
    """Return all that a store did to its files."""
    site = place / "site"
    site.mkdir()
    try:
        program = (sys.executable, str(WORKLOAD))
        recording = await record(site, (*program, str(site), str(work.file), *weakness))
        check_complete(recording)
    finally:
        shutil.rmtree(site)
    return recording


async def judged(recording: Any, cuts: Any, work: Any, place: Any) -> Any:
    """Return (lost, duplicated, what is wrong) of each cut."""
    waiting: dict[Any, Any] = {}
    for cut in cuts:
        waiting.setdefault(cut.after, []).append(cut)
    saying = told(step.line for step in recording.steps if isinstance(step, Said))
    said = next(saying)
    disks, found = {rule: Disk(rule) for rule in Rule}, []
    for number, step in enumerate(recording.steps):
        said = next(saying) if isinstance(step, Said) else said
        for disk in disks.values():
            disk.take(number, step)
        for cut in waiting.get(number, ()):
            image, survived = image_after(disks[cut.rule], cut)
            image.write(place)
            lost, duplicated, wrong = await judge(place, said, work)
            found.append((lost, duplicated, f"{wrong} {cut} [{survived}]" if wrong else ""))
            shutil.rmtree(place)
    return found


def by_chance(recording: Any, count: int, seed: Any) -> Any:
    chance = random.Random(seed)
    return [
        Cut(
            after=chance.randrange(len(recording.steps)),
            rule=chance.choice(list(Rule)),
            survives=chance.choice(list(Survives)),
            grown=chance.choice(list(Grown)),
            seed=chance.getrandbits(32),
        )
        for _ in range(count)
    ]


async def test_power_cut_of_the_store_loses_nothing_that_has_a_receipt(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    work = Work(tmp_path)
    recording = await recorded(tmp_path, work)
    found = await judged(recording, by_chance(recording, FEW, 1), work, tmp_path / "image")
    account(outcome(FAULT, found, f"{len(recording.steps)} calls recorded"))


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_many_power_cuts_of_the_store_lose_nothing_that_has_a_receipt(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    work = Work(tmp_path)
    recording = await recorded(tmp_path, work)
    cuts = by_chance(recording, MANY, 2) + each_with_nothing(recording)
    found = await judged(recording, cuts, work, tmp_path / "image")
    note = f"{len(recording.steps)} calls recorded, and each with nothing that survives"
    account(outcome(FAULT, found, note))


@pytest.mark.parametrize("weakness", [pytest.param("normal", marks=pytest.mark.slow), "folders"])
async def test_power_cut_finds_out_a_store_that_does_not_synchronise(tmp_path: Path, weakness: str) -> None:
    work = Work(tmp_path)
    recording = await recorded(tmp_path, work, weakness)
    cuts = [
        Cut(after=number, rule=Rule.STRICT, survives=Survives.NONE)
        for number in range(0, len(recording.steps), 1 + len(recording.steps) // FEW)
    ]
    found = await judged(recording, cuts, work, tmp_path / "image")
    assert sum(lost for lost, _, _ in found) > 0
