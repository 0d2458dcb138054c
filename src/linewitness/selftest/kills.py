"""Kill a working gateway's journal at random moments, again and again on the same files."""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from linewitness.clock import SystemClock
from linewitness.selftest.audit import Findings, Tally, audit, audit_store
from linewitness.selftest.auditors import Auditors
from linewitness.selftest.outcome import Outcome
from linewitness.selftest.results import Count
from linewitness.selftest.store import AuditStore
from linewitness.selftest.workers import KILLED, Worker, running_worker

#: Kills of one journal, before the next one is begun.
EACH: Final = 25
#: How long a process lives: one half of them are killed about the time that opening takes.
OPENING_S: Final = (0.0, 0.06)
WORKING_S: Final = (0.05, 0.25)
#: Records of a journal before its first kill, so that there is something to prune.
BEFORE: Final = 285
AT_ONCE: Final = 2
FAULT: Final = "SIGKILL at random moments"
Tick = Callable[[int], None]


async def random_kills(
    folder: Path, *, kills: int, seed: int, auditors: Auditors, tick: Tick = lambda _: None
) -> Outcome:
    """Kill `kills` times, on journals in `folder`; `tick` is told how often by now."""
    tally, sizes = Tally(FAULT), []
    journals = [(number, min(EACH, kills - number)) for number in range(0, kills, EACH)]

    async def lane() -> None:
        async with running_worker() as worker:
            while journals:
                number, times = journals.pop()
                place = folder / f"kills-{number}"
                chance = random.Random(seed + number)  # noqa: S311 (repeatable, not secret)
                killing = _Killing(worker, auditors, place, chance)
                async for found, what in killing.kill(times):
                    tally.add(found, f"seed {seed + number}, {what}")
                    tick(tally.injected)
                sizes.append(killing.count.size)
                shutil.rmtree(place)

    async with asyncio.TaskGroup() as group:
        for at in range(AT_ONCE):
            group.create_task(lane(), name=f"kills:{at}")
    return tally.outcome(f"{sum(sizes)} records")


@dataclass(slots=True)
class _Killing:
    """One journal, whose gateway is killed again and again."""

    worker: Worker
    auditors: Auditors
    folder: Path
    chance: random.Random
    count: Count = field(default_factory=Count)

    async def kill(self, times: int) -> AsyncIterator[tuple[Findings, str]]:
        """Yield what was found after each kill, and which it was."""
        await self.worker.make("prefill", self.folder, records=BEFORE)
        found = await self._audit(last=False)
        for number in range(1, times + 1):
            moment_s = self.chance.uniform(*self.chance.choice((OPENING_S, WORKING_S)))
            ended = await self.worker.run(
                "work", self.folder, kill_after_s=moment_s, seed=self.chance.getrandbits(32)
            )
            found.require(ended.code == KILLED, f"ended by itself: {ended}")
            found.join(await self._audit(last=number == times))
            yield found, f"kill {number} after {moment_s * 1000:.0f} ms"
            found = Findings()

    async def _audit(self, *, last: bool) -> Findings:
        found, self.count = await self.auditors.ask(_audited, self.folder, self.count, last)
        return found


def _audited(folder: Path, count: Count, last: bool) -> tuple[Findings, Count]:
    """Judge a journal, and in the end what the store came to hold of it; return the count to go on from."""
    with AuditStore(folder, clock=SystemClock()) as store:
        found = audit(folder, store, count)
        if last:
            found.join(audit_store(folder, store))
    return found, count
