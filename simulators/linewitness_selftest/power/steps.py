"""What a process did to files, reduced to what a disk has to know."""

from dataclasses import dataclass
from typing import Final

#: The folder that was recorded. Folders and files are numbered by themselves: a name may stand for another
#: file later, and a file may have several names.
SITE: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskStep:
    """One call: `call` is its name, `place` the path below the site that it was about, for people."""

    call: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enter(DiskStep):
    """A name in a folder stands for a file from now on: created, or a second name of an old file."""

    folder: int
    name: str
    inode: int
    is_folder: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave(DiskStep):
    """A name is taken out of a folder."""

    folder: int
    name: str
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved(DiskStep):
    """A file gets another name, in the same folder or another; what had that name before loses it."""

    folder: int
    name: str
    to_folder: int
    to: str
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Write(DiskStep):
    """Bytes are written at a place of a file."""

    inode: int
    offset: int
    data: bytes

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.offset + len(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize(DiskStep):
    """A file is cut off, or grows by zeros."""

    inode: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync(DiskStep):
    """A file or folder is made durable; None means all of them."""

    inode: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped(DiskStep):
    """A file is mapped into memory to be written there, unseen: nothing of it may matter."""

    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Said(DiskStep):
    """The process said a line on its standard output."""

    line: str


Entry = Enter | Leave | Moved
Change = Write | Resize
