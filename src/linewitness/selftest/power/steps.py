"""What a process did to files, reduced to what a disk has to know."""

from dataclasses import dataclass
from typing import Final

#: The folder that was recorded. Folders and files are numbered by themselves: a name may stand for another
#: file later, and a file may have several names.
SITE: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call: `call` is its name, `place` the path below the site that it was about, for people."""

    call: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enter(Step):
    """A name in a folder stands for a file from now on: created, or a second name of an old file."""

    folder: int
    name: str
    inode: int
    is_folder: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave(Step):
    """A name is taken out of a folder."""

    folder: int
    name: str
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Move(Step):
    """A file gets another name, in the same folder or another; what had that name before loses it."""

    folder: int
    name: str
    to_folder: int
    to: str
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Write(Step):
    """Bytes are written at a place of a file."""

    inode: int
    offset: int
    data: bytes

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.offset + len(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize(Step):
    """A file is cut off, or grows by zeros."""

    inode: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync(Step):
    """A file or folder is made durable; None means all of them."""

    inode: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped(Step):
    """A file is mapped into memory to be written there, unseen: nothing of it may matter."""

    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Said(Step):
    """The process said a line on its standard output."""

    line: str


Entry = Enter | Leave | Move
Change = Write | Resize
