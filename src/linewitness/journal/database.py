"""Open the journal's SQLite file with the settings that durability needs, and name what went wrong."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Final, Self

from linewitness.base import room
from linewitness.base.durable import create_private, make_folder
from linewitness.base.errors import JournalDamaged, JournalError, JournalFull

APPLICATION_ID: Final = 0x4C57_4A31  # "LWJ1"
SCHEMA_VERSION: Final = 2
#: The version that stored one record a row. Its journals are read as they are, and go on as of this version.
ONE_A_ROW: Final = 1
FILE_NAME: Final = "journal.sqlite"
LOCK_NAME: Final = "lock"
WAL_PAGES: Final = 4000
#: The log's normal size: it begins again after that many pages, of 4 KiB and a header, and some commits.
LOG_BYTES: Final = 2 * WAL_PAGES * 4120
CACHE_KIB: Final = 16_384
#: Only a program that is none of ours ever holds the file; a backup of it may take a moment.
BUSY_MS: Final = 10_000

#: Which bytes a record is about, and the salt under which it names them: both go with the record. Beside the
#: schema, because journals of earlier versions get it when they are opened.
_RAW_OF_RECORD: Final = (
    "CREATE TABLE IF NOT EXISTS raw_of_record "
    "(seq INTEGER PRIMARY KEY, salt BLOB NOT NULL, sha256 TEXT NOT NULL) STRICT;"
)


def path_of(directory: Path) -> Path:
    """Return the journal's file in its directory."""
    return directory / FILE_NAME


def create(directory: Path) -> sqlite3.Connection:
    """Create the journal's file with an empty schema; JournalError if there is one already."""
    with translated(directory):
        make_folder(directory, mode=0o700)
    path = path_of(directory)
    if path.exists():
        raise JournalError(
            f"there is a journal in {directory} already",
            hint="a journal is created once; start it with `linewitness run`",
        )
    with translated(path):
        create_private(path)
        connection = _connect(path, "rw")
        # Before anything is written: pruning gives pages back to the disk, a few at a time.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _configure(connection)
        # Crash before the commit: a file that says nothing of itself, and is refused with what to do.
        connection.executescript(
            f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION_ID}; "
            f"PRAGMA user_version = {SCHEMA_VERSION}; "
            f"{script('schema.sql')} {_RAW_OF_RECORD} {script('triggers.sql')} COMMIT;"
        )
    return connection


def open_for_writing(directory: Path) -> sqlite3.Connection:
    """Open an existing journal for its one writer."""
    path = path_of(directory)
    _require_file(path)
    with translated(path):
        connection = _connect(path, "rw")
        with _closed_on_error(connection):
            _check_header(connection, path)
            _configure(connection)
            connection.execute(_RAW_OF_RECORD)
    return connection


def script(name: str) -> str:
    """Return a script of SQL of this package."""
    return resources.files("linewitness.journal").joinpath(name).read_text(encoding="utf-8")


def has_counts(connection: sqlite3.Connection) -> bool:
    """Return whether a row says how many records it holds; those of an earlier version hold one."""
    return bool(connection.execute("PRAGMA user_version").fetchone()[0] != ONE_A_ROW)


def open_for_reading(directory: Path) -> sqlite3.Connection:
    """Open an existing journal to look at it, beside a writer or without one."""
    path = path_of(directory)
    _require_file(path)
    with translated(path, reading=True):
        connection = _connect(path, "ro")
        with _closed_on_error(connection):
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            _check_header(connection, path)
    return connection


def has_salts(connection: sqlite3.Connection) -> bool:
    """Return whether the journal has the table of salts; an earlier version's gets it with its writer."""
    query = "SELECT 1 FROM sqlite_master WHERE name = 'raw_of_record'"
    return connection.execute(query).fetchone() is not None


def own_like(directory: Path, *paths: Path) -> None:
    """Give files to the owner of the journal's folder, for whom root makes them: the service's user."""
    if os.geteuid() != 0:
        return
    owner = directory.stat()
    for path in paths:
        if path.stat().st_uid != owner.st_uid:
            os.chown(path, owner.st_uid, owner.st_gid)


class JournalBusy(JournalError):
    """Another process writes this journal."""


class Lock:
    """The right to write a journal, held by one process at a time; the kernel gives it back at its end."""

    def __init__(self, directory: Path) -> None:
        """Take the journal for this process; JournalBusy if another one has it."""
        path = directory / LOCK_NAME
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalError(
                f"{path} cannot be opened: {error.strerror}", hint="check the folder's owner and its mode"
            ) from None
        own_like(directory, path)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._handle)
            raise JournalBusy(
                f"another gateway is running on the journal in {directory}",
                hint="one line has one gateway: stop the other one, or give this line its own directory",
            ) from None

    def __enter__(self) -> Self:
        """Keep the lock for the time of a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        os.close(self._handle)


def is_being_written(directory: Path) -> bool:
    """Return whether a process holds the right to write this journal, without asking for it."""
    try:
        handle = os.open(directory / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


@contextmanager
def translated(path: Path, *, reading: bool = False) -> Iterator[None]:
    """Turn errors of SQLite and of the system into ours, with what an operator can do about them.

    JournalFull is raised for want of room alone. Where `reading`, nothing is written to find that out.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _translate(error, path, reading=reading) from error
    except OSError as error:
        raise translate_os(error, path) from error


def bytes_on_disk(directory: Path) -> int:
    """Return how much the journal takes of the disk: the main file and its log."""
    path = path_of(directory)
    return (path.stat().st_size if path.exists() else 0) + log_bytes(directory)


def log_bytes(directory: Path) -> int:
    """Return the size of the log."""
    log = path_of(directory).with_name(f"{FILE_NAME}-wal")
    return log.stat().st_size if log.exists() else 0


def require_room(directory: Path) -> None:
    """Raise JournalFull where the disk does not take another megabyte."""
    if why := room.refusal_beside(path_of(directory)):
        raise _full(path_of(directory), why)


def _translate(error: sqlite3.DatabaseError, path: Path, *, reading: bool) -> JournalError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if why := room.sqlite_refusal(error, path_of(path) if path.is_dir() else path, reading=reading):
        return _full(path, why)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return JournalDamaged(
            f"{path} is damaged: {error}",
            hint="keep a copy of the folder, see `linewitness verify`, then `linewitness init --continue`",
        )
    if code == sqlite3.SQLITE_BUSY:
        return JournalError(
            f"{path} is held by another process", hint=f"find it and end it: `fuser {path}`, then start again"
        )
    if code == sqlite3.SQLITE_READONLY:
        return JournalError(
            f"{path} cannot be written", hint="check its owner and that the disk is not read-only"
        )
    return JournalError(f"{path}: {error}", hint="check the disk and the permissions of the folder")


def translate_os(error: OSError, path: Path) -> JournalError:
    """Return the error of a file as ours; `path` is named where the error names none."""
    if room.is_refusal(error):
        return _full(path, error.strerror or "")
    place = error.filename or path
    return JournalError(
        f"{place}: {error.strerror}", hint="check the disk, and the owner and permissions of the folder"
    )


def _full(path: Path, why: str) -> JournalFull:
    return JournalFull(
        f"the disk of {path} is full: {why.lower()}",
        hint="free space on it; nothing that was confirmed is lost",
    )


@contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{path}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )


def _configure(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
    # After a long reader the log is as large as it became: it is cut when it begins again.
    connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")


def _require_file(path: Path) -> None:
    if not path.exists():
        raise JournalError(
            f"there is no journal at {path}",
            hint="create it once with `linewitness init`; if there was one, find out where it went first "
            "(an interrupted `linewitness init --continue` is finished by the same command)",
        )


def _check_header(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise JournalDamaged(
            f"{path} is not a journal of Linewitness",
            hint="check journal.directory in the YAML; if `linewitness init` was interrupted here, "
            "remove this folder and run it again",
        )
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in (ONE_A_ROW, SCHEMA_VERSION):
        raise JournalError(
            f"{path} has schema version {version}, this program knows {SCHEMA_VERSION}",
            hint="install the Linewitness release that wrote it, or a newer one",
        )
