"""How full the journal is, how long the rest will last, and when devices have to keep their results."""

import asyncio
import shutil
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NoReturn

import structlog

from linewitness.base.clock import Clock, monotonic
from linewitness.base.errors import JournalFull
from linewitness.base.failures import retrieve
from linewitness.evidence.format.gateway_event import gateway_event
from linewitness.evidence.format.record import Change, Event, Resource
from linewitness.journal.options import JournalOptions
from linewitness.journal.reader import Figures, JournalReader

log = structlog.get_logger()

CHECK_PERIOD_S: Final = 1.0
#: The growth that "hours left" is reckoned from is measured over this many seconds at most.
WINDOW_S: Final = 3600.0
#: One point of growth is kept this often.
POINT_S: Final = 10.0
#: A rate needs some time behind it.
SETTLED_S: Final = 60.0
#: A level is left only when this share of the room is free again, so that nothing flutters.
HYSTERESIS: Final = 0.02
#: A full journal is used again from this many bytes on, if they are less than that share.
LEAST_ROOM: Final = 4 * 1024**2
#: A disk that refused a commit is asked again this often.
RETRY_S: Final = 1.0
#: A gateway that is asked to stop gives the disk this long to take its last records.
LAST_TRIES_S: Final = 5.0

Query = Callable[[Callable[[JournalReader], Figures]], Awaitable[Figures]]
Submit = Callable[[Sequence[Event]], "asyncio.Future[Any]"]


class Level(IntEnum):
    """How full the journal is; each change of the level is logged and put on record."""

    NORMAL = 0
    HIGH = 1
    CRITICAL = 2
    FULL = 3

    @property
    def label(self) -> str:
        """The level's name in records."""
        return self.name.lower()


#: Shares of the room from which on a level holds.
THRESHOLDS: Final = {Level.HIGH: 0.80, Level.CRITICAL: 0.95, Level.FULL: 1.0}

FULL_MESSAGE: Final = "journal full: devices are no longer confirmed, they keep their results"

_SENTENCES: Final = {
    Level.NORMAL: "the journal has room again",
    Level.HIGH: "less than 20 % of the journal's room is left",
    Level.CRITICAL: "less than 5 % of the journal's room is left: signals give way, evidence goes on",
    Level.FULL: "the journal is full: devices are no longer confirmed, they keep their results",
}
_HINT: Final = (
    "bring the audit store back so that records can be pruned, free the disk, or raise journal.max_size and "
    "reload"
)


@dataclass(frozen=True, slots=True)
class Room:
    """What is left: bytes, and hours at the rate of the last hour (None while nothing grows).

    `whole` is what the settings promise; a disk that has less is under pressure from the start.
    """

    used: int
    left: int
    whole: int
    hours_left: float | None

    @property
    def full(self) -> bool:
        """Return whether devices have to keep what they have."""
        return self.left <= 0

    @property
    def tight(self) -> bool:
        """Return whether it would be full again at once."""
        return self.left < LEAST_ROOM

    @property
    def share(self) -> float:
        """How much of the room is used, from 0 to 1."""
        return 1.0 - min(max(self.left, 0), self.whole) / self.whole


def bytes_left(options: JournalOptions, figures: Figures) -> int:
    """Return how many bytes the journal may still grow by: its own limit or the disk's, the closer one."""
    free = shutil.disk_usage(options.directory).free - int(options.min_free)
    return min(int(options.max_size) - figures.bytes_used, free)


def level_of(room: Room, before: Level) -> Level:
    """Return the level that holds now; a level is left with some distance only."""
    found = max((level for level, share in THRESHOLDS.items() if room.share >= share), default=Level.NORMAL)
    if found >= before:
        return found
    kept = [
        level
        for level, share in THRESHOLDS.items()
        if level <= before and room.share > share - HYSTERESIS and (level < Level.FULL or room.tight)
    ]
    return max((found, *kept))


class Pressure:
    """Measure the room that is left, and hold devices back when there is none.

    Only observations of devices have to wait. The gateway's own records (receipts, the clock, this pressure)
    go on into what `min_free` and the disk still have; without receipts nothing could ever be pruned.
    Where the disk refuses even those (`refused`), the journal counts as full until it takes them (`granted`).
    """

    def __init__(self, options: JournalOptions) -> None:
        """Take the limits; nothing is measured yet."""
        self._options = options
        self._checked = float("-inf")
        self._history: deque[tuple[float, int]] = deque()
        self._open = asyncio.Event()
        self._open.set()
        self._when_open: list[Callable[[], None]] = []
        self._lifted = False
        self._lifted_at = 0.0
        self._refused_since = 0.0
        #: Set once the disk has refused a commit.
        self.refusing = asyncio.Event()
        #: What the disk said when it refused the last commit, or nothing.
        self.refusal = ""
        self.level = Level.NORMAL
        self.room_left = Room(0, int(options.max_size), int(options.max_size), None)
        self.rounds = 0

    @property
    def full(self) -> bool:
        """Return whether devices are being held back."""
        return not self._open.is_set()

    def when_open(self, call: Callable[[], None]) -> None:
        """Call this each time when there is room again."""
        self._when_open.append(call)

    def take_over(self, options: JournalOptions) -> None:
        """Go on with other limits; the next look, within a second, holds devices back or lets them go on."""
        self._options = options

    def lift(self) -> None:
        """Let the last records of a gateway that stops use the reserve: what waits must not hold it up."""
        self._lifted, self._lifted_at = True, monotonic()
        self._let_go()

    def _let_go(self) -> None:
        self._open.set()
        for call in self._when_open:
            call()

    def refused(self, refusal: JournalFull) -> None:
        """Record that the disk took not even the gateway's own records."""
        if not self.refusal:
            self._refused_since = monotonic()
        self.refusal = refusal.what
        self.refusing.set()
        self._reach(Level.FULL)

    def granted(self) -> None:
        """Record that the disk took records; how much room it has is measured next."""
        self.refusal = ""

    async def pause(self) -> None:
        """Wait before the disk is asked again; JournalFull where a gateway that stops has waited enough."""
        if self._lifted and monotonic() - max(self._refused_since, self._lifted_at) >= LAST_TRIES_S:
            raise JournalFull(self.refusal, hint="the last records of the gateway are not on record")
        await asyncio.sleep(RETRY_S)

    @property
    def sentence(self) -> str:
        """What `systemctl status` shows of a full journal, or nothing."""
        if self.level < Level.FULL:
            return ""
        return f"JOURNAL FULL, devices are not confirmed{': ' if self.refusal else ''}{self.refusal}"

    async def gate(self) -> None:
        """Return when there is room for observations."""
        await self._open.wait()

    async def room(self, read: Query) -> None:
        """Count another commit, and measure if that is due: the writer calls it before each."""
        self.rounds += 1
        if monotonic() - self._checked >= CHECK_PERIOD_S:
            await self.measure(read)

    async def watch(
        self, read: Query, submit: Submit, *, clock: Clock, spare: Callable[[bool], object] = lambda _: None
    ) -> NoReturn:
        """Measure for ever, and put each change of the level on record.

        `spare` is called with whether signals must make do with the room that they have.
        """
        reported = Level.NORMAL
        while True:
            await self.measure(read)
            if self.level != reported:
                before, reported = reported, self.level
                spare(reported >= Level.CRITICAL)
                # Not awaited: were the disk's last room gone too, measuring must go on.
                submit([self._event(before, clock)]).add_done_callback(retrieve)
            await asyncio.sleep(CHECK_PERIOD_S)

    async def measure(self, read: Query) -> None:
        """Look at the files and the disk, and hold devices back or let them go on."""
        self._checked = monotonic()
        figures = await read(JournalReader.figures)
        left = bytes_left(self._options, figures)
        self._remember(figures.bytes_used - figures.log_used)
        self.room_left = Room(figures.bytes_used, left, int(self._options.max_size), self._hours(left))
        self._reach(Level.FULL if self.refusal else level_of(self.room_left, self.level))

    def _reach(self, level: Level) -> None:
        """Take over the level; a change is logged once, whoever found it."""
        before, self.level = self.level, level
        if level != before:
            self._log_level(before)
        if level < Level.FULL or self._lifted:
            if self.full:
                self._let_go()
        else:
            self._open.clear()

    def _log_level(self, before: Level) -> None:
        room = self.room_left
        facts = {
            "pressure": self.level.label,
            "used": room.used,
            "left": max(0, room.left),
            "hours_left": None if room.hours_left is None else round(room.hours_left, 1),
        }
        if self.level < before:
            log.info("journal has room again", **facts)
        elif self.level is Level.FULL:
            log.error(FULL_MESSAGE, **facts, **({"why": self.refusal} if self.refusal else {}), hint=_HINT)
        else:
            log.warning("journal fills up", **facts, hint=_HINT)

    def _event(self, before: Level, clock: Clock) -> Event:
        room = self.room_left
        changes = [
            Change("level", before.label, self.level.label),
            Change("used", None, room.used, "B"),
            Change("left", None, max(0, room.left), "B"),
        ]
        if room.hours_left is not None:
            changes.append(Change("hours_left", None, int(room.hours_left), "h"))
        return gateway_event(
            "journal.pressure",
            clock.stamp().realtime_ns,
            resource=Resource("journal", "journal"),
            reason=_SENTENCES[self.level]
            + (" (it was fuller)" if Level.NORMAL < self.level < before else ""),
            changes=tuple(changes),
        )

    def _remember(self, used: int) -> None:
        now, history = self._checked, self._history
        if len(history) > 1 and history[-1][0] - history[-2][0] < POINT_S:
            history.pop()
        history.append((now, used))
        while now - history[0][0] > WINDOW_S:
            history.popleft()

    def _hours(self, left: int) -> float | None:
        (first_at, first_bytes), (last_at, last_bytes) = self._history[0], self._history[-1]
        grown, elapsed = last_bytes - first_bytes, last_at - first_at
        if grown <= 0 or elapsed < SETTLED_S:
            return None
        return _rounded(max(left, 0) / (grown / elapsed) / 3600)


def _rounded(hours: float) -> float:
    """Return a forecast in three digits: more of them would be wrong, and change with each look."""
    return float(f"{hours:.3g}")
