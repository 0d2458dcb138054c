"""Make events durable for everybody at once: one writer, and what queued up goes into the next commit."""

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from linewitness.base.clock import Clock, SharedClockState
from linewitness.base.errors import JournalError, JournalFull
from linewitness.base.failures import retrieve
from linewitness.base.threads import uninterrupted
from linewitness.evidence.format.merkle import root_at
from linewitness.evidence.format.note import Vkey
from linewitness.evidence.format.record import Event
from linewitness.evidence.format.value_changes import ValueChanges
from linewitness.journal import database
from linewitness.journal.attestations import JournalHead
from linewitness.journal.file import JournalFile
from linewitness.journal.keyring import keyring_of
from linewitness.journal.options import JournalOptions
from linewitness.journal.pressure import Pressure
from linewitness.journal.queue import SubmissionQueue, fail
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from linewitness.journal.writer import JournalWriter, move_log_beside
from linewitness.records.builder import StreamIdentity

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

#: The log's size is looked at this often.
LOG_CHECK_S: Final = 1.0

T = TypeVar("T")


class Journal:
    """The running journal. `submit` from the event loop; `run` is its one task.

    Records take their order from the order of the calls of `submit`.
    """

    def __init__(
        self, file: JournalFile, reader: JournalReader, *, pressure: Pressure, max_batch: int, clock: Clock
    ) -> None:
        """Take an open file and a reader; `open_journal` makes both."""
        self._file = JournalWriter(file)
        self._recent = file.recent
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
        #: Commits of this process that made the stream longer; each bears one signature.
        self.commits = 0
        #: Events of devices that became durable in this process.
        self.observed = 0
        self.log_vkey: Vkey = reader.log_vkey
        self.identity: StreamIdentity = file.identity
        #: Another history of this stream is proven: nothing is signed, sent or pruned any more.
        self.frozen: bool = reader.frozen

    def submit(
        self,
        events: Sequence[Event | ValueChanges],
        *,
        state: Mapping[str, str | None] | None = None,
        raw: Mapping[str, bytes] | None = None,
    ) -> "asyncio.Future[JournalHead]":
        """Queue events and the state that belongs to them; the future ends when they are durable.

        The future raises JournalError if they cannot be made durable; the process must end then.
        """
        return self.submit_all(Submission(events=tuple(events), state=state or {}, raw=raw or {}))

    def submit_all(self, submission: Submission, *, within_s: float = 0) -> "asyncio.Future[JournalHead]":
        """Queue one submission; the future ends when it is durable: with the next commit, or `within_s`."""
        if self._closing:
            return _refused()
        if within_s:
            asyncio.get_running_loop().call_later(within_s, self._arrived.set)
        else:
            self._arrived.set()
        # The writer may come to it after a step of the clock: what was stamped before is marked so.
        setting_ns = self._clock.stamp().setting_ns
        return self._queue.put(replace(submission, clock_setting_ns=setting_ns))

    def observe(
        self,
        source: str,
        events: Sequence[Event | ValueChanges],
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
        """Compare the clocks now, so that a step is on record although nothing else happens.

        A step that finds no room is put on record by the next commit.
        """
        try:
            head = await self._in_writer(self._file.look)
        except JournalFull as refusal:
            self._pressure.refused(refusal)
            if not self.waiting:
                self.submit([]).add_done_callback(retrieve)  # nothing else would find out that there is room
        else:
            await self._grow(head)

    async def prune(self, boundary: int, *, most: int) -> bool:
        """Delete some of what lies below `boundary`, between two commits; return whether nothing is left."""
        return await self._when_there_is_room(functools.partial(self._file.prune, boundary, most=most))

    async def run(self) -> None:
        """Commit what was submitted, until `drain` ends it; JournalError if the disk is broken.

        A disk without room is waited for: nothing is confirmed meanwhile, and nothing is given up.
        """
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

    async def keep_log_small(self) -> NoReturn:
        """Cut the log back after a reader that held it for long, until cancelled.

        A commit moves a log of normal size into the main file. One that has grown beyond that would keep
        devices waiting: it is moved in another thread, and commits move the rest.
        """
        directory, limit = self._reader.directory, database.LOG_BYTES
        while True:
            await asyncio.sleep(LOG_CHECK_S)
            if database.log_bytes(directory) <= limit:
                continue
            await self._in_writer(functools.partial(self._file.move_log_with_commits, wanted=False))
            moved = False
            with suppress(JournalFull):  # the next commit finds that out as well, and raises the alarm
                moved = await asyncio.to_thread(move_log_beside, directory)
            if moved:
                await self._in_writer(functools.partial(self._file.move_log_with_commits, wanted=True))

    async def drain(self) -> None:
        """Take nothing more, and let `run` end when all that was submitted is durable."""
        self._closing = True
        self._arrived.set()

    async def read(self, query: Callable[[JournalReader], T]) -> T:
        """Run a query in the reader's thread."""
        return await self._read(query)

    async def batch(self, first: int, max_bytes: int) -> list[bytes]:
        """Return consecutive records from `first` within `max_bytes`; see `JournalReader.batch`."""
        if (recent := self._recent.batch(first, max_bytes)) is not None:
            return recent
        return await self._read(lambda reader: reader.batch(first, max_bytes))

    async def root(self, size: int) -> bytes:
        """Return the Merkle root over the first `size` records."""
        if (recent := self.recent_root(size)) is not None:
            return recent
        return await self._read(lambda reader: root_at(size, reader.tree().subtree))

    def recent_root(self, size: int) -> bytes | None:
        """Return the root over `size` records where a commit of late ended there, otherwise None."""
        return self._recent.root(size)

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
            head = await self._when_there_is_room(functools.partial(self._file.append, submissions))
        except BaseException as error:
            for waiting in batch:
                fail(waiting.durable, error)
            raise
        self._in_flight = 0
        self.frozen = self.frozen or any(submission.freeze for submission in submissions)
        await self._grow(head)
        self.observed += sum(waiting.content.count for waiting in batch if waiting.is_observed)
        for waiting in batch:
            if not waiting.durable.done():
                waiting.durable.set_result(head)

    async def _when_there_is_room(self, work: Callable[[], T]) -> T:
        """Do something in the writer's thread, again and again while the disk has no room for it."""
        while True:
            try:
                done = await self._in_writer(work)
            except JournalFull as refusal:
                self._pressure.refused(refusal)
                await self._pressure.pause()
            else:
                self._pressure.granted()
                return done

    async def _in_writer(self, work: Callable[[], T]) -> T:
        """Do something in the writer's thread; any error but a want of room is the journal's end."""
        try:
            return await uninterrupted(asyncio.get_running_loop().run_in_executor(self._writer, work))
        except JournalFull:
            raise
        except BaseException:
            self._closing = True
            raise

    async def _grow(self, head: JournalHead) -> None:
        """Let everybody know how the stream stands now."""
        async with self._grown:
            if head.size > self.head.size:
                self.head = head
                self.commits += 1
            self._grown.notify_all()

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
        try:
            reader = JournalReader(options.directory)
            with database.translated(options.directory):
                pressure = Pressure(options)
                journal = Journal(file, reader, pressure=pressure, max_batch=options.max_batch, clock=clock)
        except BaseException:
            file.close()
            raise
        try:
            yield journal
        finally:
            journal.close()
