"""Ask time sources: each as often as it allows, or all of them once."""

import asyncio
from collections.abc import Sequence
from typing import Final, NoReturn

import structlog

from linewitness.base.clock import Clock, Stamp
from linewitness.timesources.chrony import ChronySource
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
#: Reads of the clocks of which the one that was least interrupted counts.
READS: Final = 3

log = structlog.get_logger(__name__)


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


class Poller:
    """Ask one source for ever, as often as it allows."""

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
        """Take the source; `wake` ends a pause after a clock step, `answered` is set by each answer."""
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
        """Ask until cancelled."""
        burst = BURST
        while True:
            if not self._is_needless():
                self._follow(await _ask(self._source, self._judge))
                self._answered.set()
            burst = max(0, burst - 1)
            fast = burst > 0 and not self._declined
            if await self._pause(BURST_S if fast else self._every_s):
                burst = BURST

    async def _pause(self, seconds: float) -> bool:
        """Wait; return whether a step ended it early, which it does not where the server declined."""
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
        """Return whether chrony answers already, which asks the servers itself."""
        return self._source.name != CHRONY and self._judge.is_fresh(CHRONY, self._clock.stamp())

    def _follow(self, declined: SourceDeclined | None) -> None:
        if declined is not None:
            self._declined = True
            self._every_s = min(self._every_s * 2, SLOWEST_S) if declined.code == "RATE" else SLOWEST_S
            log.warning(
                "time source declines requests",
                source=self._source.name,
                code=declined.code,
                every_s=self._every_s,
            )


async def _ask(source: TimeSource, judge: Judge) -> SourceDeclined | None:
    """Ask once and hand the answer to the judge; return the refusal if the source declined."""
    try:
        judge.heard(await source.ask())
    except SourceSilent as silence:
        judge.not_heard(source.name, str(silence))
        return silence if isinstance(silence, SourceDeclined) else None
    return None
