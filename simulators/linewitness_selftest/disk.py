"""Take the room from a journal, or the right to write, and give it back: nothing lost, and it goes on."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from linewitness.base.clock import SystemClock
from linewitness.base.errors import ExitCode
from linewitness.journal.database import FILE_NAME
from linewitness_selftest import readonly
from linewitness_selftest.audit import FaultTally, Findings, audit, audit_store
from linewitness_selftest.calls.tracing import CannotTrace, strace, traced
from linewitness_selftest.jobs import JOURNAL, TOLD
from linewitness_selftest.outcome import FaultOutcome
from linewitness_selftest.results import Count, ToldResults
from linewitness_selftest.store import AuditStore
from linewitness_selftest.workers import KILLED, Ended, Worker, running_worker

FULL: Final = "disk full, and room again"
READ_ONLY: Final = "read-only files and file system"
SECOND: Final = "two gateways on one journal"
_RECORDS: Final = 30
#: Of the room that is left when it ends: from the first page on to some dozens of commits.
_FIRST_ROOM: Final = 4096
_STEP_ROOM: Final = 50_000
#: After this long the second gateway counts as running.
_TRIES_S: Final = 5.0
_LOOK_S: Final = 0.01
Tick = Callable[[int], None]


async def full_disks(folder: Path, *, times: int, tick: Tick = lambda _: None) -> FaultOutcome:
    """Let the room end at different moments: by a limit of the file's size, and by ENOSPC."""
    tally = FaultTally(FULL)
    note = ""
    async with running_worker() as worker:
        template = await _template(worker, folder / "full-template")
        for number in range(times):
            found = await _fill_to_limit(worker, template, folder / "full", number)
            tally.add(found, f"limit {number}")
            tick(tally.injected)
        try:
            strace()
            for number in range(times):
                found = await _fill_without_space(worker, template, folder / "full", number)
                tally.add(found, f"ENOSPC {number}")
                tick(tally.injected)
        except CannotTrace as error:
            note = f"ENOSPC not run: {error}"
    shutil.rmtree(template)
    return tally.outcome(note)


async def _fill_to_limit(worker: Worker, template: Path, folder: Path, number: int) -> Findings:
    shutil.copytree(template, folder)
    sizes = [path.stat().st_size for path in (folder / JOURNAL).glob(f"{FILE_NAME}*")]
    limit = max(sizes) + _FIRST_ROOM + number * _STEP_ROOM
    return await _goes_on(worker, folder, await worker.run("fill", folder, file_bytes=limit))


async def _fill_without_space(worker: Worker, template: Path, folder: Path, number: int) -> Findings:
    shutil.copytree(template, folder)
    pid = await worker.fork("fill", folder)
    try:
        async with traced(pid, folder / "trace", f"pwrite64:error=ENOSPC:when={1 + 13 * number}+"):
            ended = await worker.release()
    except CannotTrace:
        await worker.release(kill_after_s=0)
        shutil.rmtree(folder)
        raise
    return await _goes_on(worker, folder, ended)


async def _goes_on(worker: Worker, folder: Path, ended: Ended) -> Findings:
    """Check that it ended as a full disk does, and that all goes on when there is room again."""
    found = Findings()
    found.require(ended.code == ExitCode.JOURNAL, f"not a full disk's end: {ended}")
    found.require("(" in ended.said, f"no hint: {ended.said}")
    await _appends_again(worker, folder, found)
    shutil.rmtree(folder)
    return found


async def _appends_again(worker: Worker, folder: Path, found: Findings) -> None:
    with AuditStore(folder, clock=SystemClock()) as store:
        count = Count()
        found.join(await asyncio.to_thread(audit, folder, store, count))
        again = await worker.run("append", folder)
        found.require(again.code == 0, f"it does not go on: {again.said}")
        found.join(await asyncio.to_thread(audit, folder, store, count))
        found.join(await asyncio.to_thread(audit_store, folder, store))


async def read_only(folder: Path) -> FaultOutcome:
    """Start where modes forbid to write, and on a file system that is mounted read-only."""
    tally, notes = FaultTally(READ_ONLY), []
    async with running_worker() as worker:
        template = await _template(worker, folder / "read-only-template")
        for job, what in (("start_without_rights", "modes"), ("start_on_read_only", "file system")):
            place = folder / "read-only"
            shutil.copytree(template, place)
            if job == "start_without_rights":
                _protect(place / JOURNAL)
            ended = await worker.run(job, place)
            if ended.code == readonly.CANNOT:
                notes.append(f"{what} not run: this user may not mount")
            else:
                _release(place / JOURNAL)
                tally.add(await _goes_on(worker, place, ended), what)
            shutil.rmtree(place, ignore_errors=True)
    shutil.rmtree(template)
    return tally.outcome("; ".join(notes))


def _protect(journal: Path) -> None:
    for path in journal.rglob("*"):
        path.chmod(0o500 if path.is_dir() else 0o400)
    journal.chmod(0o500)


def _release(journal: Path) -> None:
    journal.chmod(0o700)
    for path in journal.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)


async def two_gateways(folder: Path) -> FaultOutcome:
    """Start a second gateway on a journal while the first one works."""
    tally, found = FaultTally(SECOND), Findings()
    async with running_worker() as first, running_worker() as second:
        place = await _template(first, folder / "two")
        refused: list[Ended] = []

        async def try_second() -> None:
            refused.append(await second.run("hold", place, kill_after_s=_TRIES_S))

        with ToldResults(place / TOLD) as told:
            before = told[0]
            async with asyncio.TaskGroup() as group:
                ended = group.create_task(
                    first.run_until("hold", place, lambda _: bool(refused)), name="first gateway"
                )
                while told[0] == before and not ended.done():  # noqa: ASYNC110 (memory gives no sign)
                    await asyncio.sleep(_LOOK_S)
                group.create_task(try_second(), name="second gateway")
        found.require(refused[0].code == ExitCode.JOURNAL, f"the second: {refused[0]}")
        found.require("another gateway" in refused[0].said, f"the second: {refused[0]}")
        found.require(ended.result().code == KILLED, f"the first ended by itself: {ended.result()}")
        await _appends_again(first, place, found)
    tally.add(found, "the second")
    shutil.rmtree(place)
    return tally.outcome()


async def _template(worker: Worker, folder: Path) -> Path:
    await worker.make("prefill", folder, records=_RECORDS)
    return folder
