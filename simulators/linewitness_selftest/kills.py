"""Kill a working gateway's journal at random moments, again and again on the same files."""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from linewitness.base.clock import SystemClock, monotonic
from linewitness.journal.reader import JournalReader
from linewitness_selftest.audit import FaultTally, Findings, audit, audit_store
from linewitness_selftest.auditors import Auditors
from linewitness_selftest.jobs import JOURNAL, TOLD
from linewitness_selftest.outcome import FaultOutcome
from linewitness_selftest.results import Count, ToldResults
from linewitness_selftest.store import AuditStore
from linewitness_selftest.workers import KILLED, Worker, running_worker

#: Kills of one journal, before the next one is begun.
EACH: Final = 25
#: One half of the processes are killed within the time that this machine takes from the start to the first
#: confirmation, the others within this much more.
WORKING_S: Final = 0.2
#: Records of a journal before its first kill, so that there is something to prune.
BEFORE: Final = 285
AT_ONCE: Final = 2
FAULT: Final = "SIGKILL at random moments"
Tick = Callable[[int], None]


async def random_kills(
    folder: Path, *, kills: int, seed: int, auditors: Auditors, tick: Tick = lambda _: None
) -> FaultOutcome:
    """Kill `kills` times, on journals in `folder`; `tick` is told how often by now."""
    tally, done = FaultTally(FAULT), _Done()
    journals = [(number, min(EACH, kills - number)) for number in range(0, kills, EACH)]

    async def lane() -> None:
        async with running_worker() as worker:
            while journals:
                number, times = journals.pop()
                place = folder / f"kills-{number}"
                chance = random.Random(seed + number)
                killing = _Killing(worker, auditors, place, chance)
                async for found, what in killing.kill(times):
                    tally.add(found, f"seed {seed + number}, {what}")
                    tick(tally.injected)
                done.add(place)
                shutil.rmtree(place)

    async with asyncio.TaskGroup() as group:
        for at in range(AT_ONCE):
            group.create_task(lane(), name=f"kills:{at}")
    return tally.outcome(str(done))


@dataclass(slots=True)
class _Done:
    """What the killed processes got done: it says whether the kills met all kinds of work."""

    records: int = 0
    rotations: int = 0
    journals: int = 0
    pruned: int = 0

    def add(self, folder: Path) -> None:
        """Count what is on record in one journal."""
        with JournalReader(folder / JOURNAL) as reader:
            self.records += reader.size()
            self.rotations += len(reader.event_keys()) - 1
            self.journals += 1
            self.pruned += reader.pruned > 0

    def __str__(self) -> str:
        return f"{self.records} records, {self.rotations} rotations, {self.pruned} of {self.journals} pruned"


@dataclass(slots=True)
class _Killing:
    """One journal, whose gateway is killed again and again."""

    worker: Worker
    auditors: Auditors
    folder: Path
    chance: random.Random
    count: Count = field(default_factory=Count)
    #: What the kills so far answered for.
    known: Findings = field(default_factory=Findings)

    async def kill(self, times: int) -> AsyncIterator[tuple[Findings, str]]:
        """Yield what was found after each kill, and which it was."""
        await self.worker.make("prefill", self.folder, records=BEFORE)
        opening_s = await self._opening_s()
        found = await self._audit()
        for number in range(1, times + 1):
            begins = self.chance.random() < 0.5
            first_s, last_s = (0, opening_s) if begins else (opening_s, opening_s + WORKING_S)
            moment_s = self.chance.uniform(first_s, last_s)
            ended = await self.worker.run(
                "work", self.folder, kill_after_s=moment_s, seed=self.chance.getrandbits(32)
            )
            found.require(ended.code == KILLED, f"ended by itself: {ended}")
            found.join(await self._audit())
            self.known.lost += found.lost
            self.known.duplicated += found.duplicated
            if number == times:
                await self._audit_store(found)
            yield found, f"kill {number} after {moment_s * 1000:.0f} ms"
            found = Findings()

    async def _opening_s(self) -> float:
        """Return how long it takes until the first result is confirmed; this, too, ends with a kill."""
        with ToldResults(self.folder / TOLD) as told:
            before = told[0]
        began = monotonic()
        await self.worker.run_until("work", self.folder, lambda told: told[0] > before, seed=0)
        return monotonic() - began

    async def _audit(self) -> Findings:
        found, self.count = await self.auditors.ask(_audited, self.folder, self.count)
        return found

    async def _audit_store(self, found: Findings) -> None:
        """Judge all that the store came to hold; what no kill answered for, the last one does."""
        whole = await self.auditors.ask(_audited_store, self.folder)
        found.problems += whole.problems
        found.lost += max(0, whole.lost - self.known.lost)
        found.duplicated += max(0, whole.duplicated - self.known.duplicated)


def _audited(folder: Path, count: Count) -> tuple[Findings, Count]:
    """Judge a journal; return also the count to go on from."""
    with AuditStore(folder, clock=SystemClock()) as store:
        return audit(folder, store, count), count


def _audited_store(folder: Path) -> Findings:
    with AuditStore(folder, clock=SystemClock()) as store:
        return audit_store(folder, store)
