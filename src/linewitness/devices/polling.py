"""Ask devices on a steady grid: late rounds are skipped and counted, never bunched."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol, runtime_checkable

from linewitness.base.clock import Clock, Stamp, monotonic, next_tick, thread_busy_s, to_rfc3339
from linewitness.devices.base import Gap, When

#: What keeps polls from being made: the device's answers, the journal, or this process itself.
PollHindrance = Literal["device", "journal", "processor"]

#: What was not made is judged and put on record over this long.
WINDOW_S: Final = 30.0
#: A larger share of missed polls is an overload; a few are a moment's delay.
TOLERATED: Final = 0.05
FEW: Final = 3
#: An event loop that used more than this share of its core has no more to give.
BUSY: Final = 0.8

_HINTS: Final[dict[PollHindrance, str]] = {
    "device": "raise the period, read fewer points, or see what else runs on this machine",
    "journal": "use a faster disk, raise the period, or record fewer points as evidence",
    "processor": "use a faster processor, raise the period, or move devices to another gateway",
}
_WORDS: Final[dict[PollHindrance, str]] = {
    "device": "the device takes too long to answer",
    "journal": "the journal takes too long to make its values durable",
    "processor": "the gateway's processor is busy",
}


@dataclass(frozen=True, slots=True)
class PollOverload:
    """Of the `due` polls of the last window so many were `missed`, or made for evidence alone, and why."""

    due: int
    missed: int
    cut: int
    hindrance: PollHindrance

    @property
    def hint(self) -> str:
        """What to change."""
        return _HINTS[self.hindrance]

    def __str__(self) -> str:
        """Return it in words."""
        if self.missed:
            what = f"{self.missed:,} of {self.due:,} polls in {WINDOW_S:g} s were not made"
        else:
            what = f"{self.cut:,} of {self.due:,} polls in {WINDOW_S:g} s left out telemetry"
        return f"{what}: {_WORDS[self.hindrance]}"


@dataclass(frozen=True, slots=True)
class PollFigures:
    """Polls of one session: how many were due, how many of them were not made, and the overload, if any.

    `cut` counts those that left out telemetry, so that evidence was read in time.
    """

    due: int = 0
    missed: int = 0
    cut: int = 0
    overload: PollOverload | None = None

    def __add__(self, later: "PollFigures") -> "PollFigures":
        """Return the counts of both, and the overload of the later one."""
        return PollFigures(
            self.due + later.due, self.missed + later.missed, self.cut + later.cut, later.overload
        )


@dataclass(frozen=True, slots=True)
class MissedPolls:
    """So many polls were due between two moments and were not made."""

    count: int
    first: Stamp
    last: Stamp
    hindrance: PollHindrance

    def gap(self, device: str, session_id: str) -> Gap:
        """Return the gap that says so."""
        what = "1 poll was" if self.count == 1 else f"{self.count} polls were"
        return Gap(
            device=device,
            session_id=session_id,
            received=self.last,
            when=When(occurred_ns=self.last.realtime_ns, occurred_from="gateway"),
            source="poll",
            first=to_rfc3339(self.first.realtime_ns),
            last=to_rfc3339(self.last.realtime_ns),
            count=self.count,
            reason=f"{what} due and not made, because {_WORDS[self.hindrance]}: "
            "what was there only meanwhile is not known",
        )


@runtime_checkable
class PollingSession(Protocol):
    """A session that asks its device on a grid."""

    @property
    def polls(self) -> PollFigures:
        """How many polls were due, and how many of them were not made."""

    def missed_polls(self, *, final: bool = False) -> Gap | None:
        """Return, once, which polls of evidence were not made in the window that ended.

        `final` ends the window under way: the session ends.
        """


@dataclass(slots=True)
class _PollWindow:
    """What was counted since a moment of the loop's clock, at which the thread had been busy for a while."""

    begun: float
    busy_s: float
    due: int = 0
    missed: int = 0
    cut: int = 0
    asked_s: float = 0.0
    held_s: float = 0.0
    first: Stamp | None = None
    last: Stamp | None = None

    def hindrance(self, busy_s: float, lasted_s: float) -> PollHindrance:
        """Return what most of the time went to."""
        if busy_s - self.busy_s > BUSY * lasted_s:
            return "processor"
        return "journal" if self.held_s > self.asked_s else "device"


class PollGrid:
    """The moments at which one session asks its device.

    The first tick is at once. A round that takes longer than the period makes the grid skip the ticks
    that it missed; the grid keeps its phase. What was missed is reported once a window.
    """

    def __init__(self, *, period_s: float, clock: Clock) -> None:
        """Prepare a grid of `period_s` seconds; it starts with the first `tick`."""
        if period_s <= 0:
            raise ValueError(f"the period must be above 0, not {period_s}")
        self._period = period_s
        self._clock = clock
        self._scheduled: float | None = None
        self._asked: Stamp | None = None
        self._late = 0
        self._cut = False
        self._asked_s = self._held_s = 0.0
        self._window = _PollWindow(0.0, 0.0)
        self._report: MissedPolls | None = None
        self._figures = PollFigures()

    @property
    def period_s(self) -> float:
        """The distance of two ticks in seconds."""
        return self._period

    @property
    def figures(self) -> PollFigures:
        """What was due and missed so far."""
        return self._figures

    @property
    def next_at(self) -> float:
        """When the next tick is due, on the loop's clock; in the past when its round takes too long."""
        return monotonic() if self._scheduled is None else self._scheduled + self._period

    async def tick(self) -> int:
        """Wait for the next tick; return how many were missed since the last one."""
        await asyncio.sleep(self.advance() - monotonic())
        return self.begin()

    def advance(self) -> float:
        """Return the moment of the next tick on the loop's clock; those that are over are missed."""
        now = monotonic()
        if self._scheduled is None:
            self._scheduled = now
            self._window = _PollWindow(now, thread_busy_s())
        else:
            self._scheduled, missed = next_tick(self._scheduled, now, self._period)
            self._late += missed
        return self._scheduled

    def begin(self) -> int:
        """Begin a round at its tick; return how many were missed before it."""
        missed, self._late = self._late, 0
        before, self._asked = self._asked, self._clock.stamp()
        window = self._window
        window.due += 1 + missed
        window.missed += missed
        window.cut += self._cut
        if missed or self._cut:
            window.asked_s += self._asked_s
            window.held_s += self._held_s
        if missed:
            window.first, window.last = window.first or before, self._asked
        was = self._figures
        self._figures = PollFigures(
            was.due + 1 + missed, was.missed + missed, was.cut + self._cut, was.overload
        )
        self._asked_s, self._held_s, self._cut = 0.0, 0.0, False
        self._judge()
        return missed

    def cut(self) -> None:
        """Count a round that leaves out telemetry."""
        self._cut = True

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Count the time of a block as the device's."""
        begun = monotonic()
        try:
            yield
        finally:
            self._asked_s += monotonic() - begun

    @contextmanager
    def handing_over(self) -> Iterator[None]:
        """Count the time of a block as that of whoever makes the values durable."""
        begun = monotonic()
        try:
            yield
        finally:
            self._held_s += monotonic() - begun

    def report(self, *, final: bool = False) -> MissedPolls | None:
        """Return, once, what was missed in the window that ended; `final` ends the one under way."""
        if final:
            self._end_window(self._window, monotonic())
        report, self._report = self._report, None
        return report

    def _judge(self) -> None:
        """At the end of a window, say what was missed in it, and whether that is an overload."""
        window, now = self._window, monotonic()
        if now - window.begun < WINDOW_S:
            return
        hindrance = self._end_window(window, now)
        worst = max(window.missed, window.cut)
        overloaded = worst >= FEW and worst > TOLERATED * window.due
        overload = PollOverload(window.due, window.missed, window.cut, hindrance) if overloaded else None
        self._figures = replace(self._figures, overload=overload)

    def _end_window(self, window: _PollWindow, now: float) -> PollHindrance:
        """Begin another window; keep what was missed in this one, and return what took most of its time."""
        busy_s = thread_busy_s()
        self._window = _PollWindow(now, busy_s)
        hindrance = window.hindrance(busy_s, now - window.begun)
        if window.first and window.last:
            before = self._report
            count, first = (before.count, before.first) if before else (0, window.first)
            self._report = MissedPolls(count + window.missed, first, window.last, hindrance)
        return hindrance
