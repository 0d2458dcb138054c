"""Signals on their way to the historian: in memory for a moment, then in a bounded buffer on disk."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

import structlog

from linewitness.base.clock import monotonic
from linewitness.base.errors import JournalDamaged, JournalError, JournalFull
from linewitness.base.threads import uninterrupted
from linewitness.journal.telemetry.file import Put, SignalBlock, SignalFile, set_aside

FILE_NAME: Final = "telemetry.sqlite"
#: What no broker has acknowledged after this long goes to the disk.
FLUSH_S: Final = 0.2
#: Blocks in memory before `put` has to wait until they are taken or written.
MAX_WAITING: Final = 256
#: After a disk refused to forget what was sent.
RETRY_S: Final = 5.0

T = TypeVar("T")

log = structlog.get_logger()


class _InMemory:
    """A block in memory, when it was put there, and its number on the disk once it is written."""

    __slots__ = ("id", "is_written", "put", "since")

    def __init__(self, put: Put, since: float) -> None:
        self.put, self.since = put, since
        self.is_written = False
        self.id: int | None = None


class TelemetryBuffer:
    """Keep blocks of signals until the broker has them; beyond the limit the oldest are dropped.

    Not evidence: the end of the process without a stop may lose the last moments. What is dropped for want of
    room is counted by device in `dropped`, for whoever puts the loss on record. While nothing lies on the
    disk, blocks go from memory to whoever sends them; the disk is touched where that takes too long.
    """

    def __init__(self, directory: Path, *, max_bytes: int) -> None:
        """Open or create the buffer in the journal's directory."""
        self._path = directory / FILE_NAME
        self._max_bytes = max_bytes
        self._limit = max_bytes
        self._short = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="telemetry")
        self._waiting: list[_InMemory] = []
        #: What was taken out of memory and is on its way to the broker; on disk it stands before the rest.
        self._sending: list[_InMemory] = []
        self._put = asyncio.Event()
        self._news = asyncio.Event()
        self._left = asyncio.Condition()
        self._writing = False
        self.dropped: dict[str, int] = {}
        #: A buffer was damaged when it was opened: nobody knows how much was in it.
        self.lost_uncounted = False
        #: Blocks that left the memory, since the start.
        self.moved = 0
        self._file: SignalFile | None = None
        with suppress(JournalFull):  # opened as soon as there is room; what comes until then is dropped
            self._file = self._open()
        self._read_from: SignalFile | None = None

    async def put(self, device: str, samples: int, payload: bytes) -> None:
        """Take one block; waits only while a bounded number of blocks is neither taken nor written."""
        while len(self._waiting) >= MAX_WAITING:
            async with self._left:
                await self._left.wait_for(lambda: len(self._waiting) < MAX_WAITING)
        self._waiting.append(_InMemory((device, samples, payload), monotonic()))
        self._put.set()
        self._news.set()

    async def run(self) -> None:
        """Write what was neither taken nor acknowledged in time, until cancelled; `close` writes the rest."""
        while True:
            await self._put.wait()
            oldest = next(iter(self._unwritten), None)
            if oldest is None:
                self._put.clear()
            elif (left_s := oldest.since + FLUSH_S - monotonic()) > 0:
                await asyncio.sleep(left_s)
            else:
                await self._flush()

    def make_do(self, short: bool) -> None:
        """Take no more of the disk than the buffer has now, where evidence runs short of room."""
        self._short = short
        file = self._file
        used = file.bytes if file is not None else 0
        self._limit = min(self._max_bytes, used) if short else self._max_bytes

    def take_over(self, max_bytes: int) -> None:
        """Go on with another limit; the oldest blocks beyond it go with the next that comes."""
        self._max_bytes = max_bytes
        self._limit = min(self._limit, max_bytes) if self._short else max_bytes

    @property
    def waiting(self) -> int:
        """Blocks that are in memory only."""
        return len(self._waiting)

    async def next(self, max_bytes: int) -> list[SignalBlock]:
        """Wait for signals, and return the oldest blocks, at least one, within `max_bytes`; one caller.

        It calls `remove` when the broker has them, and `give_back` otherwise.
        """
        while True:
            self._news.clear()
            if self._on_disk:
                blocks = [] if self._writing else await self.oldest(max_bytes)
            else:
                blocks = await self._take(max_bytes)
            if blocks:
                return blocks
            if self._on_disk or not self._waiting:  # a file that was damaged has given way to an empty one
                await self._news.wait()

    def give_back(self, blocks: list[SignalBlock]) -> None:
        """Keep blocks that did not reach the broker, in their place; those on the disk are still there."""
        if any(block.id is None for block in blocks):
            self._waiting[:0] = [one for one in self._sending if not one.is_written]
            self._sending = []
            self._put.set()

    async def oldest(self, max_bytes: int) -> list[SignalBlock]:
        """Return the oldest blocks, at least one if there is one, within `max_bytes`."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._oldest, max_bytes)

    async def lose(self, lost: Mapping[str, int]) -> None:
        """Count samples, by device, of blocks that are removed without having been sent."""
        if lost:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._lose, lost)

    async def remove(self, blocks: list[SignalBlock]) -> None:
        """Forget blocks that the broker has."""
        if any(block.id is None for block in blocks):
            blocks = await self._taken_to_disk()
        if blocks and not await asyncio.get_running_loop().run_in_executor(
            self._thread, self._remove, blocks
        ):
            await asyncio.sleep(RETRY_S)  # they will be sent again, but not in a hurry

    async def _taken_to_disk(self) -> list[SignalBlock]:
        """Return the blocks out of memory that were written meanwhile; none is on its way any more."""
        while self._writing:
            async with self._left:
                await self._left.wait_for(lambda: not self._writing)
        sent, self._sending = self._sending, []
        self._read_from = self._file
        return [SignalBlock(one.id, *one.put) for one in sent if one.id is not None]

    def close(self) -> None:
        """Write the rest and close the file, after `run` and whoever sends have ended."""
        self._thread.shutdown(wait=True)
        self._write(self._unwritten)
        self._waiting, self._sending = [], []
        if self._file is not None:
            self._file.close()

    @property
    def _on_disk(self) -> bool:
        """Whether something lies on the disk, or is on its way there: it goes first."""
        file = self._file  # the telemetry thread may replace it
        return self._writing or (file is not None and file.bytes > 0)

    @property
    def _unwritten(self) -> list[_InMemory]:
        """What is in memory alone, the oldest first."""
        return [one for one in self._sending if not one.is_written] + self._waiting

    async def _take(self, max_bytes: int) -> list[SignalBlock]:
        """Take the oldest blocks out of memory."""
        count = 0
        for one in self._waiting:
            max_bytes -= len(one.put[2])
            if count and max_bytes < 0:
                break
            count += 1
        self._sending, self._waiting = self._waiting[:count], self._waiting[count:]
        async with self._left:
            self.moved += count
            self._left.notify_all()
        return [SignalBlock(None, *one.put) for one in self._sending]

    async def _flush(self) -> None:
        blocks, waiting = self._unwritten, len(self._waiting)
        for one in blocks:
            one.is_written = True
        self._waiting = []
        self._writing = True
        try:
            await uninterrupted(asyncio.get_running_loop().run_in_executor(self._thread, self._write, blocks))
        finally:
            self._writing = False
        async with self._left:
            self.moved += waiting
            self._left.notify_all()
        self._news.set()

    def _write(self, blocks: list[_InMemory]) -> None:
        if not blocks:
            return
        puts = [one.put for one in blocks]
        try:
            ids, gone = self._with_file(lambda file: file.append(puts, self._limit))
        except JournalError:
            # A signal never stops evidence: what cannot be kept is counted, and the loss is put on record.
            for device, samples, _ in puts:
                self._drop(device, samples)
        else:
            for one, number in zip(blocks, ids, strict=True):
                one.id = number
            for block in gone:
                self._drop(block.device, block.samples)

    def _oldest(self, max_bytes: int) -> list[SignalBlock]:
        try:
            blocks = self._with_file(lambda file: file.oldest(max_bytes))
        except JournalError:
            return []
        self._read_from = self._file
        return blocks

    def _remove(self, blocks: list[SignalBlock]) -> bool:
        if self._file is not self._read_from:
            return True  # a file that was begun anew meanwhile uses the same numbers for others
        try:
            self._with_file(lambda file: file.remove(blocks))
        except JournalError:
            return False
        return True

    def _with_file(self, use: Callable[[SignalFile], T]) -> T:
        """Use the file; a damaged one gives way to a new one, in which the same is tried once more."""
        if self._file is None:
            self._file = self._open()
        try:
            return use(self._file)
        except JournalDamaged as error:
            damaged, self._file = self._file, None
            for device, samples in damaged.held.items():
                self._drop(device, samples)
            damaged.close()
            self._file = self._begin_anew(error)
            return use(self._file)

    def _open(self) -> SignalFile:
        try:
            return SignalFile(self._path)
        except JournalDamaged as error:
            self.lost_uncounted = True
            return self._begin_anew(error)

    def _begin_anew(self, error: JournalDamaged) -> SignalFile:
        """Keep a damaged file aside, and let a new one take over: a signal never stops evidence."""
        aside = set_aside(self._path)
        log.warning("telemetry buffer damaged: replaced by a new one", why=error.what, kept=str(aside))
        return SignalFile(self._path)

    def _lose(self, lost: Mapping[str, int]) -> None:
        for device, samples in lost.items():
            self._drop(device, samples)

    def _drop(self, device: str, samples: int) -> None:
        if samples:
            self.dropped[device] = self.dropped.get(device, 0) + samples
