"""One operation on a journal, for a test that makes one of its system calls fail.

What became durable is counted in a file that is mapped into memory: counting makes no system call.
"""

import mmap
import sys
from pathlib import Path

from journals import IDENTITY, result_event
from linewitness.cli.ending import exit_code_of
from linewitness.clock import SharedClockState, SystemClock
from linewitness.errors import LinewitnessError
from linewitness.journal.database import translated
from linewitness.journal.file import JournalFile, Submission
from linewitness.journal.kept import StoredReceipt

CLOCK = SystemClock()
EVENTS = 3


def create(folder, count):
    JournalFile.create(folder, IDENTITY, clock=CLOCK, clock_state=SharedClockState()).close()
    count(1)


def append(folder, count):
    file = opened(folder)
    first = file.head.size
    for number in range(first, first + EVENTS):
        event = result_event(number, CLOCK)
        file.append(
            [Submission(events=(event,), state={"last": str(number)}, raw={f"{number:064x}": b"raw"})]
        )
        count(file.head.size)
    file.close()


def receipt(folder, count):
    file = opened(folder)
    size = file.head.size
    file.append([Submission(receipt=StoredReceipt(size, "note", "2026-01-01T00:00:00.000Z"))])
    count(size)
    file.close()


def rotate(folder, count):
    file = opened(folder)
    file.append([Submission(rotate=True)])
    count(file.head.size)
    file.close()


def checkpoint(folder, count):
    """Move the log into the main file, as happens now and then within a commit."""
    file = opened(folder)
    with translated(folder):
        file._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file.append([Submission(events=(result_event(file.head.size, CLOCK),))])
    count(file.head.size)
    file.close()


def opened(folder):
    return JournalFile.open(folder, clock=CLOCK, clock_state=SharedClockState())


def main():
    operation, folder = sys.argv[1], Path(sys.argv[2])
    with (folder.parent / "count").open("r+b") as handle:
        counter = mmap.mmap(handle.fileno(), 8)

    def count(size):
        counter[:8] = size.to_bytes(8, "little")

    try:
        globals()[operation](folder, count)
    except LinewitnessError as error:
        sys.exit(exit_code_of(error))


main()
