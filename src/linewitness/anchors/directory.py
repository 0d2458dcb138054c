"""Anchor checkpoints in a folder on write-once media."""

import asyncio
import os
from pathlib import Path

from linewitness.anchors.base import AnchorFailed, Subject, Written
from linewitness.anchors.options import DirectoryOptions


class DirectoryPlace:
    """Each checkpoint is a new file, never opened for writing again."""

    def __init__(self, options: DirectoryOptions) -> None:
        """Take the folder; it is looked for at each writing."""
        self.name = f"directory {options.id}"
        self._path = options.path

    async def write(self, subject: Subject) -> Written:
        """Write a new file, flush it to the medium, and read it back."""
        return await asyncio.to_thread(self._write, subject)

    def _write(self, subject: Subject) -> Written:
        if not self._path.is_dir():
            raise AnchorFailed(f"the folder {self._path} is not there", hint="is the medium mounted?")
        path = self._path / subject.file_name
        data = subject.note.encode()
        try:
            path.parent.mkdir(exist_ok=True)
            _create(path, data)
            held = path.read_bytes()
        except OSError as error:
            raise AnchorFailed(
                f"{path} cannot be written: {error.strerror}", hint="check the medium and its owner"
            ) from None
        if held != data:
            # Ed25519 signatures are the same each time: another content was not written by this stream.
            raise AnchorFailed(
                f"{path} was there already, with another content",
                hint="keep it: it may be the anchor of another history of this stream",
            )
        return Written(str(path), subject.note)


def _create(path: Path, data: bytes) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
    except FileExistsError:
        return
    try:
        os.write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
