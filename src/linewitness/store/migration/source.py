"""The store that is left: whether a program still has its file open, and its rows as another takes them."""

import fcntl
import os
import struct
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Row, Table

from linewitness.store.database.errors import StoreError

#: Where SQLite locks a file: whoever has it open in WAL mode shares these bytes.
_SHARED_FIRST: Final = 0x40000002
_SHARED_BYTES: Final = 510
#: `struct flock` of Linux: type, whence, start, length, process.
_FLOCK: Final = "hhqqi0q"


def refuse_running(file: Path) -> None:
    """Require that no other program has a database open; StoreError names the one that has.

    To be called before this program opens it: a process gives its locks up with any descriptor of a file.
    """
    wanted = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, _SHARED_FIRST, _SHARED_BYTES, 0)
    try:
        with file.open("rb+") as opened:
            kind, *_, process = struct.unpack(_FLOCK, fcntl.fcntl(opened, fcntl.F_GETLK, wanted))
    except OSError as error:
        raise StoreError(
            f"{file}: {error.strerror}", hint="name the database of the store in a file"
        ) from error
    if kind != fcntl.F_UNLCK:
        raise StoreError(
            f"process {process} has {file} open",
            hint="stop the store that runs on it, and wait for commands that read it",
        )


def copied(row: Row[Any], table: Table, **replaced: Any) -> dict[str, Any]:
    """Return the values of a table's row for the same table elsewhere, which gives it a number of its own."""
    values = dict(zip(table.c.keys(), row, strict=True))
    values.pop("id", None)
    return values | replaced
