"""A journal whose writer is the thread that asks, so that every system call has its place."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, cast

from linewitness.base.clock import Clock, SharedClockState
from linewitness.base.errors import JournalFull
from linewitness.journal import database
from linewitness.journal.attestations import JournalHead
from linewitness.journal.file import JournalFile
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from linewitness.journal.writer import JournalWriter

if TYPE_CHECKING:
    from linewitness.journal.journal import Journal

T = TypeVar("T")

#: A disk that stays full is given up after so many tries.
_TRIES: Final = 40
_PAUSE_S: Final = 0.01


class InlineJournal:
    """What receipts and pruning use of a `Journal`, without threads."""

    def __init__(self, directory: Path, *, clock: Clock) -> None:
        """Open the journal as its writer and as a reader."""
        self._directory = directory
        file = self._patiently(
            lambda: JournalFile.open(directory, clock=clock, clock_state=SharedClockState())
        )
        self.writer = JournalWriter(file)
        self._recent = file.recent
        self._head = file.head
        self._reader = self._patiently(lambda: JournalReader(directory))
        self.identity = file.identity
        self.log_vkey = self._reader.log_vkey
        self.frozen = self._reader.frozen

    @property
    def as_journal(self) -> "Journal":
        """This, for those who ask for a `Journal` and use no more of it than there is here."""
        return cast("Journal", self)

    @property
    def head(self) -> JournalHead:
        """Where the stream stands."""
        return self._head

    def append(self, batch: Sequence[Submission]) -> JournalHead:
        """Make a batch durable, now; a full disk is tried again as the gateway does."""
        self._head = self._patiently(lambda: self.writer.append(batch))
        return self._head

    def submit_all(self, submission: Submission) -> "asyncio.Future[JournalHead]":
        """Make one submission durable, now."""
        future: asyncio.Future[JournalHead] = asyncio.get_running_loop().create_future()
        future.set_result(self.append([submission]))
        self.frozen = self.frozen or submission.freeze
        return future

    async def prune(self, boundary: int, *, most: int) -> bool:
        """Delete some of what lies below `boundary`."""
        return self._patiently(lambda: self.writer.prune(boundary, most=most))

    def recent_root(self, size: int) -> bytes | None:
        """Return the root over `size` records where a commit of late ended there."""
        return self._recent.root(size)

    async def read(self, query: Callable[[JournalReader], T]) -> T:
        """Run a query."""
        return self._reader.ask(query)

    def close(self) -> None:
        """Close the files as the gateway does."""
        self._reader.close()
        self.writer.close()

    def _patiently(self, work: Callable[[], T]) -> T:
        """Do something again and again while the disk has no room for it, and give up in the end."""
        try:
            return work()
        except JournalFull:
            for _ in range(_TRIES):
                time.sleep(_PAUSE_S)
                with suppress(JournalFull):
                    database.require_room(self._directory)
                    return work()
            raise
