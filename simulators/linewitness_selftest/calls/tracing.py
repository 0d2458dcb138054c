"""Let strace make a system call of a waiting process fail, and read which calls there were."""

import asyncio
import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from linewitness.base.errors import LinewitnessError

#: What is made to fail; not every processor's Linux has all of them.
CALLS: Final = (
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "ftruncate",
    "rename",
    "renameat",
    "unlink",
    "unlinkat",
    "openat",
)
#: The three kinds of a fault.
FAULTS: Final = ("error=EIO", "error=ENOSPC", "signal=SIGKILL")
_CALL: Final = re.compile(r"(?:\d+ +)?(\w+)\(")
_HIT: Final = re.compile(r"\(INJECTED\)|= \?")
_LOOK_S: Final = 0.002


class CannotTrace(LinewitnessError):
    """System calls cannot be made to fail here."""


@dataclass(frozen=True, slots=True, order=True)
class CallSite:
    """A system call of a process: the n-th of its name."""

    call: str
    number: int


def strace() -> str:
    """Return the program; CannotTrace where it is not installed."""
    found = shutil.which("strace")
    if found is None:
        raise CannotTrace("strace is missing", hint="install strace")
    return found


@asynccontextmanager
async def traced(pid: int, output: Path, inject: str | None = None) -> AsyncIterator[None]:
    """Watch a waiting process until its end, and make a call fail: `inject` is an expression of strace."""
    process = await asyncio.create_subprocess_exec(
        *(strace(), "-y", "-p", str(pid), "-o", str(output)),
        *("-e", "trace=" + ",".join(f"?{call}" for call in CALLS)),
        *(("-e", f"inject={inject}") if inject else ()),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        while not _is_traced(pid):
            if process.returncode is not None:
                said = await process.stderr.read() if process.stderr else b""
                raise CannotTrace(
                    f"strace may not watch: {' '.join(said.decode(errors='replace').split())}",
                    hint="run the selftest as root",
                )
            await asyncio.sleep(_LOOK_S)
        yield
        await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _is_traced(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "\nTracerPid:\t0\n" not in status


def places(trace: Path, folder: Path) -> list[CallSite]:
    """Return where calls touched files in `folder`."""
    seen: Counter[str] = Counter()
    found = []
    for line in trace.read_text(errors="replace").splitlines():
        if call := _CALL.match(line):
            seen[call[1]] += 1
            if f"{folder}" in line:
                found.append(CallSite(call[1], seen[call[1]]))
    return found


def was_hit(trace: Path, folder: Path) -> bool:
    """Say whether a call on files in `folder` was made to fail."""
    lines = trace.read_text(errors="replace").splitlines()
    return any(_HIT.search(line) and f"{folder}" in line for line in lines)
