"""Tell systemd how we are, and end the process where a loop is stuck: it is started again, and says so."""

import asyncio
import faulthandler
import functools
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final, NoReturn, Self

import sdnotify
import structlog

from linewitness.base.errors import ExitCode, LinewitnessError
from linewitness.gateway.clock_watch import ClockBoard
from linewitness.gateway.forward import BrokerLink, Dial
from linewitness.journal.journal import Journal
from linewitness.journal.telemetry import TelemetryBuffer
from linewitness.status.health import Health
from linewitness.store.work import StoreWork
from linewitness.uplink.forwarding import ForwardOptions
from linewitness.uplink.mqtt import MqttMessage

log = structlog.get_logger()

#: Loops are looked at this often, or three times in the watchdog's period if that is shorter.
LOOK_S: Final = 10.0
#: An event loop that does not turn for this long is stuck; systemd's watchdog waits longer.
LAG_S: Final = 60.0
#: After a loop was found stuck, the others get this long to end in order.
GRACE_S: Final = 10.0
#: A commit may wait for a slow card, a confirmation for a slow device; beyond this they are stuck.
COMMIT_S: Final = 60.0
CARRY_S: Final = 180.0
#: Every attempt to connect ends by itself long before this, and is said.
CONNECT_S: Final = 600.0
CLOCK_S: Final = 60.0
#: Records of custody may wait a minute for company, a broker half a minute for its answer.
FORWARD_S: Final = 300.0


class Stuck(LinewitnessError):
    """A loop of ours makes no progress: a bug, or a disk that never answers."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop that must go on.

    `progress` is asked from outside and costs the loop nothing: None while the loop waits for the world
    (a device that has nothing to say), otherwise anything that changes as work goes on.
    """

    name: str
    limit_s: float
    progress: Callable[[], object | None]


class Looks:
    """What was seen of each loop so far: after enough looks without progress a loop is stuck.

    Looks are counted, not seconds: while this process does not run (a laptop's lid, a paused virtual
    machine) nobody looks, and nobody is blamed.
    """

    def __init__(self, period_s: float) -> None:
        """Take the time between two looks."""
        self._period_s = period_s
        self._seen: dict[str, tuple[object, int]] = {}

    def look(self, loops: Iterable[Loop]) -> None:
        """Look at every loop once; Stuck names those that have not moved for their limit."""
        seen: dict[str, tuple[object, int]] = {}
        stuck = []
        for loop in loops:
            progress = loop.progress()
            if progress is None:
                continue
            before, count = self._seen.get(loop.name, (None, 0))
            count = count + 1 if progress == before else 0
            seen[loop.name] = (progress, count)
            if count * self._period_s >= loop.limit_s:
                stuck.append(f"{loop.name} for {count * self._period_s:.0f} s")
        self._seen = seen
        if stuck:
            raise Stuck(
                f"no progress: {', '.join(stuck)}",
                hint="the process ends and systemd starts it again; please report this with the lines above, "
                "and look at the disk (dmesg)",
            )


class Lifeline:
    """A thread that ends the process when the event loop no longer turns, or does not end in time."""

    def __init__(self, *, limit_s: float = LAG_S, end: Callable[[str], object] | None = None) -> None:
        """Take how long silence may last; `end` is called then, and by default ends the process."""
        self._limit_s = limit_s
        self._end = end or end_process
        self._beaten = threading.Event()
        self._stopped = False
        self._why = "the event loop does not turn"
        self._thread = threading.Thread(target=self._watch, name="lifeline", daemon=True)

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        """Stop watching, but not after a loop was found stuck: then the end must come soon."""
        if isinstance(error, Stuck):
            self._limit_s, self._why = GRACE_S, error.what
        else:
            self._stopped = True
        self._beaten.set()

    def beat(self) -> None:
        """Say from the event loop that it turns."""
        self._beaten.set()

    def _watch(self) -> None:
        while not self._stopped:
            if not self._beaten.wait(self._limit_s) and not self._stopped:
                self._end(self._why)
                return
            self._beaten.clear()


def end_process(why: str) -> NoReturn:
    """Show where every thread is, and end at once with the exit code of a bug."""
    sys.stderr.flush()
    os.write(2, f"linewitness: {why}; the process ends, this is where its threads are:\n".encode())
    faulthandler.dump_traceback(file=2, all_threads=True)
    os._exit(ExitCode.BUG)


def tell_systemd(message: str) -> None:
    """Send one notification; nothing happens where systemd did not start us."""
    sdnotify.SystemdNotifier().notify(message)


def look_period_s() -> float:
    """Return how often to look: often enough for the watchdog that systemd has set up."""
    watchdog_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 1_000_000
    return min(LOOK_S, watchdog_s / 3) if watchdog_s else LOOK_S


async def supervise(
    loops: Callable[[], Iterable[Loop]],
    *,
    status: Callable[[], str],
    period_s: float | None = None,
    tell: Callable[[str], object] = tell_systemd,
    lifeline: Lifeline | None = None,
) -> NoReturn:
    """Feed systemd's watchdog while every loop makes progress; Stuck ends it, and the process with it.

    `status` is the sentence that `systemctl status` shows.
    """
    period_s = period_s or look_period_s()
    looks = Looks(period_s)
    with lifeline or Lifeline() as line:
        while True:
            line.beat()
            try:
                looks.look(loops())
            except Stuck as stuck:
                log.error("a loop is stuck: the process ends", why=stuck.what)  # noqa: TRY400 (no failure here)
                tell(f"STATUS={stuck.what}")
                raise
            tell(f"WATCHDOG=1\nSTATUS={status()}")
            await asyncio.sleep(period_s)


@asynccontextmanager
async def attended(loops: Callable[[], Iterable[Loop]], *, status: Callable[[], str]) -> AsyncIterator[None]:
    """Tell systemd that we are ready, and feed its watchdog for the time of a block while the loops go on."""
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(supervise(loops, status=status), name="watchdog")
        tell_systemd("READY=1")
        try:
            yield
        finally:
            tell_systemd("STOPPING=1")
            watching.cancel()


def loops_of_store(work: StoreWork) -> Iterator[Loop]:
    """Yield the loops of an audit store: each ends by itself long before its limit, or is stuck."""
    yield Loop("receive", CARRY_S, lambda: work.receiving.progress)
    yield Loop("judge and commit", COMMIT_S, lambda: work.judging.progress)
    yield Loop("answer", CARRY_S, lambda: work.answering.progress)
    yield Loop("connect", CONNECT_S, lambda: work.connecting)


class Dialling:
    """A way to the broker that counts its steps, so that a forwarder can be seen to go on."""

    def __init__(self, dial: Dial) -> None:
        """Take the way itself."""
        self._dial = dial
        self.steps = 0

    def __call__(self) -> AbstractAsyncContextManager[BrokerLink]:
        """Connect for the time of a block."""
        return self._connected()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[BrokerLink]:
        self.steps += 1
        async with self._dial() as link:
            self.steps += 1
            yield _Counted(link, self)


class _Counted:
    """A link whose answers are counted."""

    def __init__(self, link: BrokerLink, dialling: Dialling) -> None:
        self._link = link
        self._dialling = dialling

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        said = await self._link.publish(topic, payload, retain=retain)
        self._dialling.steps += 1
        return said

    async def subscribe(self, topic: str) -> None:
        await self._link.subscribe(topic)
        self._dialling.steps += 1

    def messages(self) -> AsyncIterator[MqttMessage]:
        return self._link.messages()


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayLoops:
    """The loops of a line and what shows their progress: figures that the parts keep anyway."""

    journal: Journal
    telemetry: TelemetryBuffer
    health: Health
    board: ClockBoard
    forward: ForwardOptions
    dialling: Dialling | None
    devices: Callable[[], Iterable[str]]

    def __call__(self) -> Iterator[Loop]:
        """Yield them as they are now: a new YAML may have changed the devices."""
        yield Loop("journal", COMMIT_S, self._journal)
        yield Loop("telemetry", COMMIT_S, self._telemetry)
        yield Loop("clock", CLOCK_S, lambda: self.board.verdict and self.board.verdict.stamp)
        if self.dialling is not None:
            yield Loop("forward", self._forward_s(), self._forward)
        for name in self.devices():
            yield Loop(f"capture:{name}", CARRY_S, functools.partial(self._carrying, name))
            yield Loop(f"connect:{name}", CONNECT_S, functools.partial(self._connecting, name))

    def _journal(self) -> object | None:
        if not self.journal.waiting or self.journal.pressure.full:
            return None
        return self.journal.head.size, self.journal.pressure.rounds

    def _telemetry(self) -> object | None:
        return self.telemetry.stored if self.telemetry.waiting else None

    def _carrying(self, name: str) -> object | None:
        device = self.health.devices.get(name)
        if device is None or not device.at_work or self.journal.pressure.full:
            return None
        return device.rounds

    def _connecting(self, name: str) -> object | None:
        device = self.health.devices.get(name)
        if device is None or device.state == "up" or self.journal.pressure.full:
            return None
        return device.reports

    def _forward(self) -> object | None:
        pending = self.journal.head.size > self.health.receipted
        if self.dialling is None or not pending or self.health.uplink_state == "conflict":
            return None
        return self.dialling.steps

    def _forward_s(self) -> float:
        """Return the longest pause that the settings allow between two steps of forwarding, and more."""
        paced = int(self.forward.batch_size) / int(self.forward.max_rate) if self.forward.max_rate else 0.0
        return FORWARD_S + 2 * (paced + self.forward.receipt_timeout_s)
