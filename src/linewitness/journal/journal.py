"""Make events durable for everybody at once: one writer, and what queued up goes into the next commit."""

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from linewitness.base.clock import Clock, SharedClockState
from linewitness.base.errors import JournalError
from linewitness.evidence.format.note import Vkey
from linewitness.evidence.format.record import Event
from linewitness.journal import database
from linewitness.journal.attestations import JournalHead
from linewitness.journal.builder import StreamIdentity
from linewitness.journal.file import JournalFile
from linewitness.journal.keyring import keyring_of
from linewitness.journal.options import JournalOptions
from linewitness.journal.pressure import Pressure
from linewitness.journal.queue import SubmissionQueue, fail
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

T = TypeVar("T")


class Journal:
    """The running journal. `submit` from the event loop; `run` is its one task.

    Records take their order from the order of the calls of `submit`.
    """

    def __init__(
        self, file: JournalFile, reader: JournalReader, *, pressure: Pressure, max_batch: int, clock: Clock
    ) -> None:
        """Take an open file and a reader; `open_journal` makes both."""
        self._file = file
        self._clock = clock
        self._reader = reader
        self._pressure = pressure
        self._max_batch = max_batch
        self._queue = SubmissionQueue()
        self._arrived = asyncio.Event()
        pressure.when_open(self._arrived.set)
        self._grown = asyncio.Condition()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="journal-writer")
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="journal-reader")
        self._closing = False
        self._in_flight = 0
        self.head: JournalHead = file.head
        self.log_vkey: Vkey = reader.log_vkey
        self.identity: StreamIdentity = file.identity
        #: The audit store holds another history of this stream: nothing is signed, sent or pruned any more.
        self.frozen: bool = reader.frozen

    def submit(
        self,
        events: Sequence[Event],
        *,
        state: Mapping[str, str | None] | None = None,
        raw: Mapping[str, bytes] | None = None,
    ) -> "asyncio.Future[JournalHead]":
        """Queue events and the state that belongs to them; the future ends when they are durable.

        The future raises JournalError if they cannot be made durable; the process must end then.
        """
        return self.submit_all(Submission(events=tuple(events), state=state or {}, raw=raw or {}))

    def submit_all(self, submission: Submission) -> "asyncio.Future[JournalHead]":
        """Queue one submission (see `Submission`); the future ends when it is durable."""
        if self._closing:
            return _refused()
        self._arrived.set()
        # The writer may come to it after a step of the clock: what was stamped before is marked so.
        setting_ns = self._clock.stamp().setting_ns
        return self._queue.put(replace(submission, clock_setting_ns=setting_ns))

    def observe(
        self,
        source: str,
        events: Sequence[Event],
        *,
        state: Mapping[str, str | None],
        raw: Mapping[str, bytes],
    ) -> "asyncio.Future[JournalHead]":
        """Queue what a device observed; the future ends when it is durable.

        It keeps its place in the queue while the journal has no room for observations.
        """
        if self._closing:
            return _refused()
        self._arrived.set()
        return self._queue.observe(source, events, state, raw)

    async def look(self) -> None:
        """Compare the clocks now, so that a step is on record although nothing else happens."""
        await self._write(self._file.look, ())

    async def prune(self, boundary: int, *, most: int) -> bool:
        """Delete some of what lies below `boundary`, between two commits; return whether nothing is left."""
        return await asyncio.get_running_loop().run_in_executor(
            self._writer, functools.partial(self._file.prune, boundary, most=most)
        )

    async def run(self) -> None:
        """Commit what was submitted, until `drain` ends it; JournalError if the disk refuses."""
        try:
            while not (self._closing and not self._queue):
                await self._arrived.wait()
                self._arrived.clear()
                while self._queue.has_work(observations=not self._pressure.full):
                    await self._pressure.room(self._read)
                    await self._commit()
        finally:
            self._closing = True
            self._queue.fail(JournalError("the journal has stopped", hint="see the error before this one"))

    async def drain(self) -> None:
        """Take nothing more, and let `run` end when all that was submitted is durable."""
        self._closing = True
        self._arrived.set()

    async def read(self, query: Callable[[JournalReader], T]) -> T:
        """Run a query in the reader's thread."""
        return await self._read(query)

    async def wait_beyond(self, size: int) -> int:
        """Wait until the stream has more than `size` records, and return how many it has."""
        async with self._grown:
            await self._grown.wait_for(lambda: self.head.size > size)
            return self.head.size

    @property
    def pressure(self) -> Pressure:
        """How full the journal is."""
        return self._pressure

    @property
    def waiting(self) -> int:
        """Submissions that are not durable yet."""
        return len(self._queue) + self._in_flight

    async def _read(self, query: Callable[[JournalReader], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._reader.ask, query)

    async def _commit(self) -> None:
        batch = self._queue.take(self._max_batch, observations=not self._pressure.full)
        if not batch:  # the room for observations was used up meanwhile
            return
        submissions = [waiting.submission for waiting in batch]
        self._in_flight = len(batch)
        try:
            head = await self._write(functools.partial(self._file.append, submissions), submissions)
        except BaseException as error:
            for waiting in batch:
                fail(waiting.durable, error)
            raise
        self._in_flight = 0
        for waiting in batch:
            if not waiting.durable.done():
                waiting.durable.set_result(head)

    async def _write(
        self, append: Callable[[], JournalHead], submissions: Sequence[Submission]
    ) -> JournalHead:
        """Append in the writer's thread, and let everybody know how the stream stands then."""
        commit = asyncio.get_running_loop().run_in_executor(self._writer, append)
        try:
            head = await _uninterrupted(commit)
        except BaseException:
            self._closing = True
            raise
        self.frozen = self.frozen or any(submission.freeze for submission in submissions)
        async with self._grown:
            if head.size > self.head.size:
                self.head = head
            self._grown.notify_all()
        return head

    def close(self) -> None:
        """Close files and threads, after `run` has ended."""
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self._reader.close()
        self._file.close()


def _refused() -> "asyncio.Future[JournalHead]":
    future: asyncio.Future[JournalHead] = asyncio.get_running_loop().create_future()
    fail(future, JournalError("the journal is closing", hint="the gateway is being stopped"))
    return future


async def _uninterrupted(commit: "asyncio.Future[JournalHead]") -> JournalHead:
    """Wait for a commit to its end: a cancelled wait would leave memory and disk apart."""
    cancelled = False
    while True:
        try:
            head = await asyncio.shield(commit)
        except asyncio.CancelledError:
            if commit.cancelled():
                raise
            cancelled = True
            continue
        if cancelled:
            asyncio.current_task().cancel()  # type: ignore[union-attr]  # inside a coroutine there is a task
        return head


@asynccontextmanager
async def open_journal(
    options: JournalOptions, *, clock: Clock, clock_state: SharedClockState
) -> "AsyncIterator[Journal]":
    """Open the journal of one line, alone: JournalError where another process has it or it is damaged."""
    if not options.directory.is_dir():
        database.open_for_reading(options.directory)  # says what is missing
    with database.Lock(options.directory):
        file = JournalFile.open(
            options.directory, clock=clock, clock_state=clock_state, keyring=keyring_of(options)
        )
        with database.translated(options.directory):
            reader = JournalReader(options.directory)
            journal = Journal(
                file, reader, pressure=Pressure(options), max_batch=options.max_batch, clock=clock
            )
        try:
            yield journal
        finally:
            journal.close()
