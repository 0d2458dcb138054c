"""Write the journal for as long as the process lives: after a full disk, the file is opened anew."""

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from linewitness.base.errors import JournalFull
from linewitness.journal import database
from linewitness.journal.attestations import JournalHead
from linewitness.journal.file import JournalFile
from linewitness.journal.submission import Submission

T = TypeVar("T")


class JournalWriter:
    """The one writer of a journal, which may be asked again after a JournalFull; one thread at a time.

    Any other error is final: the process ends, and the next start opens the journal as ever.
    """

    def __init__(self, file: JournalFile) -> None:
        """Take the open file, and close it at the end."""
        self._file = file
        self._refused = False
        #: What the last append of the file was asked for, and what turned out to be durable after its error.
        self._asked: Sequence[Submission] | None = None
        self._survivor: tuple[Sequence[Submission], JournalHead] | None = None

    def append(self, batch: Sequence[Submission]) -> JournalHead:
        """Make a batch durable; JournalFull where there is no room: the same list may be given again.

        What is durable already, although its commit failed, is not stored twice.
        """
        return self._kept(lambda: self._append(batch))

    def look(self) -> JournalHead:
        """Compare the clocks; a step that finds no room is put on record by the next append."""
        return self._kept(self._look)

    def prune(self, boundary: int, *, most: int) -> bool:
        """Delete some of what lies below `boundary`; return whether nothing is left there."""
        return self._kept(lambda: self._opened().prune(boundary, most=most))

    def move_log_with_commits(self, wanted: bool) -> None:
        """Let commits move the log into the main file, or leave that to `move_log_beside`."""
        self._file.move_log_with_commits(wanted)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _append(self, batch: Sequence[Submission]) -> JournalHead:
        file = self._opened()
        survivor, self._survivor = self._survivor, None
        if survivor is not None and survivor[0] is batch:
            return survivor[1]
        self._asked = batch
        return file.append(batch)

    def _look(self) -> JournalHead:
        self._file.read_clock()  # also while there is no room: a step is seen when it happens
        file = self._opened()
        self._asked = None
        return file.look()

    def _opened(self) -> JournalFile:
        """Return the file; after a refusal it is opened anew, as soon as the disk takes a megabyte again."""
        if self._refused:
            database.require_room(self._file.directory)
            self._file, survived = self._file.reopened()
            self._refused = False
            if survived and self._asked is not None:
                self._survivor = self._asked, self._file.head
        return self._file

    def _kept(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except JournalFull:
            self._refused = True
            raise


def move_log_beside(directory: Path) -> bool:
    """Move what no reader holds of the log into the main file, without keeping commits waiting.

    Returns whether so little is left that a commit may move the rest. For a thread of its own: it may take
    minutes. JournalFull where the main file has no room to grow.
    """
    with closing(database.open_for_writing(directory)) as connection:
        with database.translated(directory):
            _, pages, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return bool(pages - moved < database.WAL_PAGES)
