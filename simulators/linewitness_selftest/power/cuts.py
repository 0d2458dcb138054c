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
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Final

from linewitness_selftest.outcome import FaultOutcome
from linewitness_selftest.power.disk import Disk, Rule
from linewitness_selftest.power.image import Cut, Grown, Survives, image_after
from linewitness_selftest.power.judge import Finding, judge
from linewitness_selftest.power.recording import NotRecorded, Recording, can_record, record
from linewitness_selftest.power.steps import Said, Sync
from linewitness_selftest.power.truth import ToldDurable, Truth
from linewitness_selftest.power.workload import JOURNAL

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
#: Of so many cuts one is recovered from under strace, and that recovery is cut so many times.
_RECOVERY: Final = 200
_CUTS_OF_RECOVERY: Final = 40
_WORKLOAD: Final = (sys.executable, "-m", "linewitness_selftest.power.workload")
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


async def power_cuts(folder: Path, *, cuts: int, seed: int) -> FaultOutcome:
    """Cut the power `cuts` times in one journal's life, by `seed`; `folder` is left as it was.

    Without strace nothing is injected, and the note says so.
    """
    if not can_record():
        return _nothing("strace is not installed: nothing was injected")
    again = cuts // _RECOVERY
    try:
        with tempfile.TemporaryDirectory(prefix="power-cut-", dir=folder) as work:
            recording = await recorded(Path(work), seed)
            chosen = by_chance(recording, cuts - again * _CUTS_OF_RECOVERY, seed)
            judged = await _judged(recording, chosen)
            judged += await recovering(Path(work), recording, times=again, seed=seed)
    except NotRecorded as error:
        return _nothing(f"nothing was injected: {error}")
    return outcome(judged, note=f"{len(recording.steps)} calls recorded, seed {seed}")


async def recorded(place: Path, seed: int, *, command: Sequence[str] = ()) -> Recording:
    """Record a journal's life in a new folder of `place`; `command` replaces what works on it."""
    program = command or _WORKLOAD
    # strace names files as the kernel does, without links in between.
    site = await asyncio.to_thread((place / f"site-{seed}").resolve)
    site.mkdir()
    try:
        recording = await record(site, (*program, str(site), str(seed)))
        check_complete(recording)
    finally:
        shutil.rmtree(site)
    return recording


async def recovering(place: Path, recording: Recording, *, times: int, seed: int) -> list[Judged]:
    """Cut the power, and cut it again while the journal is opened from what is left and goes on."""
    chance = random.Random(seed)
    candidates = [cut for cut in by_chance(recording, times * 20, seed) if _goes_on(recording, cut)]
    site = await asyncio.to_thread((place / f"again-{seed}").resolve)
    judged: list[Judged] = []
    for cut in chance.sample(candidates, times):
        told = _leave(recording, cut, site)
        try:
            again = await record(site, (*_WORKLOAD, str(site), str(cut.seed), told.to_line()))
            check_complete(again)
        finally:
            shutil.rmtree(site)
        chosen = by_chance(again, _CUTS_OF_RECOVERY, cut.seed)
        judged += await _judged(again, chosen)
    return judged


def _goes_on(recording: Recording, cut: Cut) -> bool:
    """Return whether the stream goes on as it is after a cut, without an operator."""
    told = _told(recording)[cut.after]
    return told.last is not None and told.doing.operation != "continue"


def _leave(recording: Recording, cut: Cut, site: Path) -> ToldDurable:
    """Lay out what a cut leaves; return what was told by then."""
    disk = Disk(cut.rule)
    for number, step in enumerate(recording.steps[: cut.after + 1]):
        disk.take(number, step)
    image, _ = image_after(disk, cut)
    image.write(site)
    return _told(recording)[cut.after]


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
    chance = random.Random(seed)
    places = places_of(recording)
    operations = sorted(places)
    return [
        _by_chance(chance.choice(places[operations[number % len(operations)]]), chance)
        for number in range(cuts)
    ]


def at_each_of(recording: Recording, operations: Iterable[str], *, times: int, seed: int) -> list[Cut]:
    """Return cuts after every call of some operations, `times` with chance for each."""
    chance = random.Random(seed)
    places = places_of(recording)
    return [
        _by_chance(number, chance)
        for operation in operations
        for number in places[operation]
        for _ in range(times)
    ]


def places_of(recording: Recording) -> dict[str, list[int]]:
    """Return the numbers of the steps of each operation."""
    places: dict[str, list[int]] = defaultdict(list)
    operation = ""
    for number, step in enumerate(recording.steps[recording.given :], recording.given):
        if isinstance(step, Said):
            operation = Truth.of_line(step.line).operation
        places[operation].append(number)
    return places


def _by_chance(after: int, chance: random.Random) -> Cut:
    return Cut(
        after=after,
        rule=chance.choice(list(Rule)),
        survives=chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0],
        grown=chance.choice(list(Grown)),
        seed=chance.getrandbits(32),
    )


def each_with_nothing(recording: Recording) -> list[Cut]:
    """Return cuts after which nothing survives that was not synchronised, for every call.

    What is durable changes only where something is synchronised, and what was told only where something is
    said: the last call before either stands for those before it.
    """
    last = len(recording.steps) - 1
    ends = [
        number
        for number in range(recording.given, last + 1)
        if number == last or isinstance(recording.steps[number + 1], Sync | Said)
    ]
    return [Cut(after=number, rule=rule, survives=Survives.NONE) for rule in Rule for number in ends]


async def _judged(recording: Recording, cuts: Iterable[Cut]) -> list[Judged]:
    """Judge in a thread, which ends with the image that it has when it is given up."""
    given_up = threading.Event()
    try:
        return await asyncio.to_thread(judge_all, recording, cuts, given_up.is_set)
    finally:
        given_up.set()


def judge_all(
    recording: Recording, cuts: Iterable[Cut], given_up: Callable[[], bool] = lambda: False
) -> list[Judged]:
    """Judge the cuts, one image after the other, until all are judged or it is given up.

    The images lie in memory where there is a file system in memory: the disk is a double, and which real one
    its images lie on makes no difference but of time.
    """
    with tempfile.TemporaryDirectory(prefix="power-cut-", dir=_memory()) as work:
        return list(takewhile(lambda _: not given_up(), _judge_in(Path(work) / "image", recording, cuts)))


def _memory() -> Path | None:
    return _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None


def _judge_in(image: Path, recording: Recording, cuts: Iterable[Cut]) -> Iterator[Judged]:
    waiting: dict[int, list[Cut]] = defaultdict(list)
    for cut in cuts:
        waiting[cut.after].append(cut)
    disks = {rule: Disk(rule) for rule in Rule}
    for number, (step, told) in enumerate(zip(recording.steps, _told(recording), strict=True)):
        for disk in disks.values():
            disk.take(number, step)
        for cut in waiting[number]:
            yield _judge_one(disks[cut.rule], cut, told, image)


def _judge_one(disk: Disk, cut: Cut, told: ToldDurable, place: Path) -> Judged:
    image, survived = image_after(disk, cut)
    image.write(place)
    try:
        finding = judge(place, JOURNAL, told)
    finally:
        shutil.rmtree(place)
    return Judged(cut, told.doing.operation, survived, finding)


def _told(recording: Recording) -> list[ToldDurable]:
    """Return for each step what was told when it was done."""
    said = [Truth.of_line(step.line) for step in recording.steps if isinstance(step, Said)]
    following: list[Truth | None] = []
    upcoming: Truth | None = None
    for truth in reversed(said):
        following.append(upcoming)
        upcoming = upcoming if truth.begun else truth
    following.append(upcoming)
    following.reverse()
    told = ToldDurable(last=None, doing=Truth(operation="start", begun=True), next=following[0])
    heard = 0
    found: list[ToldDurable] = []
    for step in recording.steps:
        if isinstance(step, Said):
            truth = said[heard]
            heard += 1
            known = truth if truth.generation else None
            told = ToldDurable(last=known, doing=truth, next=following[heard])
        found.append(told)
    return found


def outcome(judged: Sequence[Judged], *, note: str) -> FaultOutcome:
    """Return the account of many cuts; the note describes the first of those that did harm."""
    bad = [each for each in judged if each.finding]
    harm = "".join(f"; {each}" for each in bad[:_DESCRIBED])
    return FaultOutcome(
        fault=FAULT,
        injected=len(judged),
        survived=len(judged) - len(bad),
        lost=sum(each.finding.lost for each in bad),
        duplicated=sum(each.finding.duplicated for each in bad),
        note=note + harm,
    )


def _nothing(why: str) -> FaultOutcome:
    return FaultOutcome(fault=FAULT, injected=0, survived=0, lost=0, duplicated=0, note=why)
