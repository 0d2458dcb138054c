"""Profile the data flow of one tightening result: from its telegram (0061) to its acknowledgement (0062).

The real driver, capture, station and journal run against the torque simulator, which has a thread of its own
that is not profiled. Printed are the files of `linewitness` that run between the two telegrams, and how often
execution moves from one of them to another by call or return, summed over the event loop and the journal's
writer thread. The standard library between two files does not count. The smallest of several results is
taken: timers that run in between are not part of the flow.

Usage:

    python bench/way_of_a_result.py [--results 12] [--each]
"""

import argparse
import asyncio
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

import linewitness
from linewitness.base.clock import SharedClockState, SystemClock
from linewitness.devices.open_protocol.driver import OpenProtocolDriver
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness.gateway.fleet import Fleet
from linewitness.gateway.intake.arrival import Standstills
from linewitness.journal.file import JournalFile
from linewitness.journal.journal import open_journal
from linewitness.journal.options import JournalOptions
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.records.builder import StreamIdentity
from linewitness.stations.options import StationOptions, UnitOptions
from linewitness.status.health import Health
from linewitness_simulators.torque import TorqueSimulator, serve

ROOT = str(Path(linewitness.__file__).parent) + "/"
IDENTITY = StreamIdentity("bench.example/plant/line/1", "bench", "plant", "line")
PATIENCE_S = 20


class Moves:
    """Counts calls in each file of the product, and moves between files, for each thread on its own."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.moves: Counter[tuple[str, str]] = Counter()
        self.entered = 0
        self._here: dict[int, str] = {}

    def note(self, frame: FrameType, what: str) -> None:
        """Take one call or return."""
        where: FrameType | None = frame if what == "call" else frame.f_back
        file = where.f_code.co_filename if where is not None else ""
        if not file.startswith(ROOT):
            return
        file = file.removeprefix(ROOT)
        if what == "call":
            self.calls[file] += 1
        thread = threading.get_ident()
        before = self._here.get(thread)
        self._here[thread] = file
        if before is not None and before != file:
            self.moves[before, file] += 1
            self.entered += what == "call"


class Profiler:
    """Hands on what the interpreter says while a measurement runs; set in each thread that starts later."""

    def __init__(self) -> None:
        self.moves: Moves | None = None

    def __call__(self, frame: FrameType, what: str, _: object) -> None:
        if self.moves is not None and what in {"call", "return"}:
            self.moves.note(frame, what)


@contextmanager
def simulator_in_a_thread() -> Iterator[tuple[TorqueSimulator, asyncio.AbstractEventLoop]]:
    """Run the torque simulator on an event loop of its own."""
    loop, started, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    running: list[TorqueSimulator] = []

    async def run() -> None:
        async with serve() as simulator:
            running.append(simulator)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    started.wait(PATIENCE_S)
    try:
        yield running[0], loop
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the simulator tells nobody
            await asyncio.sleep(0.002)


def has_confirmed(simulator: TorqueSimulator, count: int) -> bool:
    """Return whether so many results have been acknowledged."""
    return len(simulator.acked) == count


async def ready(simulator: TorqueSimulator) -> None:
    """Wait until everything is subscribed and nothing is asked any more."""
    entries = simulator.ledger.entries
    await until(simulator.subscribed)
    before = -1
    while before != len(entries):
        before = len(entries)
        await asyncio.sleep(0.5)


async def measure(folder: Path, results: int) -> list[Moves]:
    """Return what ran for each of so many live results."""
    clock, directory, profiler = SystemClock(), folder / "journal", Profiler()
    JournalFile.create(directory, IDENTITY, clock=clock, clock_state=SharedClockState()).close()
    telemetry = TelemetryBuffer(directory, max_bytes=1_000_000)
    station = StationOptions(id="st-10", devices=("wrench-10",), unit=UnitOptions(pattern=r"SN\d+"))
    found = []
    with simulator_in_a_thread() as (simulator, loop):
        threading.setprofile(profiler)
        sys.setprofile(profiler)
        async with (
            open_journal(
                JournalOptions(directory=directory), clock=clock, clock_state=SharedClockState()
            ) as journal,
            asyncio.TaskGroup() as group,
        ):
            writer = group.create_task(journal.run())
            device = OpenProtocolOptions(
                id="wrench-10", host="127.0.0.1", port=simulator.port, timezone="UTC"
            )
            fleet = Fleet(
                group,
                build=lambda _: OpenProtocolDriver(device, clock=clock),
                journal=journal,
                telemetry=telemetry,
                clock=clock,
                health=Health(),
                standstills=Standstills(clock),
            )
            await fleet.apply([device], [station])
            await ready(simulator)
            for number in range(results):
                profiler.moves = Moves()
                loop.call_soon_threadsafe(simulator.tighten, f"SN{number}")
                await until(partial(has_confirmed, simulator, number + 1))
                found.append(profiler.moves)
                profiler.moves = None
                await asyncio.sleep(0.05)
            await fleet.stop()
            await journal.drain()
            await asyncio.wait([writer])
        sys.setprofile(None)
        threading.setprofile(None)
    telemetry.close()
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--results", type=int, default=12)
    arguments.add_argument("--each", action="store_true", help="print each file and each kind of move")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(Path(folder), chosen.results))
    best = min(found, key=lambda each: each.moves.total())
    own = [file for file in best.calls if "open_protocol/" in file]
    inside = sum(
        count for pair, count in best.moves.items() if all("open_protocol/" in each for each in pair)
    )
    if chosen.each:
        for file, count in sorted(best.calls.items()):
            print(f"{count:6} calls  {file}")
        for (one, other), count in best.moves.most_common():
            print(f"{count:6} moves  {one} -> {other}")
    print(
        f"whole product   {len(best.calls):4} files {best.moves.total():5} moves between files, "
        f"{best.entered} of them calls"
    )
    print(f"open_protocol   {len(own):4} files {inside:5} moves between files")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
