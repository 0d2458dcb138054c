"""Make files and folders that are still there after a power cut: their contents, and their names."""

import os
from contextlib import suppress
from pathlib import Path


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
