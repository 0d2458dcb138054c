"""The work of the power-cut test on a journal that was weakened, for a test of the test."""

import os
import sqlite3
import sys
from pathlib import Path
from typing import Any, cast

from linewitness.base import durable
from linewitness.journal import database
from linewitness.journal.file import JournalFile
from linewitness_selftest.power.workload import Workload, aloud

_configure = database._configure


def synchronous(mode: str) -> None:
    def configure(connection: sqlite3.Connection) -> None:
        _configure(connection)
        connection.execute(f"PRAGMA synchronous = {mode}")

    database._configure = configure


def off() -> None:
    """SQLite leaves it to the system when something reaches the disk."""
    synchronous("OFF")


def normal() -> None:
    """SQLite synchronises before it moves the log, and not at a commit: told before it is durable."""
    synchronous("NORMAL")


def folders() -> None:
    """The names of folders and key files are left to the system."""
    durable.sync_folder = lambda folder: None


def keys() -> None:
    """The contents of key files are left to the system, too."""
    cast(Any, os).fsync = lambda handle: None


def twice() -> None:
    """A batch is stored again, as if its confirmation had not been remembered."""
    append = JournalFile.append

    def again(self: JournalFile, batch: Any) -> Any:
        append(self, batch)
        return append(self, [each for each in batch if not each.rotate])

    cast(Any, JournalFile).append = again


if __name__ == "__main__":
    weakness, site, seed = sys.argv[1:]
    globals()[weakness]()
    Workload(Path(site), int(seed), say=aloud).run()
