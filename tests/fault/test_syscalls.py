"""Let each system call of an operation on the journal fail once, or kill the process there, with strace.

Afterwards: what was told to be durable is in the journal, once; the journal opens as ever and verifies; and
a process that gave up ended with the code for a journal that cannot be written.
"""

import asyncio
import re
import shutil
import sqlite3
import sys
from collections import Counter
from pathlib import Path

import pytest

from journals import create, verdict_of
from linewitness.clock import SharedClockState, SystemClock
from linewitness.errors import ExitCode, JournalError
from linewitness.journal.file import JournalFile
from linewitness.journal.reader import JournalReader

CALLS = ("pwrite64", "fdatasync", "fsync", "ftruncate", "rename", "unlink", "openat", "write")
FAULTS = ("error=EIO", "error=ENOSPC", "signal=SIGKILL")
OPERATIONS = ("append", "receipt", "rotate", "checkpoint", "create")
APPENDER = Path(__file__).with_name("appender.py")
AT_ONCE = 2
#: In the fast share, each n-th place only.
SAMPLE = 9


@pytest.fixture
def journal(tmp_path):
    """A journal with a few records whose log was not moved into the main file: as after a crash."""
    folder = tmp_path / "template" / "journal"
    create(folder, SystemClock())
    return folder


async def run(operation, folder, *inject):
    """Run one operation under strace; return its exit code, what it said and counted, and the trace."""
    trace = folder.parent / "trace"
    (folder.parent / "count").write_bytes(bytes(8))
    process = await asyncio.create_subprocess_exec(
        "strace", "-y", "-e", f"trace={','.join(CALLS)}", *inject, "-o", str(trace),
        sys.executable, str(APPENDER), operation, str(folder),
        env={"PYTHONPATH": ":".join(sys.path), "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    counted = int.from_bytes((folder.parent / "count").read_bytes(), "little")
    return process.returncode, said.decode(), counted, trace.read_text(errors="replace")


def places(trace, folder):
    """Return (call, n) for each call that touches the journal: the n-th of its name in the process."""
    seen, found = Counter(), []
    for line in trace.splitlines():
        call = re.match(r"(?:\d+ )?(\w+)\(", line)
        if call:
            seen[call[1]] += 1
            if str(folder) in line:
                found.append((call[1], seen[call[1]]))
    return found


async def suffers(operation, template, place, fault, folder):
    """Let one call of one operation fail, and judge what is left."""
    call, number = place
    shutil.copytree(template.parent, folder)
    journal = folder / "journal"
    before = 0 if operation == "create" else size_of(journal)
    code, said, told, trace = await run(operation, journal, "-e", f"inject={call}:{fault}:when={number}")
    where = f"{operation}, {call} {number}, {fault}: ended with {code}, {said}"
    assert code in (0, -9, 137, ExitCode.JOURNAL), where
    if "SIGKILL" in fault:
        assert code in (-9, 137), where
    hit = [line for line in trace.splitlines() if "(INJECTED)" in line or "= ?" in line]
    assert any(str(folder) in line for line in hit), f"{where}: the fault did not hit the journal, but {hit}"
    judge(journal, operation, before, told, where)
    shutil.rmtree(folder, ignore_errors=True)  # the database takes its own files away as it closes


def judge(journal, operation, before, told, where):
    if operation == "create" and not told:
        judge_unfinished(journal, where)
        return
    file = JournalFile.open(journal, clock=SystemClock(), clock_state=SharedClockState())
    size = file.head.size
    file.close()
    assert size >= told, where
    verdict = verdict_of(journal)
    assert verdict.status == "INTACT", f"{where}; then {verdict}"
    if operation == "append":
        assert size - before <= 3, where
        assert told == 0 or size - told <= 1, where
    with JournalReader(journal) as reader:
        if operation == "receipt" and told:
            assert reader.newest_receipt() == (told, "note"), where
        if operation == "append" and size > before:
            assert reader.state_value("last") == str(size - 1), where
            assert reader.raw(f"{size - 1:064x}") == b"raw", where


def judge_unfinished(journal, where):
    """What `init` did not finish is refused in words, or whole."""
    file, refusal = None, None
    try:
        file = JournalFile.open(journal, clock=SystemClock(), clock_state=SharedClockState())
    except JournalError as error:
        refusal = error
    if file is None:
        assert refusal.hint, where
        return
    file.close()
    assert verdict_of(journal).status == "INTACT", where


def size_of(journal):
    connection = sqlite3.connect(f"file:{journal / 'journal.sqlite'}?mode=ro", uri=True)
    try:
        return connection.execute("SELECT size FROM head").fetchone()[0]
    finally:
        connection.close()


async def everywhere(operation, journal, tmp_path, *, each=1):
    """Inject every fault at every place, or at each n-th; return how many there were."""
    template = journal
    if operation == "create":
        template = tmp_path / "empty" / "journal"
        template.parent.mkdir()
    first = tmp_path / "first"
    shutil.copytree(template.parent, first)
    code, said, told, trace = await run(operation, first / "journal")
    assert code == 0, said
    assert told, "the operation did not become durable"
    found = [(place, fault) for place in places(trace, first / "journal") for fault in FAULTS]
    assert len(found) > 10, trace
    chosen = found[::each]
    queue = list(enumerate(chosen))

    async def work():
        while queue:
            number, (place, fault) = queue.pop()
            await suffers(operation, template, place, fault, tmp_path / f"run-{number}")

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())
    print(
        f"\n{operation}: {len(found) // len(FAULTS)} calls on the journal's files, "
        f"{len(chosen)} faults injected, 0 lost, 0 twice"
    )
    return len(chosen)


@pytest.mark.timeout(90)
@pytest.mark.parametrize("operation", ["append", "rotate"])
async def test_fault_at_a_sample_of_calls_loses_nothing(tmp_path, journal, operation):
    await everywhere(operation, journal, tmp_path, each=SAMPLE)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_fault_at_every_call_loses_nothing(tmp_path, journal, operation):
    await everywhere(operation, journal, tmp_path)
