"""Anchor checkpoints in a folder on write-once media."""

import asyncio
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from linewitness.anchors.base import (
    MOST_NOTE_BYTES,
    SUFFIX,
    AnchorFailed,
    Subject,
    Written,
    folder_of,
    text_of_note,
)
from linewitness.anchors.options import DirectoryOptions
from linewitness.base.durable import create_file, make_folder

#: See `Subject.file_name`.
_NAME: Final = re.compile(rf"[0-9]{{12,16}}{re.escape(SUFFIX)}")


class DirectoryTarget:
    """Each checkpoint is a new file, never opened for writing again."""

    near = True

    def __init__(self, options: DirectoryOptions) -> None:
        """Take the folder; it is looked for at each writing."""
        self.name = f"directory {options.id}"
        self._path = options.path

    async def seen(self, origin: str) -> str | None:
        """Return the checkpoint of the largest size that a file's name says; None where we must not read."""
        return await asyncio.to_thread(self._seen, origin)

    async def write(self, subject: Subject) -> Written:
        """Write a new file, flush it to the medium, and read it back."""
        return await asyncio.to_thread(self._write, subject)

    def _seen(self, origin: str) -> str | None:
        self._require()
        folder = self._path / folder_of(origin)
        try:
            newest = _newest(folder)
            if newest is None:
                return None
            with newest.open("rb") as file:
                return text_of_note(file.read(MOST_NOTE_BYTES))
        except PermissionError:
            return None
        except OSError as error:
            raise AnchorFailed(
                f"{folder} cannot be read: {error.strerror}", hint="check the medium and its owner"
            ) from None

    def _require(self) -> None:
        if not self._path.is_dir():
            raise AnchorFailed(f"the folder {self._path} is not there", hint="is the medium mounted?")

    def _write(self, subject: Subject) -> Written:
        self._require()
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


def _newest(folder: Path) -> Path | None:
    """Return the file of the largest size; others may lie there, too."""
    if not folder.is_dir():
        return None
    files = [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_file()]
    return max(files, key=lambda path: int(path.stem), default=None)


def _create(path: Path, data: bytes) -> None:
    with suppress(FileExistsError):
        create_file(path, data, mode=0o444)
