"""Feed systemd's watchdog while every loop makes progress, and end the process where one is stuck."""

import asyncio
import faulthandler
import os
import select
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, NoReturn, Self

import sdnotify
import structlog

from linewitness.base.errors import ExitCode, LinewitnessError
from linewitness.base.line_writer import flush_all

log = structlog.get_logger()

#: Loops are looked at this often, or three times in the watchdog's period if that is shorter.
LOOK_S: Final = 10.0
#: An event loop that does not run for this long is stuck; systemd's watchdog waits longer.
LAG_S: Final = 60.0
#: After a loop was found stuck, the others get this long to end in order.
GRACE_S: Final = 10.0
#: The stacks of a process that ends get this long to be written.
LAST_WORDS_S: Final = 4.0
#: A commit may wait for a slow card, a confirmation for a slow device; beyond this they are stuck.
COMMIT_S: Final = 60.0
CARRY_S: Final = 180.0
#: Every attempt to connect ends by itself long before this, and is logged.
CONNECT_S: Final = 600.0


class Stuck(LinewitnessError):
    """A loop of ours makes no progress: a bug, or a disk that never answers."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop that must go on.

    `progress` is read from outside and costs the loop nothing: None while the loop waits for input
    (a device that sends nothing), otherwise any value that changes as work goes on.
    """

    name: str
    limit_s: float
    progress: Callable[[], object | None]


class Looks:
    """The progress of each loop so far: after enough looks without progress a loop is stuck.

    Looks are counted, not seconds: while the process does not run (suspended, a paused virtual machine)
    no look is taken, so that no loop counts as stuck.
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
                "and check the disk (dmesg)",
            )


class Lifeline:
    """A thread that ends the process when the event loop no longer runs, or does not end in time."""

    def __init__(self, *, limit_s: float = LAG_S, end: Callable[[str], object] | None = None) -> None:
        """Take the longest time between two beats; after it `end` is called (default: end the process)."""
        self._limit_s = limit_s
        self._end = end or end_process
        self._beaten = threading.Event()
        self._stopped = False
        self._why = "the event loop does not run"
        self._thread = threading.Thread(target=self._run, name="lifeline", daemon=True)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        """Stop the thread; after a loop was found stuck, it ends the process within the grace period."""
        if isinstance(error, Stuck):
            self._limit_s, self._why = GRACE_S, error.what
        else:
            self._stopped = True
        self._beaten.set()

    def beat(self) -> None:
        """Record from the event loop that it runs."""
        self._beaten.set()

    def _run(self) -> None:
        while not self._stopped:
            if not self._beaten.wait(self._limit_s) and not self._stopped:
                self._end(self._why)
                return
            self._beaten.clear()


def end_process(why: str) -> NoReturn:
    """Write the stack of every thread to standard error, and end with the exit code of a bug.

    If nobody reads standard error, the process ends all the same.
    """
    try:
        stacks = os.memfd_create("stacks")
        os.write(stacks, f"linewitness: {why}; the process ends; stacks of its threads:\n".encode())
        faulthandler.dump_traceback(file=stacks, all_threads=True)
        writer = threading.Thread(target=_write_last, args=(stacks,), name="last words", daemon=True)
        writer.start()
        writer.join(LAST_WORDS_S)
    finally:
        os._exit(ExitCode.BUG)


def _write_last(stacks: int) -> None:
    flush_all(LAST_WORDS_S / 2)
    os.lseek(stacks, 0, os.SEEK_SET)
    while chunk := os.read(stacks, select.PIPE_BUF):
        os.write(2, chunk)


def tell_systemd(message: str) -> None:
    """Send one notification; nothing happens where systemd did not start us."""
    if "NOTIFY_SOCKET" in os.environ:  # otherwise the library leaves a socket behind
        sdnotify.SystemdNotifier().notify(message)


def look_period_s() -> float:
    """Return the time between two looks: short enough for the watchdog that systemd has set up."""
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
async def supervised(
    loops: Callable[[], Iterable[Loop]], *, status: Callable[[], str]
) -> AsyncIterator[None]:
    """Tell systemd that the process is ready, and feed its watchdog during a block while the loops go on."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(supervise(loops, status=status), name="watchdog")
        tell_systemd("READY=1")
        try:
            yield
        finally:
            tell_systemd("STOPPING=1")
            task.cancel()
