"""Put a new journal in the place of one that has ended, inside the one folder that a service may write.

The old journal goes into a folder below, `ended-N`. Every step is a rename, and what is to be done next is
seen from the names alone, so that after a crash the same call goes on where it was:

- `building`, or `ended-N/next` beside the old database: nothing has happened yet. The old journal may go on,
  the new one has signed nothing that was sent; it is built again.
- `ended-N/next` without a database: the old journal is being moved into `ended-N`.
- `next`: the old journal is in `ended-N`, and the new one is being moved to where it was.

The database goes first when the old journal leaves and comes last when the new one arrives, so that no
gateway can start on half a journal.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from linewitness.base import durable
from linewitness.base.errors import JournalError
from linewitness.journal import database
from linewitness.journal.telemetry import buffer as telemetry

_BUILDING: Final = "building"
_NEXT: Final = "next"
_ENDED: Final = "ended-"
#: They belong to the gateway and not to a stream: the lock that is held now, and signals on their way.
_STAYS: Final = (database.LOCK_NAME, telemetry.FILE_NAME)


def ended(directory: Path, generation: str) -> Path:
    """Return where the journal of a generation goes when it has ended."""
    return directory / f"{_ENDED}{generation}"


def is_unfinished(directory: Path) -> bool:
    """Return whether a crash left a replacement half done."""
    return (directory / _NEXT).exists() or _begun(directory) is not None


def replace(directory: Path, target: Path, build: Callable[[Path], None]) -> None:
    """Build the new journal and let it take the old one's place; the old one goes to `target`."""
    if target.exists() and any(path.name != _NEXT for path in target.iterdir()):
        raise JournalError(
            f"there is a folder {target} already", hint="keep it, and move it somewhere else first"
        )
    building = directory / _BUILDING
    with _told():
        for left in (building, target / _NEXT):
            with suppress(FileNotFoundError):
                shutil.rmtree(left)
        # Crash here or while building: the old journal is in its place, the next call builds anew.
        build(building)
        target.mkdir(mode=0o700, exist_ok=True)
        database.own_like(directory, target, building, *building.rglob("*"))
        durable.sync_folder(building)
        building.rename(target / _NEXT)
        durable.sync_folder(target)
        durable.sync_folder(directory)
        # Crash here: the old journal is still in its place; whatever it takes in, the next call builds anew.
        _go_on(directory, target)


def finish(directory: Path) -> bool:
    """Do what is left of a replacement; return whether there was one."""
    if not is_unfinished(directory):
        return False
    with _told():
        _go_on(directory, _begun(directory))
    return True


def _begun(directory: Path) -> Path | None:
    """Return the folder into which a journal was being moved; its database was the first file to go."""
    if database.path_of(directory).exists():
        return None
    return next((path.parent for path in sorted(directory.glob(f"{_ENDED}*/{_NEXT}"))), None)


def _go_on(directory: Path, target: Path | None) -> None:
    if target is not None:
        _move_out(directory, target)
    _move_in(directory / _NEXT, directory)


def _move_out(directory: Path, target: Path) -> None:
    for path in sorted(directory.iterdir(), key=_database_first):
        if not path.name.startswith((*_STAYS, _ENDED, _BUILDING)):
            # Crash here: some of the old files are in `target`, the others follow; no gateway can start.
            path.rename(target / path.name)
            if path.name == database.FILE_NAME:
                # A power cut must not undo this and keep what comes next: a database without its log opens.
                durable.sync_folder(target)
                durable.sync_folder(directory)
    durable.sync_folder(target)
    durable.sync_folder(directory)
    (target / _NEXT).rename(directory / _NEXT)
    durable.sync_folder(directory)


def _move_in(arriving: Path, directory: Path) -> None:
    for path in sorted(arriving.iterdir(), key=_database_first, reverse=True):
        # Crash here: some of the new files are in their place, the others follow; the database is the last.
        path.rename(directory / path.name)
    durable.sync_folder(directory)
    arriving.rmdir()
    durable.sync_folder(directory)


def _database_first(path: Path) -> tuple[bool, str]:
    return path.name != database.FILE_NAME, path.name


@contextmanager
def _told() -> Iterator[None]:
    """Turn the system's refusals into ours."""
    try:
        yield
    except OSError as error:
        raise JournalError(
            f"the journal cannot be replaced: {error.filename}: {error.strerror}",
            hint="run it as a user who may write the journal's folder; what was done so far is kept",
        ) from error
