"""Find out whether a disk has room: by the error that it gave, or by a file that is written and removed."""

import errno
import os
import resource
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


def is_used_up(folder: Path) -> bool:
    """Return whether a folder's disk has next to nothing left, without writing anything."""
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
