"""Let each system call of an operation on the journal fail once, or end the process there."""

import asyncio
import math
import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from linewitness.base.clock import SystemClock
from linewitness.base.errors import ExitCode
from linewitness_selftest.audit import FaultTally, Findings, audit
from linewitness_selftest.auditors import Auditors
from linewitness_selftest.calls.aftermath import judge
from linewitness_selftest.calls.tracing import FAULTS, CallSite, CannotTrace, places, strace, traced, was_hit
from linewitness_selftest.jobs import JOURNAL
from linewitness_selftest.outcome import FaultOutcome
from linewitness_selftest.results import Count
from linewitness_selftest.store import AuditStore
from linewitness_selftest.workers import Ended, SelftestFailed, Worker, running_worker

OPERATIONS: Final = ("append", "receipt", "rotate", "prune", "checkpoint", "create")
_NAMES: Final = {
    "append": "an append",
    "receipt": "a receipt",
    "rotate": "a key rotation",
    "prune": "a prune",
    "checkpoint": "a move of the log",
    "create": "init",
}
#: Records of the journal on which an operation works: of the one that is pruned, whole tiles.
RECORDS: Final = {"prune": 270}
_FEW_RECORDS: Final = 9
_AT_ONCE: Final = 2
_ENDS: Final = {
    "error=EIO": (0, int(ExitCode.JOURNAL)),
    "error=ENOSPC": (0,),
    "signal=SIGKILL": (-9,),
}
#: Commands, not a gateway: they end where the disk is full, and are given again.
_COMMANDS: Final = ("checkpoint", "create")
#: A full disk refuses more than one call: so many of the same name in a row, then there is room again.
_FULL_CALLS: Final = 4
#: SQLite tries to open a file several times before it gives up.
_FULL_OPENS: Final = 16
_Fault = tuple[CallSite, str]
Tick = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Template:
    """The files before the operation, and what is known of them."""

    folder: Path
    count: Count


@dataclass(frozen=True, slots=True)
class _Run:
    """One operation on a copy of its template in `folder`, with one fault at one place."""

    operation: str
    template: Template
    folder: Path
    place: CallSite
    fault: str


async def failing_calls(
    operation: str,
    folder: Path,
    *,
    auditors: Auditors,
    share: float = 1,
    seed: int = 0,
    tick: Tick = lambda *_: None,
) -> FaultOutcome:
    """Inject every fault at every place of one operation, or a share of them.

    `tick` is told how many are done, of how many.
    """
    tally = FaultTally(name_of(operation))
    try:
        strace()
        async with running_worker() as worker:
            template = await _template(worker, operation, folder)
            found = await _places(worker, operation, template, folder)
    except CannotTrace as error:
        return tally.outcome(f"not run: {error}")
    faults = _chosen(found, share, random.Random(seed))
    queue = list(enumerate(faults))

    async def lane() -> None:
        async with running_worker() as own:
            while queue:
                number, (place, fault) = queue.pop()
                run = _Run(operation, template, folder / f"{operation}-{number}", place, fault)
                await _suffer(own, auditors, run, tally)
                tick(len(faults) - len(queue), len(faults))

    async with asyncio.TaskGroup() as group:
        for at in range(_AT_ONCE):
            group.create_task(lane(), name=f"{operation}:{at}")
    shutil.rmtree(template.folder)
    return tally.outcome(_note(faults))


def _chosen(found: list[CallSite], share: float, chance: random.Random) -> list[_Fault]:
    """Choose a share of all faults, of each system call at least one."""
    chosen: list[_Fault] = []
    for call in sorted({place.call for place in found}):
        faults = [(place, fault) for place in found if place.call == call for fault in FAULTS]
        chosen += chance.sample(faults, math.ceil(len(faults) * share))
    return chosen


def name_of(operation: str) -> str:
    """Return what the row of an operation is called."""
    return f"system calls of {_NAMES[operation]}"


def _note(faults: list[_Fault]) -> str:
    """Say how often each call was made to fail."""
    calls = Counter(place.call for place, _ in faults)
    return ", ".join(f"{call} {times}" for call, times in sorted(calls.items()))


async def _template(worker: Worker, operation: str, folder: Path) -> Template:
    """Make the files on which the operation works, as a crash leaves them: not all is in the main file."""
    template = Template(folder / f"{operation}-template", Count())
    template.folder.mkdir()
    if operation == "create":
        return template
    await worker.make("prefill", template.folder, records=RECORDS.get(operation, _FEW_RECORDS))
    with AuditStore(template.folder, clock=SystemClock()) as store:
        findings = audit(template.folder, store, template.count)
    if findings.problems:
        raise SelftestFailed(f"a new journal is not as it should be: {findings.problems[0]}")
    if operation == "prune":
        await worker.make("receipt", template.folder)
        with AuditStore(template.folder, clock=SystemClock()) as store:
            audit(template.folder, store, template.count)
    return template


async def _places(worker: Worker, operation: str, template: Template, folder: Path) -> list[CallSite]:
    """Find the calls by doing the operation once without a fault."""
    first = folder / f"{operation}-first"
    shutil.copytree(template.folder, first)
    ended = await _do(worker, operation, first)
    if ended.code != 0:
        raise SelftestFailed(f"{operation} failed without any fault: {ended.said}")
    found = places(first / "trace", first / JOURNAL)
    shutil.rmtree(first)
    return found


async def _do(worker: Worker, operation: str, folder: Path, inject: str | None = None) -> Ended:
    pid = await worker.fork(operation, folder)
    try:
        async with traced(pid, folder / "trace", inject):
            return await worker.release()
    except CannotTrace:
        await worker.release(kill_after_s=0)
        raise


async def _suffer(worker: Worker, auditors: Auditors, run: _Run, tally: FaultTally) -> None:
    """Let one call of one operation fail, and judge what is left."""
    place, fault, folder = run.place, run.fault, run.folder
    shutil.copytree(run.template.folder, folder)
    ended = await _do(worker, run.operation, folder, f"{place.call}:{fault}:when={_when(run)}")
    if not was_hit(folder / "trace", folder / JOURNAL):
        tally.notes.append(f"{place.call} {place.number} was not reached: {ended}")
        return
    found = Findings()
    # To open a file that is there needs no room: a process that is told otherwise may take it for damage.
    strange = run.operation in _COMMANDS or place.call == "openat"
    allowed = _ENDS["error=EIO"] if strange and fault == "error=ENOSPC" else _ENDS[fault]
    found.require(ended.code in allowed, f"it ended with {ended}")
    found.require(ended.code != ExitCode.JOURNAL or "(" in ended.said, f"no hint: {ended}")
    found.join(await auditors.ask(judge, run.operation, run.template.folder, folder, run.template.count))
    tally.add(found, f"{place.call} {place.number}, {fault}")
    shutil.rmtree(folder, ignore_errors=True)


def _when(run: _Run) -> str:
    """Return which calls are hit, as strace says it."""
    first = run.place.number
    if run.fault != "error=ENOSPC":
        return f"{first}"
    calls = _FULL_OPENS if run.place.call == "openat" else _FULL_CALLS
    if run.operation in _COMMANDS and run.place.call == "write":
        calls = 1  # the next one is of the process itself: it ends, and says why
    return f"{first}..{first + calls - 1}"
