"""A double of a disk with its file system: what is durable, what is not yet, and what a power cut may leave.

Two rules for the names in folders, one for the content of files:

`STRICT` knows only what POSIX promises. A name that was made, moved or taken away is durable when its folder
was synchronised, and each one that was not may be lost on its own. A rename happens whole or not at all,
also from one folder to another: it is durable when either of them was synchronised.

`ORDERED` is a file system with a journal of its own, as ext4 is by default: names, sizes and their order go
through that journal, so a beginning of them is there, and synchronising a file that is new or has grown
makes everything before it durable.

With both, of content that was not synchronised any part may be there: none, all, single writes in any order,
single sectors of one write. A file may have grown for a write that is lost, by zeros or by what lay there
before. Sectors are written whole or not at all, and writing one leaves its neighbours alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from linewitness.base.durable import open_private
from linewitness_selftest.power.steps import (
    SITE,
    Change,
    DiskStep,
    Enter,
    Entry,
    Leave,
    Mapped,
    Moved,
    Resize,
    Sync,
    Write,
)

#: What a mapped file holds after the cut: whatever.
_ANYTHING: Final = b"\xa5" * 32768


class Rule(StrEnum):
    """How names in folders become durable."""

    STRICT = "strict"
    ORDERED = "ordered"


@dataclass(slots=True)
class File:
    """One file: `durable` is what is certain, `pending` what was done to it since, in order."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, Change]] = field(default_factory=list)
    size: int = 0
    #: The number of the last step that changed its name or its size.
    shaped: int = -1
    mapped: bool = False


@dataclass(slots=True)
class Image:
    """What is on the disk after the cut: contents by path, and the folders."""

    files: dict[str, bytes | bytearray]
    folders: list[str]

    def write(self, site: Path) -> None:
        """Lay it into an empty folder, which is made."""
        site.mkdir()
        for folder in self.folders:
            (site / folder).mkdir()
        for path, content in self.files.items():
            # All that the workload makes is for its owner, and keys must be.
            with open_private(site / path) as file:
                file.write(content)


class Disk:
    """Follow the steps of a recording, and say at any of them what is durable and what is pending."""

    def __init__(self, rule: Rule) -> None:
        """Begin with an empty folder."""
        self.rule = rule
        self.files: dict[int, File] = {}
        #: The names that are certain, and what was done to names since, in order.
        self.folders: dict[int, dict[str, int]] = {SITE: {}}
        self.entries: list[tuple[int, Entry]] = []

    def take(self, number: int, step: DiskStep) -> None:
        """Go one step on; `number` is its place in the recording."""
        if isinstance(step, Enter | Leave | Moved):
            self._entry(number, step)
        elif isinstance(step, Write | Resize):
            self._change(number, step)
        elif isinstance(step, Mapped):
            self.files[step.inode].mapped = True
        elif isinstance(step, Sync):
            self._sync(step.inode)

    def pending(self) -> list[tuple[int, Change]]:
        """Return all changes of contents that are not durable, in the order in which they were made.

        Those of files that have no name any more, and cannot have one after a cut, are left out.
        """
        named = {inode for names in self.folders.values() for inode in names.values()}
        named.update(entry.inode for _, entry in self.entries)
        found = [
            change
            for inode, file in self.files.items()
            if inode in named and not file.mapped
            for change in file.pending
        ]
        return sorted(found, key=lambda change: change[0])

    def _entry(self, number: int, step: Entry) -> None:
        if isinstance(step, Enter) and step.is_folder:
            self.folders[step.inode] = {}
        elif isinstance(step, Enter):
            self.files.setdefault(step.inode, File())
        if step.inode in self.files:
            self.files[step.inode].shaped = number
        self.entries.append((number, step))

    def _change(self, number: int, step: Change) -> None:
        file = self.files[step.inode]
        size = max(file.size, step.end) if isinstance(step, Write) else step.size
        if size != file.size:
            file.size, file.shaped = size, number
        file.pending.append((number, step))

    def _sync(self, inode: int | None) -> None:
        for each in list(self.files) if inode is None else [inode]:
            if each in self.files:
                self._sync_file(self.files[each])
        if inode is None:
            self._settle(lambda _number, _entry: True)
        elif inode in self.folders:
            self._sync_folder(inode)

    def _sync_file(self, file: File) -> None:
        for _, change in file.pending:
            apply(file.durable, change)
        file.pending.clear()
        if self.rule is Rule.ORDERED:
            shaped = file.shaped
            self._settle(lambda number, _entry: number <= shaped)

    def _sync_folder(self, inode: int) -> None:
        about = [number for number, entry in self.entries if inode in _folders(entry)]
        if self.rule is Rule.ORDERED:
            last = max(about, default=-1)
            self._settle(lambda number, _entry: number <= last)
        else:
            wanted = self._with_what_they_need(set(about))
            self._settle(lambda number, _entry: number in wanted)

    def _with_what_they_need(self, wanted: set[int]) -> set[int]:
        """Add the earlier entries of the same files and names: a file that moves must have been made."""
        needed: set[object] = set()
        for number, entry in reversed(self.entries):
            about = {entry.inode, (entry.folder, entry.name)}
            if number in wanted or about & needed:
                wanted.add(number)
                needed |= about
        return wanted

    def _settle(self, durable: Callable[[int, Entry], bool]) -> None:
        rest = []
        for number, entry in self.entries:
            if durable(number, entry):
                enter(self.folders, entry)
            else:
                rest.append((number, entry))
        self.entries = rest


def apply(content: bytearray, change: Change) -> None:
    """Do to a content what a write or a cut does."""
    if isinstance(change, Resize):
        del content[change.size :]
        content.extend(bytes(change.size - len(content)))
        return
    content.extend(bytes(max(0, change.offset - len(content))))
    content[change.offset : change.end] = change.data


def enter(folders: dict[int, dict[str, int]], entry: Entry) -> bool:
    """Do to names what an entry does; False where others that it builds on did not survive."""
    names = folders[entry.folder]
    if isinstance(entry, Enter):
        names[entry.name] = entry.inode
        return True
    if names.get(entry.name) != entry.inode:
        return False
    if isinstance(entry, Moved):
        target = folders[entry.to_folder]
        if folders.get(target.get(entry.to, -1)):
            return False
        target[entry.to] = entry.inode
    del names[entry.name]
    return True


def _folders(entry: Entry) -> set[int]:
    """Return the folders whose names an entry changes."""
    return {entry.folder, entry.to_folder} if isinstance(entry, Moved) else {entry.folder}


def tree(folders: dict[int, dict[str, int]]) -> Iterator[tuple[str, int]]:
    """Yield path and number of everything that can be reached, folders before what is in them."""
    waiting = [("", SITE)]
    while waiting:
        path, inode = waiting.pop()
        for name, each in folders[inode].items():
            place = f"{path}{name}"
            yield place, each
            if each in folders:
                waiting.append((f"{place}/", each))


def image_of(files: dict[int, File], folders: dict[int, dict[str, int]], contents: dict[int, bytes]) -> Image:
    """Return the image of what can be reached; `contents` are those that differ from what is durable."""
    image = Image({}, [])
    for path, inode in tree(folders):
        if inode in folders:
            image.folders.append(path)
        elif files[inode].mapped:
            image.files[path] = _ANYTHING
        else:
            image.files[path] = contents[inode] if inode in contents else files[inode].durable
    return image
