"""Work on a journal with everything that changes its files, and say after each operation what is durable.

Started under strace, in an empty folder: `python -m linewitness_selftest.power.workload FOLDER SEED`. The
seed decides the order and the sizes of the operations. With a third argument, what was told before, it goes
on with what a power cut has left.
"""

import os
import random
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from linewitness.base.clock import NS_PER_S, SharedClockState, SystemClock, to_rfc3339
from linewitness.base.secrets import Secret
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.note import cosign
from linewitness.evidence.format.record import Actor, Change, Event, Resource
from linewitness.evidence.format.tiles import TILE_LEAVES
from linewitness.journal import database
from linewitness.journal.attestations import PRUNED, StoredReceipt
from linewitness.journal.file import JournalFile
from linewitness.journal.generations.generation import begin_next
from linewitness.journal.keyring import LOG_KEY
from linewitness.journal.options import JournalOptions
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from linewitness_selftest.power.truth import (
    LAST,
    PASSING,
    RESULT,
    STORE_KEY,
    STORE_NAME,
    WRAPPING_KEY,
    ToldDurable,
    Truth,
    identity,
    keyring,
    raw_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

JOURNAL: Final = "journal"
#: Records of the largest batch, and how many are deleted at once.
BATCH: Final = 48
STEP: Final = 120
CLOCK: Final = SystemClock()
CHECKPOINTS: Final = ("PASSIVE", "FULL", "RESTART", "TRUNCATE")


class Workload:
    """One line's journal from `init` to its second generation."""

    def __init__(self, site: Path, seed: int, *, say: Callable[[Truth], None]) -> None:
        """Work in `site`; `say` is told each time what is durable."""
        self._directory = site / JOURNAL
        self._wrapping = site.with_name(f"{site.name}.wrapping")
        self._chance = random.Random(seed)
        self._say = say
        self.truth = Truth(operation="init", begun=True)

    def run(self) -> None:
        """Do everything once, and the small things several times in an order of chance."""
        self.init()
        self.session(["append", "checkpoint", "rotate", "receipt", "append"])
        self.session(["append", "checkpoint", "rotate", "append", "append", "receipt"])
        self.session(["fill", "receipt", "prune", "append", "checkpoint"], shuffled=False)
        self.wrap()
        self.session(["append", "rotate", "append", "checkpoint"])
        with JournalReader(self._directory):
            # Somebody looks at it, so that the log is not moved into the main file when it is closed.
            # No rotation in it: then the log's loss would be seen by the key.
            self.session(["append", "append"])
            self.next_generation()
        self.session(["append", "rotate", "append"])

    def recover(self, told: ToldDurable) -> None:
        """Open what a power cut has left, and go on with whichever of the two states it is in."""
        self.truth = told.last or told.doing
        self.begin("recover", wrapped=told.doing.wrapped)
        with self._opened() as file:
            with JournalReader(self._directory) as reader:
                self.truth = told.found_in(file, reader) or self.truth
            self.done(file, operation="recover", wrapped=told.doing.wrapped)
            self.append(file)
        self.session(["append", "rotate", "checkpoint"])

    def init(self) -> None:
        """Begin the stream."""
        self.begin("init")
        file = JournalFile.create(
            self._directory,
            identity(1),
            clock=CLOCK,
            clock_state=SharedClockState(),
            keyring=keyring(self._directory, wrapped=False),
        )
        self.done(file, generation=1)
        file.close()

    def session(self, operations: list[str], *, shuffled: bool = True) -> None:
        """Open the journal as the gateway does, work, and close it."""
        if shuffled:
            self._chance.shuffle(operations)
        self.begin("open")
        with self._opened() as file:
            for operation in operations:
                self.begin(operation)
                getattr(self, operation)(file)
        self.done(None)

    def append(self, file: JournalFile, commits: int | None = None, most: int = 8) -> None:
        """Append batches with their state and raw bytes."""
        for _ in range(commits or self._chance.randint(1, 4)):
            first = self.truth.results
            results = first + self._chance.randint(1, most)
            passing = self._chance.choice((None, str(first)))
            events = tuple(_result(number) for number in range(first, results))
            raw = dict(map(raw_of, range(first, results)))
            state = {LAST: str(results - 1), PASSING: passing}
            file.append([Submission(events=events, state=state, raw=raw)])
            self.done(file, results=results, passing=passing)

    def fill(self, file: JournalFile) -> None:
        """Append until there is a full tile, and more, so that something can be pruned."""
        while self.truth.size < TILE_LEAVES + 10:
            self.append(file, 1, BATCH)

    def rotate(self, file: JournalFile) -> None:
        """Let a new event key take over."""
        before = self.truth.key
        file.append([Submission(rotate=True)])
        self.done(file, retired=(*self.truth.retired, before))

    def receipt(self, file: JournalFile) -> None:
        """Store a receipt over all records, as a store would sign it, and the checkpoint."""
        size = self.truth.size
        log_key = keyring(self._directory, wrapped=self.truth.wrapped).load(LOG_KEY)
        note = Checkpoint(file.identity.stream, size, file.head.root).sign(log_key)
        now = CLOCK.stamp().realtime_ns
        signed = note.with_signature(
            cosign(note.text, name=STORE_NAME, key=STORE_KEY, time_s=now // NS_PER_S)
        )
        stored = StoredReceipt(size, str(signed), to_rfc3339(now))
        file.append([Submission(receipt=stored, checkpoint=(size, str(note)))])
        self.done(file, receipt=size)

    def checkpoint(self, _file: JournalFile) -> None:
        """Move the log into the main file, as happens within a commit now and then."""
        with closing(sqlite3.connect(database.path_of(self._directory))) as connection:
            connection.execute(f"PRAGMA wal_checkpoint({self._chance.choice(CHECKPOINTS)})")
        self.done(None)

    def prune(self, file: JournalFile) -> None:
        """Prune what a receipt covers: on record first, then deleted step by step."""
        boundary = TILE_LEAVES
        event = _event("journal.pruned", Resource("stream", file.identity.stream))
        file.append([Submission(events=(event,), state={PRUNED: str(boundary)})])
        self.done(file, pruned=boundary)
        while not file.prune(boundary, most=STEP):
            self.done(None)
        self.done(None)

    def wrap(self) -> None:
        """Name a wrapping key, with which the next opening encrypts the key files."""
        self.begin("wrap", wrapped=True)
        with self._opened() as file:
            self.done(file)

    def next_generation(self) -> None:
        """End the stream, and begin its next generation."""
        self._wrapping.write_bytes(WRAPPING_KEY)
        self.begin("continue")
        options = JournalOptions(directory=self._directory, wrapping_key=Secret(file=self._wrapping))
        begin_next(options, identity(2), clock=CLOCK, reason="the selftest ends it")
        with self._opened() as file:
            self.done(file, generation=2, first=self.truth.results, receipt=0, pruned=0, retired=())

    def begin(self, operation: str, **changes: object) -> None:
        """Say which operation comes."""
        self.truth = replace(self.truth, operation=operation, begun=True, **changes)  # type: ignore[arg-type]  # members of Truth
        self._say(self.truth)

    def done(self, file: JournalFile | None, **changes: object) -> None:
        """Say what is durable now."""
        if file is not None:
            head = file.head
            changes |= {"size": head.size, "record_hash": head.record_hash, "root": head.root.hex()}
            changes |= {"key": file.event_key_id}
        self.truth = replace(self.truth, begun=False, **changes)  # type: ignore[arg-type]  # members of Truth
        self._say(self.truth)

    @contextmanager
    def _opened(self) -> "Iterator[JournalFile]":
        with database.Lock(self._directory):
            file = JournalFile.open(
                self._directory,
                clock=CLOCK,
                clock_state=SharedClockState(),
                keyring=keyring(self._directory, wrapped=self.truth.wrapped),
            )
            with closing(file), JournalReader(self._directory):
                yield file


def _result(number: int) -> Event:
    return _event(
        "tightening.result",
        Resource("tightening", f"{RESULT}{number}", ("unit", f"SN{number % 7}")),
        Change("torque", None, "12.30", "Nm", "11.00", "13.00", "ok"),
    )


def _event(kind: str, resource: Resource, *changes: Change) -> Event:
    return Event(
        kind=kind,
        occurred_ns=CLOCK.stamp().realtime_ns,
        occurred_from="gateway",
        actor=Actor("system", "selftest"),
        resource=resource,
        reason="the selftest did it",
        changes=changes,
    )


def aloud(truth: Truth) -> None:
    """Say it in one call, which is a part of the recording."""
    os.write(1, truth.to_line())


def main() -> None:
    """Work in the folder of the first argument, by the seed of the second."""
    site, seed, *told = sys.argv[1:]
    workload = Workload(Path(site), int(seed), say=aloud)
    if told:
        workload.recover(ToldDurable.of_line(told[0]))
    else:
        workload.run()


if __name__ == "__main__":
    main()
