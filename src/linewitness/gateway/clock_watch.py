"""Monitor the machine's clock: keep its state current, and put changes of the state on record."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NoReturn

import structlog

from linewitness.base.clock import Clock, SharedClockState, StepDetector, monotonic, next_tick
from linewitness.base.failures import retrieve
from linewitness.evidence.format.gateway_event import CLOCK, gateway_event
from linewitness.evidence.format.record import Change, Event, Resource, Scalar
from linewitness.timesources.devices import DeviceClocks
from linewitness.timesources.judge import ClockVerdict, Judge
from linewitness.timesources.options import ClockOptions
from linewitness.timesources.polling import Poller, sources_of, steady_stamp
from linewitness.timesources.sample import TimeSource

STATUS_S: Final = 60.0
#: Minutes of offsets that are kept for the plot.
HISTORY: Final = 1440

log = structlog.get_logger(__name__)

Submit = Callable[[Sequence[Event]], "asyncio.Future[Any]"]


class ClockBoard:
    """The figures of the status page: the newest verdict, a day of offsets, and the devices' clocks."""

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


async def watch_clock(
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
    """Watch the clock for ever: keep `state` and `board` current, and submit `clock.status` events.

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
            poller = Poller(
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
            reporter=_ClockReporter(submit, happened),
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
    reporter: "_ClockReporter",
    wakes: Sequence[asyncio.Event],
    answered: asyncio.Event,
) -> NoReturn:
    """Judge at each answer and in between: the bound grows in silence, and a step changes it at once."""
    steps = StepDetector()
    tick = monotonic()
    while True:
        stamp = steady_stamp(clock)
        verdict = judge.at(stamp)
        # State first: the records of a step then carry the bound after the step.
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


class _ClockReporter:
    """Submit `clock.status`: changes that matter at once, the rest once a minute if anything happened."""

    def __init__(self, submit: Submit, happened: Callable[[], int] | None) -> None:
        self._submit = submit
        self._happened = happened or (lambda: 0)
        self._reported: dict[str, Scalar] = {
            "sync": "unsynced",
            "bound_us": None,
            "leap": "none",
            "warning": True,
        }
        self._count = self._happened()
        self._minute = monotonic()

    def consider(self, verdict: ClockVerdict, *, stepped: bool) -> None:
        """Submit an event if there is something to report.

        After a step there is: what is now known of the clock. The journal puts `clock.stepped` before it.
        """
        now = monotonic()
        facts = _facts(verdict)
        changed = any(facts[field] != self._reported[field] for field in ("sync", "leap", "warning"))
        changed |= (facts["bound_us"] is None) != (self._reported["bound_us"] is None)
        due = now - self._minute >= STATUS_S
        news = self._happened() != self._count or facts["falsetickers"] != self._reported.get("falsetickers")
        if due:
            self._minute, self._count = now, self._happened()
        if stepped or changed:
            log.info("clock", sync=facts["sync"], bound_us=facts["bound_us"], reason=verdict.reason)
        if stepped or changed or (due and news):
            self._report(verdict, facts, "the clock was set; " if stepped else "")

    def _report(self, verdict: ClockVerdict, facts: dict[str, Scalar], why: str) -> None:
        changes = tuple(
            Change(field, self._reported.get(field), value)
            for field, value in facts.items()
            if field in {"sync", "bound_us"} or self._reported.get(field) != value
        )
        self._reported = facts
        event = gateway_event(
            "clock.status",
            verdict.stamp.realtime_ns,
            actor=CLOCK,
            resource=Resource("clock", "realtime"),
            changes=changes,
            reason=why + verdict.reason,
        )
        # Not awaited: a full journal must not stop the bound from growing; if it fails, the process ends.
        self._submit([event]).add_done_callback(retrieve)


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
