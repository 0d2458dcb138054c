"""Cut the power at any moment of a journal's life, with every choice of unsynchronised writes lost.

A real process works on a real journal under strace, from `init` to its second generation. What it did to
its files is then played to a double of a disk; at each cut the double says what may be there afterwards, and
the journal is opened from that.
"""

import asyncio
import os
import random
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from linewitness.selftest.outcome import Outcome
from linewitness.selftest.power_disk import Disk, Rule
from linewitness.selftest.power_image import Cut, Grown, Survives, image_after
from linewitness.selftest.power_judge import Finding, Told, judge
from linewitness.selftest.power_truth import Truth
from linewitness.selftest.power_workload import JOURNAL
from linewitness.selftest.recording import NotRecorded, Recording, can_record, record
from linewitness.selftest.recording_steps import Said, Sync

FAULT: Final = "power cut, unsynchronised writes dropped"
#: What leaves most to chance is tried most.
_WEIGHTS: Final = {
    Survives.NONE: 2,
    Survives.ALL: 1,
    Survives.FIRST: 2,
    Survives.LAST: 2,
    Survives.SOME: 3,
    Survives.SECTORS: 4,
}
#: Failures that a note describes.
_DESCRIBED: Final = 3
_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108 (a folder of its own is made in it)


@dataclass(frozen=True, slots=True)
class Judged:
    """One cut, what the double let survive, and what was wrong afterwards."""

    cut: Cut
    operation: str
    survived: str
    finding: Finding

    def __str__(self) -> str:
        cut = self.cut
        wrong = "; ".join(self.finding.wrong) or f"{self.finding.lost} lost"
        return (
            f"{self.operation}, cut after call {cut.after}, {cut.rule} rule, {cut.survives} survived, "
            f"{cut.grown}, seed {cut.seed}: {wrong} [{self.survived}]"
        )


async def power_cuts(folder: Path, *, cuts: int, seed: int) -> Outcome:
    """Cut the power `cuts` times in one journal's life, by `seed`; `folder` is left as it was.

    Without strace nothing is injected, and the note says so.
    """
    if not can_record():
        return _nothing("strace is not installed: nothing was injected")
    try:
        recording = await _recorded_below(folder, seed)
    except NotRecorded as error:
        return _nothing(f"nothing was injected: {error}")
    chosen = by_chance(recording, cuts, seed)
    judged = await asyncio.to_thread(judge_all, recording, chosen)
    return outcome(judged, note=f"{len(recording.steps)} calls recorded, seed {seed}")


async def _recorded_below(folder: Path, seed: int) -> Recording:
    with tempfile.TemporaryDirectory(prefix="power-cut-", dir=folder) as work:
        return await recorded(Path(work), seed)


async def recorded(place: Path, seed: int, *, command: Sequence[str] = ()) -> Recording:
    """Record a journal's life in a new folder of `place`; `command` replaces what works on it."""
    # strace names files as the kernel does, without links in between.
    site = await asyncio.to_thread((place / f"site-{seed}").resolve)
    site.mkdir()
    program = command or (sys.executable, "-m", "linewitness.selftest.power_workload")
    recording = await record(site, (*program, str(site), str(seed)))
    check_complete(recording)
    shutil.rmtree(site)
    return recording


def check_complete(recording: Recording) -> None:
    """Require that the recording, played back, gives every file as it is; NotRecorded otherwise."""
    disk = Disk(Rule.STRICT)
    for number, step in enumerate((*recording.steps, Sync(inode=None))):
        disk.take(number, step)
    image, _ = image_after(disk, Cut(after=0, rule=Rule.STRICT, survives=Survives.NONE))
    found = {str(path.relative_to(recording.site)) for path in recording.site.rglob("*")}
    other = found ^ {*image.files, *image.folders}
    mapped = {path for path in image.files if path.endswith("-shm")}
    other |= {
        path
        for path, content in image.files.items()
        if path in found - mapped and (recording.site / path).read_bytes() != content
    }
    if other:
        raise NotRecorded(f"these files are not as they were recorded: {', '.join(sorted(other))}")


def by_chance(recording: Recording, cuts: int, seed: int) -> list[Cut]:
    """Choose cuts so that every operation has as many, however few calls it makes."""
    chance = random.Random(seed)  # noqa: S311 (a seed that can be repeated is the purpose)
    places: dict[str, list[int]] = defaultdict(list)
    operation = ""
    for number, step in enumerate(recording.steps):
        if isinstance(step, Said):
            operation = Truth.of_line(step.line).operation
        places[operation].append(number)
    operations = sorted(places)
    ways, weights = list(_WEIGHTS), list(_WEIGHTS.values())
    return [
        Cut(
            after=chance.choice(places[operations[number % len(operations)]]),
            rule=chance.choice(list(Rule)),
            survives=chance.choices(ways, weights)[0],
            grown=chance.choice(list(Grown)),
            seed=chance.getrandbits(32),
        )
        for number in range(cuts)
    ]


def each_with_nothing(recording: Recording) -> list[Cut]:
    """Return cuts after which nothing survives that was not synchronised, for every call.

    What is durable changes only where something is synchronised, and what was told only where something is
    said: the last call before either stands for those before it.
    """
    last = len(recording.steps) - 1
    ends = [
        number
        for number, _ in enumerate(recording.steps)
        if number == last or isinstance(recording.steps[number + 1], Sync | Said)
    ]
    return [Cut(after=number, rule=rule, survives=Survives.NONE) for rule in Rule for number in ends]


def judge_all(recording: Recording, cuts: Iterable[Cut]) -> list[Judged]:
    """Judge the cuts, one image after the other.

    The images lie in memory where there is a file system in memory: the disk is a double, and which real one
    its images lie on makes no difference but of time.
    """
    with tempfile.TemporaryDirectory(prefix="power-cut-", dir=_memory()) as work:
        return _judge_in(Path(work) / "image", recording, cuts)


def _memory() -> Path | None:
    return _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None


def _judge_in(image: Path, recording: Recording, cuts: Iterable[Cut]) -> list[Judged]:
    waiting: dict[int, list[Cut]] = defaultdict(list)
    for cut in cuts:
        waiting[cut.after].append(cut)
    disks = {rule: Disk(rule) for rule in Rule}
    judged: list[Judged] = []
    for number, (step, told) in enumerate(zip(recording.steps, _told(recording), strict=True)):
        for disk in disks.values():
            disk.take(number, step)
        judged.extend(_judge_one(disks[cut.rule], cut, told, image) for cut in waiting[number])
    return judged


def _judge_one(disk: Disk, cut: Cut, told: Told, place: Path) -> Judged:
    image, survived = image_after(disk, cut)
    image.write(place)
    try:
        finding = judge(place, JOURNAL, told)
    finally:
        shutil.rmtree(place)
    return Judged(cut, told.doing.operation, survived, finding)


def _told(recording: Recording) -> Iterator[Told]:
    """Yield for each step what was told when it was done."""
    said = [Truth.of_line(step.line) for step in recording.steps if isinstance(step, Said)]
    following: list[Truth | None] = []
    upcoming: Truth | None = None
    for truth in reversed(said):
        following.append(upcoming)
        upcoming = upcoming if truth.begun else truth
    following.append(upcoming)
    following.reverse()
    told = Told(last=None, doing=Truth(operation="start", begun=True), next=following[0])
    heard = 0
    for step in recording.steps:
        if isinstance(step, Said):
            truth = said[heard]
            heard += 1
            known = truth if truth.generation else None
            told = Told(last=known, doing=truth, next=following[heard])
        yield told


def outcome(judged: Sequence[Judged], *, note: str) -> Outcome:
    """Return the account of many cuts; the note describes the first of those that did harm."""
    bad = [each for each in judged if each.finding]
    harm = "".join(f"; {each}" for each in bad[:_DESCRIBED])
    return Outcome(
        fault=FAULT,
        injected=len(judged),
        survived=len(judged) - len(bad),
        lost=sum(each.finding.lost for each in bad),
        duplicated=sum(each.finding.duplicated for each in bad),
        note=note + harm,
    )


def _nothing(why: str) -> Outcome:
    return Outcome(fault=FAULT, injected=0, survived=0, lost=0, duplicated=0, note=why)
