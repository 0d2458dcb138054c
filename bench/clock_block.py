"""Measure what the clock block costs: reading both clocks, looking for a step, and what is known of them.

It is compared with the whole append in the same run, in group commits and with one record a commit. Usage:

    python bench/clock_block.py [--records 5000] [--rounds 5]

Exit code 1 means that the clock block takes a tenth of an append or more.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from append import IDENTITY, tightening

from linewitness.base.clock import ClockState, SharedClockState, SystemClock
from linewitness.journal.file import JournalFile
from linewitness.journal.submission import Submission
from linewitness.records.builder import RecordBuilder
from linewitness.records.record_bytes import RecordFacts

LIMIT = 0.1
BATCHES = (256, 1)


def seconds_each(work: Callable[[], None], count: int) -> float:
    """Return the seconds that one of `count` pieces of work took."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) / count


def known(clock: SystemClock) -> SharedClockState:
    """Return a state as the watch sets it: with a bound and the stamp for which it was found."""
    state = SharedClockState()
    state.set(ClockState("locked", 1200), clock.stamp())
    return state


def clock_blocks(builder: RecordBuilder, state: SharedClockState, count: int, now_ns: int) -> None:
    """Make the clock block of `count` records, as an append does."""
    event = tightening(1, now_ns)
    for number in range(count):
        stamp, _ = builder.stamp()
        facts = RecordFacts(
            event, "", event.context, number, stamp, state.at(stamp).moved(0), 0, event.reason
        )
        builder._bytes.clock(event, facts)  # noqa: SLF001 (the very code that is measured)


def append(journal: JournalFile, count: int, batch: int, now_ns: int) -> None:
    """Append `count` records, so many in one commit."""
    for first in range(0, count, batch):
        numbers = range(first, min(first + batch, count))
        journal.append([Submission(events=(tightening(number, now_ns),)) for number in numbers])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--records", type=int, default=5000, help="records in each round")
    arguments.add_argument("--rounds", type=int, default=5, help="the median of these counts")
    chosen = arguments.parse_args()
    clock = SystemClock()
    now_ns, worst = clock.stamp().realtime_ns, 0.0
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "journal"
        state = known(clock)
        JournalFile.create(directory, IDENTITY, clock=clock, clock_state=state).close()
        journal = JournalFile.open(directory, clock=clock, clock_state=state)
        builder = RecordBuilder(IDENTITY, clock=clock, clock_state=state)
        for batch in BATCHES:
            count = chosen.records if batch > 1 else max(1, chosen.records // 10)
            blocks, appends = [], []
            for _ in range(chosen.rounds):
                blocks.append(seconds_each(partial(clock_blocks, builder, state, count, now_ns), count))
                appends.append(seconds_each(partial(append, journal, count, batch, now_ns), count))
            block, whole = statistics.median(blocks), statistics.median(appends)
            worst = max(worst, block / whole)
            print(
                f"{batch:>4} a commit: clock block {block * 1e6:6.2f} us, append {whole * 1e6:8.2f} us, "
                f"ratio {block / whole:.3f}",
                flush=True,
            )
        journal.close()
    sys.exit(worst >= LIMIT)


if __name__ == "__main__":
    main()
