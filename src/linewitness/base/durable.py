"""Make files and folders that outlast a power cut, with their names, and that nobody else may read."""

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

#: What is evidence or a secret: for the owner alone, whatever the umask is.
PRIVATE: Final = 0o600


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(directory: Path, *, mode: int) -> None:
    """Make a folder and those above it, if they are not there; their names are durable on return.

    What is written into it later makes its own name durable at best, never the folder's.
    """
    made = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    directory.mkdir(mode=mode, parents=True, exist_ok=True)
    for folder in made:
        sync_folder(folder.parent)
    if not made:
        # Whoever made it may have done so a moment ago, in a folder that we must not read.
        with suppress(PermissionError):
            sync_folder(directory.parent)


def create_private(path: Path) -> None:
    """Make an empty file that only its owner may read, unless there is a file.

    SQLite gives its log and its shared memory the mode of the database, which it would make for all to read.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, PRIVATE))


def open_private(path: Path, *, new: bool = False) -> BinaryIO:
    """Open a file for writing, made so that only its owner may read it; one that is there keeps its mode.

    `new`: FileExistsError if it is there already.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_EXCL if new else os.O_TRUNC)
    return os.fdopen(os.open(path, flags, PRIVATE), "wb")


def replace_private(path: Path, data: bytes) -> None:
    """Put a file that only its owner may read in the place of another, as a whole.

    It is not synchronised: for what is of no use after a crash.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        with open_private(part) as file:
            file.write(data)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def create_file(path: Path, data: bytes, *, mode: int) -> None:
    """Write a new file; content and name are durable on return. FileExistsError if it is there already.

    Where it fails, as on a full disk, no half of a file is left.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise
