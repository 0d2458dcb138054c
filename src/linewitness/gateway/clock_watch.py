"""Watch the machine's clock: keep what is known about it current, and say when that changes."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NoReturn

import structlog

from linewitness.base.clock import Clock, SharedClockState, Stamp, StepDetector, monotonic, next_tick
from linewitness.evidence.format.record import Actor, Change, Event, Resource, Scalar
from linewitness.timesources.chrony import ChronySource
from linewitness.timesources.devices import DeviceClocks
from linewitness.timesources.judge import CHRONY, ClockVerdict, Judge
from linewitness.timesources.ntp import NtpSource
from linewitness.timesources.options import ClockOptions
from linewitness.timesources.sample import SourceDeclined, SourceSilent, TimeSource

#: After the start and after a step each server is asked a few times in short order.
BURST: Final = 4
BURST_S: Final = 2.0
#: chrony is on this machine: asking it costs nothing.
CHRONY_POLL_S: Final = 16.0
#: A server that asks for fewer questions gets at most one an hour.
SLOWEST_S: Final = 3600.0
STATUS_S: Final = 60.0
#: Minutes of offsets that are kept for the plot.
HISTORY: Final = 1440
#: Reads of the clocks of which the one that was least interrupted counts.
READS: Final = 3

log = structlog.get_logger(__name__)

Submit = Callable[[Sequence[Event]], "asyncio.Future[Any]"]


class ClockBoard:
    """What the status page shows: the newest verdict, a day of offsets, and the devices' clocks."""

    def __init__(self, *, device_limit_ms: int = 5000) -> None:
        """Start empty."""
        self.devices = DeviceClocks(device_limit_ms)
        self.verdict: ClockVerdict | None = None
        self.history: deque[ClockVerdict] = deque(maxlen=HISTORY)

    def show(self, verdict: ClockVerdict) -> None:
        """Replace the verdict; keep one a minute."""
        self.verdict = verdict
        last = self.history[-1].stamp.boottime_ns if self.history else None
        if last is None or verdict.stamp.boottime_ns - last >= STATUS_S * 1e9:
            self.history.append(verdict)


def sources_of(options: ClockOptions, clock: Clock) -> tuple[TimeSource, ...]:
    """Return the sources that the YAML names."""
    found: list[TimeSource] = []
    if options.chrony != "off":
        found.append(ChronySource(clock=clock, timeout_s=options.timeout_s, patience_s=options.holdover_s))
    if options.chrony != "on":
        found += [NtpSource(server, clock=clock, timeout_s=options.timeout_s) for server in options.ntp]
    return tuple(found)


def steady_stamp(clock: Clock) -> Stamp:
    """Return the one of a few stamps between whose two reads the least time passed."""
    stamps = [clock.stamp() for _ in range(READS)]
    return min(stamps, key=lambda stamp: stamp.realtime_ns - stamp.boottime_ns)


async def measure(options: ClockOptions, *, clock: Clock, sources: Sequence[TimeSource]) -> ClockVerdict:
    """Ask each source once and judge: for `linewitness clock` without a running gateway."""
    judge = Judge(options)
    async with asyncio.TaskGroup() as tasks:
        for source in sources:
            tasks.create_task(_ask(source, judge), name=f"clock:{source.name}")
    return judge.at(steady_stamp(clock))


async def watch(
    options: ClockOptions,
    *,
    clock: Clock,
    state: SharedClockState,
    submit: Submit,
    board: ClockBoard | None = None,
    sources: Sequence[TimeSource] | None = None,
    happened: Callable[[], int] | None = None,
    look: Callable[[], Awaitable[object]] | None = None,
) -> NoReturn:
    """Watch for ever: keep `state` and `board` current, and submit `clock.status` events.

    There is one at each change of state and after each step, and one each minute in which `happened`, a
    count of what the line did, has grown. `sources` replaces those that the options name. `look` lets the
    journal compare its clocks, each `stamp_s`, so that a step is on record although nothing else happens.
    """
    asked = sources_of(options, clock) if sources is None else sources
    judge = Judge(options)
    wakes = {source.name: asyncio.Event() for source in asked}
    answered = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for source in asked:
            poller = _Poller(
                options,
                source=source,
                judge=judge,
                clock=clock,
                wake=wakes[source.name],
                answered=answered,
            )
            tasks.create_task(poller.run(), name=f"clock:{source.name}")
        if look is not None:
            tasks.create_task(_look_often(look, options.stamp_s), name="clock:journal")
        await _refresh(
            judge,
            clock=clock,
            every_s=options.stamp_s,
            state=state,
            board=board or ClockBoard(),
            reporter=_Reporter(submit, happened),
            wakes=list(wakes.values()),
            answered=answered,
        )


async def _look_often(look: Callable[[], Awaitable[object]], every_s: float) -> NoReturn:
    """Let the journal look at its clock; a disk that is busy for long delays nothing but the next look."""
    tick = monotonic()
    while True:
        await look()
        tick, _ = next_tick(tick, monotonic(), every_s)
        await asyncio.sleep(tick - monotonic())


async def _refresh(
    judge: Judge,
    *,
    clock: Clock,
    every_s: float,
    state: SharedClockState,
    board: ClockBoard,
    reporter: "_Reporter",
    wakes: Sequence[asyncio.Event],
    answered: asyncio.Event,
) -> NoReturn:
    """Judge at each answer and in between: the bound grows in silence, and a step changes it at once."""
    steps = StepDetector()
    tick = monotonic()
    while True:
        stamp = steady_stamp(clock)
        verdict = judge.at(stamp)
        # State first: the records of a step then say already what the step did to the bound.
        state.set(verdict.state, stamp)
        board.show(verdict)
        stepped = steps.observe(stamp) is not None
        if stepped:
            for wake in wakes:
                wake.set()
        reporter.consider(verdict, stepped=stepped)
        if monotonic() >= tick:
            tick, _ = next_tick(tick, monotonic(), every_s)
        answered.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(tick):
                await answered.wait()


class _Reporter:
    """Tell changes of the verdict that matter at once, and the rest once a minute if anything happened."""

    def __init__(self, submit: Submit, happened: Callable[[], int] | None) -> None:
        self._submit = submit
        self._happened = happened or (lambda: 0)
        self._told: dict[str, Scalar] = {
            "sync": "unsynced",
            "bound_us": None,
            "leap": "none",
            "warning": True,
        }
        self._count = self._happened()
        self._minute = monotonic()

    def consider(self, verdict: ClockVerdict, *, stepped: bool) -> None:
        """Submit an event if there is something to tell.

        After a step there is: what is now known of the clock. The journal puts `clock.stepped` before it.
        """
        now = monotonic()
        facts = _facts(verdict)
        changed = any(facts[field] != self._told[field] for field in ("sync", "leap", "warning"))
        changed |= (facts["bound_us"] is None) != (self._told["bound_us"] is None)
        due = now - self._minute >= STATUS_S
        news = self._happened() != self._count or facts["falsetickers"] != self._told.get("falsetickers")
        if due:
            self._minute, self._count = now, self._happened()
        if stepped or changed:
            log.info("clock", sync=facts["sync"], bound_us=facts["bound_us"], reason=verdict.reason)
        if stepped or changed or (due and news):
            self._tell(verdict, facts, "the clock was set; " if stepped else "")

    def _tell(self, verdict: ClockVerdict, facts: dict[str, Scalar], why: str) -> None:
        changes = tuple(
            Change(field, self._told.get(field), value)
            for field, value in facts.items()
            if field in {"sync", "bound_us"} or self._told.get(field) != value
        )
        self._told = facts
        event = Event(
            kind="clock.status",
            occurred_ns=verdict.stamp.realtime_ns,
            occurred_from="gateway",
            actor=Actor("system", "clock"),
            resource=Resource("clock", "realtime"),
            changes=changes,
            reason=why + verdict.reason,
        )
        # Not awaited: a full journal must not stop the bound from growing; if it fails, the process ends.
        self._submit([event]).add_done_callback(_retrieved)


def _retrieved(future: "asyncio.Future[Any]") -> None:
    """Take note of a failed submission, which ends the process elsewhere."""
    if not future.cancelled():
        future.exception()


def _facts(verdict: ClockVerdict) -> dict[str, Scalar]:
    return {
        "sync": verdict.state.sync,
        "bound_us": verdict.state.bound_us,
        "offset_us": verdict.offset_us,
        "warning": verdict.warning,
        "leap": verdict.leap.value,
        "sources": verdict.named("agrees") or None,
        "falsetickers": verdict.named("false") or None,
    }


class _Poller:
    """Ask one source for ever, as often as it likes to be asked."""

    def __init__(
        self,
        options: ClockOptions,
        *,
        source: TimeSource,
        judge: Judge,
        clock: Clock,
        wake: asyncio.Event,
        answered: asyncio.Event,
    ) -> None:
        self._source = source
        self._judge = judge
        self._clock = clock
        self._wake = wake
        self._answered = answered
        self._every_s = float(options.poll_s)
        if source.name == CHRONY:
            self._every_s = min(self._every_s, CHRONY_POLL_S)
        self._declined = False

    async def run(self) -> NoReturn:
        burst = BURST
        while True:
            if not self._is_needless():
                self._heed(await _ask(self._source, self._judge))
                self._answered.set()
            burst = max(0, burst - 1)
            hurried = burst > 0 and not self._declined
            if await self._pause(BURST_S if hurried else self._every_s):
                burst = BURST

    async def _pause(self, seconds: float) -> bool:
        """Wait, and say whether a step ended it early; a server that declined is never hurried."""
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                if self._declined:
                    await asyncio.sleep(seconds)
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    def _is_needless(self) -> bool:
        """Say whether chrony answers already, which knows the servers better than we do."""
        return self._source.name != CHRONY and self._judge.is_fresh(CHRONY, self._clock.stamp())

    def _heed(self, declined: SourceDeclined | None) -> None:
        if declined is not None:
            self._declined = True
            self._every_s = min(self._every_s * 2, SLOWEST_S) if declined.code == "RATE" else SLOWEST_S
            log.warning("clock.declined", source=self._source.name, code=declined.code, every_s=self._every_s)


async def _ask(source: TimeSource, judge: Judge) -> SourceDeclined | None:
    """Ask once and tell the judge; return the refusal if the source does not want to be asked."""
    try:
        judge.heard(await source.ask())
    except SourceSilent as silence:
        judge.not_heard(source.name, str(silence))
        return silence if isinstance(silence, SourceDeclined) else None
    return None
