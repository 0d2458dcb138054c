"""Kill a working gateway's journal at random moments, again and again on the same files."""

import asyncio
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from linewitness.clock import SystemClock
from linewitness.selftest.audit import Tally, audit, audit_store
from linewitness.selftest.outcome import Outcome
from linewitness.selftest.results import Count
from linewitness.selftest.store import AuditStore
from linewitness.selftest.workers import Ended, Worker, running_worker

#: Kills of one journal, before the next one is begun.
EACH: Final = 25
#: How long a process lives: one half of them are killed about the time that opening takes.
OPENING_S: Final = (0.0, 0.06)
WORKING_S: Final = (0.05, 0.25)
#: Records of a journal before its first kill, so that there is something to prune.
BEFORE: Final = 285
AT_ONCE: Final = 2
FAULT: Final = "SIGKILL at random moments"
_KILLED: Final = -9
Tick = Callable[[int], None]


async def random_kills(folder: Path, *, kills: int, seed: int, tick: Tick = lambda _: None) -> Outcome:
    """Kill `kills` times, on journals in `folder`; `tick` is told how often by now."""
    tally, records = Tally(FAULT), []
    journals = [(number, min(EACH, kills - number)) for number in range(0, kills, EACH)]

    async def lane() -> None:
        async with running_worker() as worker:
            while journals:
                number, times = journals.pop()
                place = folder / f"kills-{number}"
                place.mkdir()
                records.append(await _one_journal(worker, place, times, seed + number, tally, tick))
                shutil.rmtree(place)

    async with asyncio.TaskGroup() as group:
        for at in range(AT_ONCE):
            group.create_task(lane(), name=f"kills:{at}")
    return tally.outcome(f"seed {seed}, {sum(records)} records")


async def _one_journal(
    worker: Worker, folder: Path, kills: int, seed: int, tally: Tally, tick: Tick
) -> int:
    """Kill one journal's processes; return how many records it has in the end."""
    chance = random.Random(seed)  # noqa: S311 (repeatable, not secret)
    count = Count()
    begun = await worker.run("prefill", folder, records=BEFORE)
    with AuditStore(folder, clock=SystemClock()) as store:
        before = await asyncio.to_thread(audit, folder, store, count)
        before.require(begun.code == 0, f"init failed: {begun.said}")
        for number in range(kills):
            moment_s = chance.uniform(*chance.choice((OPENING_S, WORKING_S)))
            ended = await worker.run("work", folder, kill_after_s=moment_s, seed=chance.getrandbits(32))
            findings = await asyncio.to_thread(audit, folder, store, count)
            findings.problems += before.problems
            findings.require(ended.code == _KILLED, f"ended by itself: {_words(ended)}")
            if number == kills - 1:
                whole = await asyncio.to_thread(audit_store, folder, store)
                findings.problems += whole.problems
                findings.lost, findings.duplicated = (
                    max(findings.lost, whole.lost),
                    max(findings.duplicated, whole.duplicated),
                )
            tally.add(findings, f"kill {number} of seed {seed}, after {moment_s * 1000:.0f} ms")
            tick(tally.injected)
    return count.size


def _words(ended: Ended) -> str:
    return f"exit code {ended.code}, {' '.join(ended.said.split())[-300:]}"
