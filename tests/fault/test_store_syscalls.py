"""Let calls of an audit store at work fail once, or kill it there: what it gave a receipt for, it has."""

import asyncio
import random
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linewitness_selftest.calls.tracing import strace
from linewitness_selftest.outcome import FaultOutcome
from support.store_rig import Work, judge, outcome, told

WORKLOAD = Path(__file__).parents[1] / "support" / "store_workload.py"
FAULT = "system calls of the store"
CALLS = ("pwrite64", "fsync", "fdatasync", "ftruncate", "unlink", "mkdir")
HARMS = ("error=EIO", "error=ENOSPC", "signal=KILL")
FEW, MANY = 6, 40


async def at_work(site: Any, work: Any, trace: Any, *inject: Any) -> Any:
    """Run a store until it ends by itself, by its error or by the signal; return what it said."""
    site.mkdir()
    process = await asyncio.create_subprocess_exec(
        *(strace(), "-f", "-o", str(trace), "-e", "trace=" + ",".join(f"?{call}" for call in CALLS), *inject),
        *(sys.executable, str(WORKLOAD), str(site), str(work.file)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    said, _ = await process.communicate()
    return said.decode().split("\n")[:-1]


async def made(place: Any, work: Any) -> Any:
    """Return how often a store that nothing befalls makes each call."""
    await at_work(place / "site", work, place / "trace")
    text = (place / "trace").read_text()
    return Counter(re.findall(rf"^\d+ +({'|'.join(CALLS)})\(", text, re.MULTILINE))


async def harmed(tmp_path: Path, account: Callable[[FaultOutcome], None], places: Any) -> None:
    """Do harm at so many places, chosen so that each call has its share."""
    work, chance = Work(tmp_path), random.Random(7)
    counts = await made(tmp_path, work)
    assert counts["pwrite64"] > 300
    assert counts["fdatasync"] + counts["fsync"] > 40
    harms: Counter[Any]
    found, harms = [], Counter()
    for number in range(places):
        call = sorted(counts)[number % len(counts)]
        harm, when = chance.choice(HARMS), chance.randint(1, counts[call])
        trace, site = tmp_path / f"trace-{number}", tmp_path / f"site-{number}"
        lines = await at_work(site, work, trace, "-e", f"inject={call}:{harm}:when={when}")
        text = trace.read_text()
        assert "(INJECTED)" in text or "SIGKILL" in text, (call, harm, when)
        *_, said = told(lines)
        found.append(await judge(site, said, work))
        harms[call] += 1
    account(outcome(FAULT, found, ", ".join(f"{call} {count}" for call, count in sorted(harms.items()))))


async def test_fault_at_a_few_calls_of_the_store_loses_nothing_that_has_a_receipt(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    await harmed(tmp_path, account, FEW)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_fault_at_many_calls_of_the_store_loses_nothing_that_has_a_receipt(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    await harmed(tmp_path, account, MANY)
