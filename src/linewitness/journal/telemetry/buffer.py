"""Signals on their way to the historian: in memory for a moment, then in a bounded buffer on disk."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import structlog

from linewitness.base.clock import Clock
from linewitness.base.errors import JournalDamaged, JournalError, JournalFull
from linewitness.evidence.format.gateway_event import gateway_event
from linewitness.evidence.format.record import Change, Event, Resource
from linewitness.journal.telemetry.file import Put, SignalBlock, SignalFile, set_aside

FILE_NAME: Final = "telemetry.sqlite"
#: What nobody has taken after this long goes to the disk.
FLUSH_S: Final = 0.2
#: Blocks in memory before `put` has to wait until they are taken or written.
MAX_WAITING: Final = 256
#: Losses are put on record this often, and the first one soon.
REPORT_S: Final = 60.0
FIRST_REPORT_S: Final = 5.0
#: After a disk refused to forget what was sent.
RETRY_S: Final = 5.0

_LOST: Final = (
    "signals were dropped before the historian had them: there was no room, or their buffer was damaged; "
    "evidence is complete"
)
_LOST_UNCOUNTED: Final = (
    "the buffer of signals was damaged and begun anew: what waited in it is lost; evidence is complete"
)

T = TypeVar("T")
Submit = Callable[[Sequence[Event]], "asyncio.Future[Any]"]

log = structlog.get_logger()


class TelemetryBuffer:
    """Keep blocks of signals until the broker has them; beyond the limit the oldest are dropped.

    Not evidence: a power cut may lose the last moments, and what the broker was just given. What is dropped
    for want of room is counted by device in `dropped`, for whoever puts the loss on record. While nothing
    lies on the disk, blocks go from memory to whoever sends them, and the disk is not touched.
    """

    def __init__(self, directory: Path, *, max_bytes: int) -> None:
        """Open or create the buffer in the journal's directory."""
        self._path = directory / FILE_NAME
        self._max_bytes = max_bytes
        self._limit = max_bytes
        self._short = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="telemetry")
        self._waiting: list[Put] = []
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
        self._waiting.append((device, samples, payload))
        self._put.set()
        self._news.set()

    async def run(self) -> None:
        """Write a few times a second what was put and not taken, until cancelled; `close` does the rest."""
        while True:
            await self._put.wait()
            await asyncio.sleep(FLUSH_S)
            self._put.clear()
            await self._flush()

    def make_do(self, short: bool) -> None:
        """Take no more of the disk than the buffer has now, where evidence runs short of room."""
        self._short = short
        used = self._file.bytes if self._file is not None else 0
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
        """Keep blocks that did not reach the broker; those from the disk are still there."""
        self._waiting[:0] = [(one.device, one.samples, one.payload) for one in blocks if one.id is None]
        self._put.set()

    async def oldest(self, max_bytes: int) -> list[SignalBlock]:
        """Return the oldest blocks, at least one if there is one, within `max_bytes`."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._oldest, max_bytes)

    async def remove(self, blocks: list[SignalBlock]) -> None:
        """Forget blocks that the broker has."""
        blocks = [block for block in blocks if block.id is not None]
        if blocks and not await asyncio.get_running_loop().run_in_executor(
            self._thread, self._remove, blocks
        ):
            await asyncio.sleep(RETRY_S)  # they will be sent again, but not in a hurry

    def close(self) -> None:
        """Write the rest and close the file, after `run` and whoever sends have ended."""
        self._thread.shutdown(wait=True)
        self._write(self._waiting)
        self._waiting = []
        if self._file is not None:
            self._file.close()

    @property
    def _on_disk(self) -> bool:
        """Whether something lies on the disk, or is on its way there: it goes first."""
        return self._writing or (self._file is not None and self._file.bytes > 0)

    async def _take(self, max_bytes: int) -> list[SignalBlock]:
        """Take the oldest blocks out of memory."""
        taken: list[SignalBlock] = []
        for device, samples, payload in self._waiting:
            max_bytes -= len(payload)
            if taken and max_bytes < 0:
                break
            taken.append(SignalBlock(None, device, samples, payload))
        del self._waiting[: len(taken)]
        async with self._left:
            self.moved += len(taken)
            self._left.notify_all()
        return taken

    async def _flush(self) -> None:
        blocks, self._waiting = self._waiting, []
        if blocks:
            self._writing = True
            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._write, blocks)
            finally:
                self._writing = False
        async with self._left:
            self.moved += len(blocks)
            self._left.notify_all()
        self._news.set()

    def _write(self, blocks: list[Put]) -> None:
        if not blocks:
            return
        try:
            gone = self._with_file(lambda file: file.append(blocks, self._limit))
        except JournalError:
            # A signal never stops evidence: what cannot be kept is counted, and the loss is put on record.
            for device, samples, _ in blocks:
                self._drop(device, samples)
        else:
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

    def _drop(self, device: str, samples: int) -> None:
        if samples:
            self.dropped[device] = self.dropped.get(device, 0) + samples


async def report_losses(buffer: TelemetryBuffer, submit: Submit, *, clock: Clock) -> NoReturn:
    """Put on record, at most once a minute for each device, how many signals were lost."""
    reported: dict[str, int] = {}
    uncounted_reported = False
    while True:
        await asyncio.sleep(REPORT_S if reported or uncounted_reported else FIRST_REPORT_S)
        lost = {
            device: count - reported.get(device, 0)
            for device, count in buffer.dropped.items()
            if count > reported.get(device, 0)
        }
        gaps = [_loss(device, count, clock) for device, count in sorted(lost.items())]
        if buffer.lost_uncounted and not uncounted_reported:
            gaps.append(_loss(None, None, clock))
            uncounted_reported = True
        if not gaps:
            continue
        if lost:
            reported |= buffer.dropped
            log.warning("signals dropped before the historian had them", samples=lost)
        # Crash here: the count of the last minute is lost with the signals; evidence is not touched.
        await submit(gaps)


def _loss(device: str | None, count: int | None, clock: Clock) -> Event:
    """Return the gap of one device, or of a buffer of which nobody knows what was in it."""
    return gateway_event(
        "source.gap",
        clock.stamp().realtime_ns,
        resource=Resource("telemetry", device or "buffer"),
        reason=_LOST if device else _LOST_UNCOUNTED,
        changes=(Change("count", None, count),) if count is not None else (),
        context={"device_id": device} if device else {},
    )
