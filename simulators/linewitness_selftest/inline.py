"""A journal whose writer is the thread that asks, so that every system call has its place."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from linewitness.base.clock import Clock, SharedClockState
from linewitness.journal.attestations import JournalHead
from linewitness.journal.file import JournalFile
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission

if TYPE_CHECKING:
    from linewitness.journal.journal import Journal

T = TypeVar("T")


class InlineJournal:
    """What receipts and pruning use of a `Journal`, without threads."""

    def __init__(self, directory: Path, *, clock: Clock) -> None:
        """Open the journal as its writer and as a reader."""
        self.file = JournalFile.open(directory, clock=clock, clock_state=SharedClockState())
        self._reader = JournalReader(directory)
        self.identity = self.file.identity
        self.log_vkey = self._reader.log_vkey
        self.frozen = self._reader.frozen

    @property
    def as_journal(self) -> "Journal":
        """This, for those who ask for a `Journal` and use no more of it than there is here."""
        return cast("Journal", self)

    @property
    def head(self) -> JournalHead:
        """Where the stream stands."""
        return self.file.head

    def submit_all(self, submission: Submission) -> "asyncio.Future[JournalHead]":
        """Make one submission durable, now."""
        future: asyncio.Future[JournalHead] = asyncio.get_running_loop().create_future()
        future.set_result(self.file.append([submission]))
        self.frozen = self.frozen or submission.freeze
        return future

    async def prune(self, boundary: int, *, most: int) -> bool:
        """Delete some of what lies below `boundary`."""
        return self.file.prune(boundary, most=most)

    async def read(self, query: Callable[[JournalReader], T]) -> T:
        """Run a query."""
        return self._reader.ask(query)

    def close(self) -> None:
        """Close the files as the gateway does."""
        self._reader.close()
        self.file.close()
