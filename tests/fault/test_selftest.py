"""What a user runs on the own disk holds here, and finds a journal that does not keep its promise."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from linewitness.base.errors import ExitCode
from linewitness_selftest.auditors import Auditors
from linewitness_selftest.calls.syscalls import failing_calls
from linewitness_selftest.damage import damages
from linewitness_selftest.disk import full_disks, read_only, two_gateways
from linewitness_selftest.kills import random_kills
from linewitness_selftest.outcome import FaultOutcome
from support.waiting import until

SEED = 4
KILLS = 1000


async def test_a_few_kills_lose_nothing(
    tmp_path: Path, auditors: Auditors, account: Callable[[FaultOutcome], None]
) -> None:
    outcome = await random_kills(tmp_path, kills=8, seed=SEED, auditors=auditors)
    account(outcome)
    assert outcome.injected == 8
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240


@pytest.mark.slow
@pytest.mark.timeout(1500)
async def test_a_thousand_kills_lose_nothing(
    tmp_path: Path, auditors: Auditors, account: Callable[[FaultOutcome], None]
) -> None:
    outcome = await random_kills(tmp_path, kills=KILLS, seed=SEED, auditors=auditors)
    account(outcome)
    assert outcome.injected == KILLS


async def test_damage_is_refused(tmp_path: Path, account: Callable[[FaultOutcome], None]) -> None:
    outcome = await damages(tmp_path)
    account(outcome)
    assert outcome.injected > 15


async def test_a_full_disk_loses_nothing(tmp_path: Path, account: Callable[[FaultOutcome], None]) -> None:
    outcome = await full_disks(tmp_path, times=3)
    account(outcome)
    assert outcome.injected == 6


async def test_what_is_read_only_is_refused(tmp_path: Path, account: Callable[[FaultOutcome], None]) -> None:
    outcome = await read_only(tmp_path)
    account(outcome)
    assert outcome.injected == 2, "both ways must be possible for root"


async def test_a_second_gateway_is_refused(tmp_path: Path, account: Callable[[FaultOutcome], None]) -> None:
    outcome = await two_gateways(tmp_path)
    account(outcome)
    assert outcome.injected == 1


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Break the program that is tested, in the processes that are started from now on."""

    def do(code: str) -> None:
        place = tmp_path / "broken"
        place.mkdir()
        (place / "sitecustomize.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", str(place))

    return do


CONFIRMS_BEFORE_THE_COMMIT = """
import linewitness_selftest.jobs as jobs
commit = jobs.JournalFile.append
told = []
class ToldResults(jobs.ToldResults):
    def __init__(self, path): super().__init__(path); told.append(self)
import linewitness_selftest.results as results
results.ToldResults = jobs.ToldResults = ToldResults
def append(self, batch):
    for submission in batch:
        for key, value in submission.state.items():
            if key.startswith("device/"):
                told[0][results.DEVICES.index(key.split("/")[1])] = int(value)
    return commit(self, batch)
jobs.JournalFile.append = append
"""
FORGETS_WHAT_WAS_TAKEN = """
import linewitness.journal.file as file
commit = file.JournalFile.append
def append(self, batch):
    import dataclasses
    return commit(self, [dataclasses.replace(one, state={}) for one in batch])
file.JournalFile.append = append
"""
DELETES_LEAVES = """
import linewitness.journal.file as file
delete = file.delete_some
def delete_some(connection, boundary, *, most):
    connection.execute("DELETE FROM tile")
    return delete(connection, boundary, most=most)
file.delete_some = delete_some
"""
BEGINS_ANEW = """
import linewitness.journal.file as file, shutil
from linewitness.base.errors import JournalError
from linewitness_selftest.results import IDENTITY
opened = file.JournalFile.open.__func__
def open_or_create(cls, directory, **arguments):
    try:
        return opened(cls, directory, **arguments)
    except JournalError:
        shutil.rmtree(directory, ignore_errors=True)
        return cls.create(directory, IDENTITY, **arguments)
file.JournalFile.open = classmethod(open_or_create)
"""
DOES_NOT_LOCK = """
import linewitness.journal.database as database
database.fcntl.flock = lambda *_: None
"""
IGNORES_ERRORS_OF_THE_DISK = """
import linewitness.journal.file as file
from linewitness.base.errors import JournalError
commit = file.JournalFile.append
def append(self, batch):
    try:
        return commit(self, batch)
    except JournalError:
        return self.head
file.JournalFile.append = append
"""


async def test_confirming_before_the_commit_is_found(
    tmp_path: Path, broken: Callable[..., Any], auditors: Auditors
) -> None:
    broken(CONFIRMS_BEFORE_THE_COMMIT)
    outcome = await random_kills(tmp_path, kills=40, seed=SEED, auditors=auditors)
    assert outcome.lost, outcome
    assert not outcome.held


@pytest.mark.slow
async def test_forgetting_what_was_taken_is_found(
    tmp_path: Path, broken: Callable[..., Any], auditors: Auditors
) -> None:
    broken(FORGETS_WHAT_WAS_TAKEN)
    outcome = await random_kills(tmp_path, kills=4, seed=SEED, auditors=auditors)
    assert outcome.survived == 0, outcome


@pytest.mark.slow
async def test_pruning_leaf_hashes_is_found(
    tmp_path: Path, broken: Callable[..., Any], auditors: Auditors
) -> None:
    broken(DELETES_LEAVES)
    with pytest.raises(Exception, match=r"prune failed without any fault|no journal could be made"):
        await failing_calls("prune", tmp_path, auditors=auditors, share=0.01)


async def test_confirming_what_the_disk_refused_is_found(
    tmp_path: Path, broken: Callable[..., Any], auditors: Auditors
) -> None:
    broken(IGNORES_ERRORS_OF_THE_DISK)
    outcome = await failing_calls("append", tmp_path, auditors=auditors, share=0.2)
    assert not outcome.held, outcome
    assert outcome.lost, outcome


@pytest.mark.slow
async def test_beginning_anew_in_silence_is_found(tmp_path: Path, broken: Callable[..., Any]) -> None:
    broken(BEGINS_ANEW)
    outcome = await damages(tmp_path)
    assert outcome.survived < 5, outcome


async def test_a_lock_that_does_not_lock_is_found(tmp_path: Path, broken: Callable[..., Any]) -> None:
    broken(DOES_NOT_LOCK)
    assert not (await two_gateways(tmp_path)).held


async def test_without_strace_the_row_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, auditors: Auditors
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = await failing_calls("append", tmp_path, auditors=auditors)
    assert outcome.injected == 0
    assert "not run: " in outcome.note
    assert "install strace" in outcome.note


async def test_where_strace_may_not_watch_the_rows_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, auditors: Auditors
) -> None:
    strace = tmp_path / "bin" / "strace"
    strace.parent.mkdir()
    strace.write_text("#!/bin/sh\necho 'attach: ptrace(PTRACE_SEIZE): Operation not permitted' >&2\nexit 1\n")
    strace.chmod(0o755)
    monkeypatch.setenv("PATH", str(strace.parent))
    outcome = await failing_calls("append", tmp_path, auditors=auditors)
    assert outcome.injected == 0
    assert "Operation not permitted" in outcome.note
    full = await full_disks(tmp_path, times=1)
    assert (full.injected, full.survived) == (1, 1)
    assert "ENOSPC not run" in full.note


async def started(folder: Path, *arguments: Any) -> Any:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "linewitness", "selftest", "--directory", str(folder), *arguments),
        env=os.environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_interrupted_it_leaves_nothing_behind(tmp_path: Path, number: int) -> None:
    (tmp_path / "mine").write_text("mine")
    process = await started(tmp_path, "--quick")
    children = []

    def killing() -> Any:
        return list(tmp_path.glob("linewitness-selftest-*/kills-*/journal"))

    try:
        await until(killing, "the first journal")
        children = children_of(process.pid)
        process.send_signal(number)
        _, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 130, err
    assert b"interrupted" in err
    assert b"Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]  # noqa: ASYNC240
    assert children
    await until(lambda: not any(map(psutil.pid_exists, children)), "the end of its processes")


def children_of(pid: int) -> Any:
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


async def test_wrong_use_ends_with_2(tmp_path: Path) -> None:
    for arguments in (("--quick", "--full"), ("--kills", "0"), ("--directory", str(tmp_path / "no"))):
        process = await started(tmp_path, *arguments)
        _, err = await process.communicate()
        assert process.returncode == ExitCode.CONFIGURATION, err
        assert b"Traceback" not in err


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_the_quick_form_holds_and_reports(tmp_path: Path) -> None:
    process = await started(tmp_path, "--quick", "--kills", "5", "--seed", "3", "--json")
    out, err = await process.communicate()
    assert process.returncode == 0, err
    report = json.loads(out)
    assert report["held"]
    assert report["not_run"] == []
    assert report["seed"] == 3
    assert report["rows"][0]["injected"] == 5
    assert report["disk"]["syncs_per_s"] > 0
    assert re.search(rb"power cut.*0 lost, 0 duplicated", err)
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_a_broken_promise_ends_with_4_and_says_so(tmp_path: Path, broken: Callable[..., Any]) -> None:
    broken(DOES_NOT_LOCK)
    process = await started(tmp_path, "--quick", "--kills", "1", "--seed", "3")
    out, err = await process.communicate()
    assert process.returncode == ExitCode.JOURNAL, err
    assert b"A promise was broken on this disk" in out
    assert b"--seed 3" in out
