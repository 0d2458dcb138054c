"""How full the journal is, how long the rest will last, and when to stop taking more."""

import asyncio
import shutil
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from linewitness.clock import monotonic
from linewitness.journal.options import JournalOptions
from linewitness.journal.reader import Figures, JournalReader

log = structlog.get_logger()

CHECK_PERIOD_S: Final = 1.0
#: The growth that "hours left" is reckoned from is measured over this many checks at most.
WINDOW: Final = 3600

Query = Callable[[Callable[[JournalReader], Figures]], Awaitable[Figures]]


@dataclass(frozen=True, slots=True)
class Room:
    """What is left: bytes, and hours at the rate of the last hour (None while nothing grows)."""

    used: int
    left: int
    hours_left: float | None

    @property
    def full(self) -> bool:
        """Say whether no more is taken."""
        return self.left <= 0


class Pressure:
    """Measure the room that is left, at most once a second, and hold the writer back when there is none."""

    def __init__(self, options: JournalOptions) -> None:
        """Take the limits; nothing is measured yet."""
        self._options = options
        self._checked = float("-inf")
        self._history: deque[tuple[float, int]] = deque(maxlen=WINDOW)
        self.room_left = Room(0, int(options.max_size), None)
        self._lifted = asyncio.Event()

    def lift(self) -> None:
        """Let the last records of a gateway that stops use the reserve: what waits must not hold it up."""
        self._lifted.set()

    async def room(self, read: Query) -> None:
        """Return when there is room for another commit."""
        if self._lifted.is_set() or monotonic() - self._checked < CHECK_PERIOD_S:
            return
        await self._measure(read)
        if not self.room_left.full:
            return
        log.error(
            "journal full: devices are no longer confirmed, they keep their results",
            directory=str(self._options.directory),
            used=self.room_left.used,
            hint="bring the audit store back so that records can be pruned, or raise journal.max_size",
        )
        while self.room_left.full and not await self._lifted_soon():
            await self._measure(read)
        if self.room_left.full:
            return
        log.info("journal has room again: devices are confirmed again", left=self.room_left.left)

    async def _lifted_soon(self) -> bool:
        try:
            async with asyncio.timeout(CHECK_PERIOD_S):
                return await self._lifted.wait()
        except TimeoutError:
            return False

    async def _measure(self, read: Query) -> None:
        figures = await read(JournalReader.figures)
        now = monotonic()
        self._checked = now
        self._history.append((now, figures.bytes_on_disk))
        free = shutil.disk_usage(self._options.directory).free - int(self._options.min_free)
        left = min(int(self._options.max_size) - figures.bytes_on_disk, free)
        self.room_left = Room(figures.bytes_on_disk, left, self._hours(left))

    def _hours(self, left: int) -> float | None:
        (first_at, first_bytes), (last_at, last_bytes) = self._history[0], self._history[-1]
        grown, elapsed = last_bytes - first_bytes, last_at - first_at
        if grown <= 0 or elapsed <= 0:
            return None
        return max(left, 0) / (grown / elapsed) / 3600
