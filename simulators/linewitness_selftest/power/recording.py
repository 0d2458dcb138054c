"""Record everything that a process does to the files below one folder, with the data, by means of strace."""

import asyncio
import os
import shutil
import signal
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from linewitness.base.errors import LinewitnessError
from linewitness_selftest.power.calls import parse
from linewitness_selftest.power.steps import SITE, DiskStep, Enter, Sync, Write

#: Calls that change files, say what is durable, or tell which file a number stands for. Those with a `?` do
#: not exist on every processor.
CALLS: Final = (
    "?open", "?creat", "openat", "?openat2", "close", "?dup2", "dup", "dup3", "fcntl", "lseek",
    "write", "pwrite64", "writev", "pwritev", "pwritev2", "ftruncate", "truncate", "fallocate",
    "fsync", "fdatasync", "sync", "syncfs", "sync_file_range", "msync",
    "?rename", "?renameat", "renameat2", "?link", "linkat", "?unlink", "unlinkat", "?rmdir",
    "?mkdir", "mkdirat", "?symlink", "symlinkat", "?mknod", "mknodat",
    "mmap", "sendfile", "splice", "copy_file_range", "io_uring_setup", "io_submit",
)  # fmt: skip
#: More than any one write: nothing of the data may be cut off.
LONGEST: Final = 64 * 1024**2


class NotRecorded(LinewitnessError):
    """The process could not be recorded, or the recording would not tell all that it did."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What a process did below `site`, in order; what it said stands between.

    The first `given` steps are not the process's: they make what was there before.
    """

    site: Path
    steps: tuple[DiskStep, ...]
    given: int = 0


def can_record() -> bool:
    """Say whether strace is there."""
    return shutil.which("strace") is not None


async def record(site: Path, command: Sequence[str]) -> Recording:
    """Run a command that works below the folder `site`, and return what it did; NotRecorded if it fails.

    What it writes to its standard output, in whole lines, becomes a part of the sequence.
    """
    trace = site.with_name(site.name + ".strace")
    given = await asyncio.to_thread(contents, site)
    process = await _spawned(
        "strace", "-f", "-y", "-xx", "-s", str(LONGEST), "-o", str(trace),
        "-e", f"trace={','.join(CALLS)}", "-e", "signal=none", *command,
    )  # fmt: skip
    try:
        _, complaint = await process.communicate()
    finally:
        await _ended(process)
    if process.returncode:
        why = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        raise NotRecorded(
            f"the work under strace ended with {process.returncode}: {why}",
            hint="if strace was refused: it must be allowed to trace (kernel.yama.ptrace_scope)",
        )
    try:
        with trace.open(encoding="ascii", errors="replace") as lines:
            return Recording(site, (*given, *parse(lines, site, given)), given=len(given))
    except ValueError as error:
        raise NotRecorded(f"the recording does not tell all: {error}") from error
    finally:
        trace.unlink()


async def _spawned(*command: str) -> Process:
    """Start a process as the first one of a group; if that is given up meanwhile, nothing of it is left.

    A process that strace has just begun to trace stands still for ever if strace alone is killed.
    """
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command,
            env=os.environ | {"PYTHONPATH": _import_path(), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _ended(await starting)
        raise


async def _ended(process: Process) -> None:
    """Kill a process that still runs, with all that it began."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def contents(site: Path) -> tuple[DiskStep, ...]:
    """Return the steps that make what is in a folder now, durably; none for an empty one."""
    numbers = {site: SITE}
    steps: list[DiskStep] = []
    for path in sorted(site.rglob("*")):
        inode = numbers[path] = len(numbers)
        folder, place, is_folder = numbers[path.parent], str(path.relative_to(site)), path.is_dir()
        steps.append(Enter(folder=folder, name=path.name, inode=inode, is_folder=is_folder, place=place))
        if not is_folder:
            steps.append(Write(inode=inode, offset=0, data=path.read_bytes(), place=place))
    return (*steps, Sync(inode=None)) if steps else ()


def _import_path() -> str:
    """Return where the command finds this package, also where it was not installed."""
    own = str(Path(__file__).parents[3])
    return os.pathsep.join(filter(None, (own, os.environ.get("PYTHONPATH"))))
