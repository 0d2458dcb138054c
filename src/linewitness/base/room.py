"""Find out whether a disk has room: by the error that it gave, or by a file that is written and removed."""

import errno
import os
import resource
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

#: What a disk, a quota and a limit of a file's size say where nothing more can be written.
_NO_ROOM: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
#: This much must be free before anything is tried again: with less, the next commit would fail as well.
PROBE_BYTES: Final = 1024 * 1024
_NAME: Final = ".room"
#: A folder in which less is free has no room, also for a reader, who writes nothing to find out.
_LEAST_FREE: Final = 64 * 1024
_NO_SPACE: Final = os.strerror(errno.ENOSPC)


def is_refusal(error: OSError) -> bool:
    """Return whether an error says that there is no room."""
    return error.errno in _NO_ROOM


def refusal_in(folder: Path, *, largest: int = 0) -> str:
    """Return why a folder's disk takes no more, or nothing: a file is written durably and removed.

    `largest` is the size in bytes of the largest file there, which must be able to grow. Any other failure
    than want of room is not judged here: it returns nothing.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    offset = 0 if limit == resource.RLIM_INFINITY else largest
    try:
        _write(folder / _NAME, offset)
    except OSError as error:
        return os.strerror(error.errno or 0) if is_refusal(error) else ""
    return ""


def refusal_beside(database: Path) -> str:
    """Return why a database's disk does not take another megabyte, or nothing."""
    files = (database, database.with_name(f"{database.name}-wal"))
    return refusal_in(
        database.parent, largest=max((f.stat().st_size for f in files if f.exists()), default=0)
    )


def sqlite_refusal(error: BaseException | None, database: Path, *, reading: bool = False) -> str:
    """Return why SQLite found no room, or nothing where that is not its error.

    It keeps the system's error to itself: a quota, a limit and a damaged disk look alike, and are told apart
    by a file that is written; where `reading`, by the free space.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return _NO_SPACE
    if code not in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        return ""
    if reading:
        return _NO_SPACE if _is_used_up(database.parent) else ""
    return refusal_beside(database)


def _is_used_up(folder: Path) -> bool:
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _LEAST_FREE or (found.f_files > 0 and found.f_favail == 0)


def _write(path: Path, offset: int) -> None:
    # Crash in here: the file is left, and the next probe replaces it.
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(handle, offset, PROBE_BYTES)
        os.pwrite(handle, b"\0", offset)
        os.fdatasync(handle)
        os.ftruncate(handle, 0)
        os.fsync(handle)
    finally:
        os.close(handle)
        with suppress(OSError):
            path.unlink()
