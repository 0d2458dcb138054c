"""Choose, by a seed, what of the writes that were not synchronised has survived a power cut."""

import random
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from linewitness_selftest.power.disk import Disk, File, Image, Rule, apply, enter, image_of
from linewitness_selftest.power.steps import Change, Entry, Write

SECTORS: Final = (512, 4096)
#: How many of the writes a description names.
NAMED: Final = 12


class Survives(StrEnum):
    """Which of the writes that nobody synchronised are on the disk."""

    NONE = "none"
    ALL = "all"
    FIRST = "the first ones"
    LAST = "the last ones"
    SOME = "some"
    SECTORS = "single sectors"


class Grown(StrEnum):
    """What a file holds where a write beyond its end was lost."""

    SHORT = "not grown"
    ZEROS = "grown by zeros"
    RUBBISH = "grown by what lay there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A power cut after step `after` of a recording: by which rule, what survives, and the seed of chance."""

    after: int
    rule: Rule
    survives: Survives
    grown: Grown = Grown.SHORT
    seed: int = 0


@dataclass(slots=True)
class _Account:
    """What survived, for people."""

    kept: list[str]
    torn: list[str]
    lost: list[str]

    def __str__(self) -> str:
        parts = {"there": self.kept, "torn": self.torn, "lost": self.lost}
        return "; ".join(f"{name}: {_short(which)}" for name, which in parts.items() if which) or "all synced"


def image_after(disk: Disk, cut: Cut) -> tuple[Image, str]:
    """Return the image that a cut leaves of a disk, and which writes and names it has kept."""
    chance = random.Random(cut.seed)
    account = _Account([], [], [])
    folders = _names(disk, cut, chance, account)
    contents = _contents(disk, cut, chance, account)
    return image_of(disk.files, folders, contents), str(account)


def _names(disk: Disk, cut: Cut, chance: random.Random, account: _Account) -> dict[int, dict[str, int]]:
    """Return the names that are there after the cut."""
    folders = {inode: dict(names) for inode, names in disk.folders.items()}
    kept = _kept_entries(disk, cut, chance)
    for at, (number, entry) in enumerate(disk.entries):
        survives = at in kept and enter(folders, entry)
        (account.kept if survives else account.lost).append(_described(number, entry))
    return folders


def _kept_entries(disk: Disk, cut: Cut, chance: random.Random) -> set[int]:
    count = len(disk.entries)
    if cut.survives is Survives.NONE:
        return set()
    if cut.survives is Survives.ALL:
        return set(range(count))
    if disk.rule is Rule.ORDERED or cut.survives is Survives.FIRST:
        return set(range(chance.randint(0, count)))
    if cut.survives is Survives.LAST:
        return set(range(chance.randint(0, count), count))
    return {at for at in range(count) if chance.random() < _HALF}


def _contents(disk: Disk, cut: Cut, chance: random.Random, account: _Account) -> dict[int, bytes]:
    """Return the contents of the files of which something was pending."""
    pending = disk.pending()
    kept = _kept_writes(pending, cut, chance)
    contents: dict[int, bytearray] = {}
    for at, (number, change) in enumerate(pending):
        file = disk.files[change.inode]
        if change.inode not in contents:
            contents[change.inode] = bytearray(file.durable)
            _grow(contents[change.inode], file, cut.grown, chance)
        content = contents[change.inode]
        described = _described(number, change)
        if at in kept:
            apply(content, change)
            account.kept.append(described)
        elif cut.survives is Survives.SECTORS and isinstance(change, Write):
            some = _tear(content, change, chance)
            (account.torn if some else account.lost).append(described)
        else:
            account.lost.append(described)
    for inode, content in contents.items():
        _grow(content, disk.files[inode], cut.grown, chance)
    return {inode: bytes(content) for inode, content in contents.items()}


def _kept_writes(pending: list[tuple[int, Change]], cut: Cut, chance: random.Random) -> set[int]:
    count = len(pending)
    middle = chance.randint(0, count)
    match cut.survives:
        case Survives.NONE:
            return set()
        case Survives.ALL:
            return set(range(count))
        case Survives.FIRST:
            return set(range(middle))
        case Survives.LAST:
            return set(range(middle, count))
        case Survives.SOME:
            return {at for at in range(count) if chance.random() < _HALF}
        case Survives.SECTORS:
            # Most are torn; some are there as a whole, or a tear would seldom matter.
            return {at for at in range(count) if chance.random() < _HALF / 2}


def _tear(content: bytearray, change: Write, chance: random.Random) -> bool:
    """Let some sectors of a write survive; say whether any did."""
    sector = chance.choice(SECTORS)
    survived = False
    start = change.offset
    while start < change.end:
        end = min(change.end, start - start % sector + sector)
        if chance.random() < _HALF:
            part = change.data[start - change.offset : end - change.offset]
            apply(content, Write(inode=change.inode, offset=start, data=part))
            survived = True
        start = end
    return survived


def _grow(content: bytearray, file: File, grown: Grown, chance: random.Random) -> None:
    """Let a file be as long as it was for the process, with something else in it."""
    missing = file.size - len(content)
    if grown is Grown.SHORT or missing <= 0:
        return
    content.extend(bytes(missing) if grown is Grown.ZEROS else chance.randbytes(missing))


def _described(number: int, step: Entry | Change) -> str:
    where = f" {step.offset}+{len(step.data)}" if isinstance(step, Write) else ""
    return f"{number} {step.call} {step.place}{where}"


def _short(which: list[str]) -> str:
    """Name a few, and count the others."""
    if len(which) <= NAMED:
        return ", ".join(which)
    calls = Counter(each.split()[1] for each in which[NAMED:])
    more = ", ".join(f"{count} {call}" for call, count in calls.items())
    return f"{', '.join(which[:NAMED])} and {more}"


_HALF: Final = 0.5
