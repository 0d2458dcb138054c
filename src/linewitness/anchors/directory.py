"""Anchor checkpoints in a folder on write-once media."""

import asyncio
from contextlib import suppress
from pathlib import Path

from linewitness.anchors.base import AnchorFailed, Subject, Written
from linewitness.anchors.options import DirectoryOptions
from linewitness.base.durable import create_file, make_folder


class DirectoryTarget:
    """Each checkpoint is a new file, never opened for writing again."""

    near = True

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
            make_folder(path.parent, mode=0o777)
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
    with suppress(FileExistsError):
        create_file(path, data, mode=0o444)
