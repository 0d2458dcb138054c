"""Record everything that a process does to the files below one folder, with the data, by means of strace."""

import asyncio
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from linewitness.errors import LinewitnessError
from linewitness.selftest.recording_calls import parse
from linewitness.selftest.recording_steps import Step

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
    """What a process did below `site`, in order, from an empty folder on; what it said stands between."""

    site: Path
    steps: tuple[Step, ...]


def can_record() -> bool:
    """Say whether strace is there."""
    return shutil.which("strace") is not None


async def record(site: Path, command: Sequence[str]) -> Recording:
    """Run a command that works below the empty folder `site`, and return what it did; or NotRecorded.

    What it writes to its standard output, in whole lines, becomes a part of the sequence.
    """
    trace = site.with_name(site.name + ".strace")
    process = await asyncio.create_subprocess_exec(
        "strace", "-f", "-y", "-xx", "-s", str(LONGEST), "-o", str(trace),
        "-e", f"trace={','.join(CALLS)}", "-e", "signal=none", *command,
        env=os.environ | {"PYTHONPATH": _import_path(), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, complaint = await process.communicate()
    if process.returncode:
        why = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        raise NotRecorded(
            f"the work under strace ended with {process.returncode}: {why}",
            hint="strace must be allowed to trace its own children (kernel.yama.ptrace_scope, containers)",
        )
    try:
        with trace.open(encoding="ascii", errors="replace") as lines:
            return Recording(site, tuple(parse(lines, site)))
    except ValueError as error:
        raise NotRecorded(f"the recording does not tell all: {error}") from error
    finally:
        trace.unlink()


def _import_path() -> str:
    """Return where the command finds this package, also where it was not installed."""
    own = str(Path(__file__).parents[2])
    return os.pathsep.join(filter(None, (own, os.environ.get("PYTHONPATH"))))
