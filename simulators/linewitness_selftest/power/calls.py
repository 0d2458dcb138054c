"""Read strace's lines into steps, and refuse whatever could change a file without our knowing."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from linewitness_selftest.power.arguments import bytes_of, number_of, path_of, text_of
from linewitness_selftest.power.steps import (
    SITE,
    DiskStep,
    Enter,
    Leave,
    Mapped,
    Moved,
    Resize,
    Said,
    Sync,
    Write,
)

_LINE: Final = re.compile(r"(?:(\d+) +)?(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+|\?)")
_STANDARD_OUTPUT: Final = 1
#: Flags under which writing is durable, or happens past the cache: not used by us, and not modelled.
_OTHER_WRITING: Final = ("O_SYNC", "O_DSYNC", "O_DIRECT|", "O_TMPFILE")
#: A file that may be mapped: the index of the log, which SQLite builds anew after a crash.
_INDEX: Final = "-shm"


def parse(lines: Iterable[str], site: Path, given: Iterable[DiskStep] = ()) -> Iterator[DiskStep]:
    """Yield the steps of a trace of one process below `site`; ValueError for what they could not express.

    `given` are the steps that make what was there before.
    """
    reading = _Reading(site)
    reading.begin(given)
    marks = ("".join(f"\\x{byte:02x}" for byte in bytes(site)), "write(1<")
    for line in lines:
        found = _LINE.match(line)
        if found is None:
            if marks[0] in line:
                raise ValueError(f"a call that others interrupted: {line[:200]}")
            continue
        process, call, arguments, result = found.groups()
        if result.startswith("-") or result == "?":
            continue
        about_site = marks[0] in line
        if about_site:
            reading.alone(process)
        yield from reading.call(call, arguments.split(", "), int(result, 0), about_site=about_site)


@dataclass(slots=True)
class _Open:
    inode: int
    place: str
    offset: int = 0
    appends: bool = False


class _Reading:
    """The state of the process as far as it matters: names, and what its numbers of files stand for."""

    def __init__(self, site: Path) -> None:
        self._site = PurePosixPath(site)
        self._names: dict[int, dict[str, int]] = {SITE: {}}
        self._sizes: dict[int, int] = {}
        self._open: dict[int, _Open] = {}
        self._process: str | None = None
        self._said = b""
        self._handlers: dict[str, Callable[[str, list[str], int], Iterable[DiskStep]]] = {
            **dict.fromkeys(("open", "creat", "openat"), self._opened),
            "close": self._closed,
            **dict.fromkeys(("dup", "dup2", "dup3"), self._duplicated),
            "fcntl": self._controlled,
            "lseek": self._sought,
            **dict.fromkeys(("write", "pwrite64"), self._written),
            "ftruncate": self._cut,
            **dict.fromkeys(("fsync", "fdatasync"), self._synced),
            **dict.fromkeys(("sync", "syncfs"), self._synced_all),
            **dict.fromkeys(("rename", "renameat", "renameat2"), self._renamed),
            **dict.fromkeys(("link", "linkat"), self._linked),
            **dict.fromkeys(("unlink", "unlinkat", "rmdir"), self._removed),
            **dict.fromkeys(("mkdir", "mkdirat"), self._made),
            "mmap": self._mapped,
        }

    def begin(self, given: Iterable[DiskStep]) -> None:
        """Take over what was there before."""
        for step in given:
            if isinstance(step, Enter):
                self._names[step.folder][step.name] = step.inode
                self._sizes[step.inode] = 0
                if step.is_folder:
                    self._names[step.inode] = {}
            elif isinstance(step, Write):
                self._sizes[step.inode] = step.end

    def alone(self, process: str | None) -> None:
        """Require that one process does all the work: the order of several is not certain."""
        if self._process not in (None, process):
            raise ValueError("more than one process or thread works on the files")
        self._process = process

    def call(self, call: str, arguments: list[str], result: int, *, about_site: bool) -> Iterable[DiskStep]:
        """Return the steps of one call that succeeded."""
        handler = self._handlers.get(call)
        if handler is not None:
            return handler(call, arguments, result)
        if about_site or call.startswith("io_"):
            raise ValueError(f"{call} is not modelled")
        return ()

    def _opened(self, call: str, arguments: list[str], result: int) -> Iterator[DiskStep]:
        path = self._path(arguments)
        self._open.pop(result, None)
        if path is None:
            return
        flags = arguments[2 if call == "openat" else 1]
        if call == "creat" or any(flag in f"{flags}|" for flag in _OTHER_WRITING):
            raise ValueError(f"{path} is opened in a way that is not modelled: {flags}")
        if path == self._site:
            self._open[result] = _Open(SITE, ".")
            return
        folder, name = self._folder(path)
        place = self._place(path)
        inode = self._names[folder].get(name)
        if inode is None:
            step = self._new(call, path, is_folder=False)
            inode = step.inode
            yield step
        elif "O_TRUNC" in flags and self._sizes[inode]:
            self._sizes[inode] = 0
            yield Resize(call=call, place=place, inode=inode, size=0)
        self._open[result] = _Open(inode, place, appends="O_APPEND" in flags)

    def _closed(self, _call: str, arguments: list[str], _result: int) -> Iterable[DiskStep]:
        self._open.pop(number_of(arguments[0]), None)
        return ()

    def _duplicated(self, _call: str, arguments: list[str], result: int) -> Iterable[DiskStep]:
        file = self._open.get(number_of(arguments[0]))
        self._open.pop(result, None)
        if file is not None:
            self._open[result] = file
        return ()

    def _controlled(self, call: str, arguments: list[str], result: int) -> Iterable[DiskStep]:
        return self._duplicated(call, arguments, result) if arguments[1].startswith("F_DUPFD") else ()

    def _sought(self, _call: str, arguments: list[str], result: int) -> Iterable[DiskStep]:
        file = self._open.get(number_of(arguments[0]))
        if file is not None:
            file.offset = result
        return ()

    def _written(self, call: str, arguments: list[str], result: int) -> Iterator[DiskStep]:
        number = number_of(arguments[0])
        file = self._open.get(number)
        if file is None:
            if number == _STANDARD_OUTPUT:
                yield from self._hear(bytes_of(arguments[1])[:result])
            elif self._below(path_of(arguments[0])) is not None:
                raise ValueError(f"a write to a file that nobody opened: {path_of(arguments[0])}")
            return
        data = bytes_of(arguments[1])[:result]
        if len(data) != result:
            raise ValueError(f"data of a write to {file.place} are missing")
        offset = int(arguments[3]) if call == "pwrite64" else file.offset
        if call == "write":
            offset = self._sizes[file.inode] if file.appends else offset
            file.offset = offset + result
        self._sizes[file.inode] = max(self._sizes[file.inode], offset + result)
        yield Write(call=call, place=file.place, inode=file.inode, offset=offset, data=data)

    def _hear(self, data: bytes) -> Iterator[DiskStep]:
        *lines, self._said = (self._said + data).split(b"\n")
        for line in lines:
            yield Said(call="said", line=line.decode())

    def _cut(self, call: str, arguments: list[str], _result: int) -> Iterator[DiskStep]:
        file = self._open.get(number_of(arguments[0]))
        if file is not None:
            size = self._sizes[file.inode] = int(arguments[1], 0)
            yield Resize(call=call, place=file.place, inode=file.inode, size=size)

    def _synced(self, call: str, arguments: list[str], _result: int) -> Iterator[DiskStep]:
        file = self._open.get(number_of(arguments[0]))
        if file is not None:
            yield Sync(call=call, place=file.place, inode=file.inode)

    @staticmethod
    def _synced_all(call: str, _arguments: list[str], _result: int) -> Iterator[DiskStep]:
        yield Sync(call=call, inode=None)

    def _renamed(self, call: str, arguments: list[str], _result: int) -> Iterator[DiskStep]:
        if call == "renameat2" and arguments[4] not in ("0", "RENAME_NOREPLACE"):
            raise ValueError(f"renameat2 with {arguments[4]} is not modelled")
        pairs = 2 if call == "rename" else 4
        old = self._path(arguments[: pairs // 2])
        new = self._path(arguments[pairs // 2 : pairs])
        if old is None and new is None:
            return
        if old is None or new is None:
            raise ValueError(f"a rename across the site's border is not modelled: {old}, {new}")
        folder, name = self._folder(old)
        to_folder, to = self._folder(new)
        place = self._place(new)
        inode = self._names[folder].pop(name)
        self._names[to_folder][to] = inode
        for file in self._open.values():
            file.place = place if file.inode == inode else file.place
        yield Moved(call=call, place=place, folder=folder, name=name, to_folder=to_folder, to=to, inode=inode)

    def _linked(self, call: str, arguments: list[str], _result: int) -> Iterator[DiskStep]:
        pairs = 2 if call == "link" else 4
        old = self._path(arguments[: pairs // 2])
        new = self._path(arguments[pairs // 2 : pairs])
        if old is None or new is None:
            if old != new:
                raise ValueError(f"a link across the site's border is not modelled: {old}, {new}")
            return
        from_folder, from_name = self._folder(old)
        folder, name = self._folder(new)
        inode = self._names[folder][name] = self._names[from_folder][from_name]
        yield Enter(call=call, place=self._place(new), folder=folder, name=name, inode=inode)

    def _removed(self, call: str, arguments: list[str], _result: int) -> Iterator[DiskStep]:
        path = self._path(arguments)
        if path is None:
            return
        folder, name = self._folder(path)
        inode = self._names[folder].pop(name)
        yield Leave(call=call, place=self._place(path), folder=folder, name=name, inode=inode)

    def _made(self, call: str, arguments: list[str], _result: int) -> Iterator[DiskStep]:
        path = self._path(arguments)
        if path is not None and path != self._site:
            yield self._new(call, path, is_folder=True)

    def _mapped(self, call: str, arguments: list[str], _result: int) -> Iterator[DiskStep]:
        file = self._open.get(number_of(arguments[4])) if arguments[4] != "-1" else None
        if file is None or "PROT_WRITE" not in arguments[2] or "MAP_SHARED" not in arguments[3]:
            return
        if not file.place.endswith(_INDEX):
            raise ValueError(f"{file.place} is written through memory, which cannot be recorded")
        yield Mapped(call=call, place=file.place, inode=file.inode)

    def _new(self, call: str, path: PurePosixPath, *, is_folder: bool) -> Enter:
        folder, name = self._folder(path)
        inode = 1 + len(self._sizes)
        self._sizes[inode] = 0
        self._names[folder][name] = inode
        if is_folder:
            self._names[inode] = {}
        place = self._place(path)
        return Enter(call=call, place=place, folder=folder, name=name, inode=inode, is_folder=is_folder)

    def _path(self, arguments: list[str]) -> PurePosixPath | None:
        """Return the path that a call names, first or after the folder that it is relative to."""
        first = arguments[0]
        if first.startswith('"'):
            return self._below(text_of(first))
        return self._below(str(PurePosixPath(path_of(first)) / text_of(arguments[1])))

    def _below(self, text: str) -> PurePosixPath | None:
        path = PurePosixPath(text)
        if path != self._site and self._site not in path.parents:
            return None
        if ".." in path.parts:
            raise ValueError(f"a path that goes up: {path}")
        return path

    def _folder(self, path: PurePosixPath) -> tuple[int, str]:
        """Return the number of the folder that a path is in, and its name there."""
        *folders, name = path.relative_to(self._site).parts
        at = SITE
        for folder in folders:
            at = self._names[at][folder]
        return at, name

    def _place(self, path: PurePosixPath) -> str:
        return str(path.relative_to(self._site))
