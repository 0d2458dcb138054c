"""A process that imports everything once and then forks for each job.

It is started as `python -m linewitness_selftest.worker`. Lines of JSON come in and go out.
`{"job": …, "folder": …, "arguments": {…}}` forks a process that prepares and waits, and answers
`{"pid": …}`; then `{"kill_after_s": …}` lets it go (null: to its own end), and answers
`{"code": …, "said": …}` when it has ended, where a negative code is the signal that ended it.
"""

import asyncio
import ctypes
import json
import os
import select
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from linewitness.base.clock import from_rfc3339, to_rfc3339
from linewitness.base.errors import ExitCode, LinewitnessError
from linewitness.base.failures import causes
from linewitness_selftest.jobs import JOBS, TOLD
from linewitness_selftest.results import ToldResults

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_PTRACER: Final = 0x5961_6D61
_PTRACER_ANY: Final = -1
_libc: Final = ctypes.CDLL(None)


def main() -> None:
    """Serve until standard input ends."""
    from_rfc3339(to_rfc3339(0))  # imports on demand, which would open files amid the calls that are counted
    for line in sys.stdin:
        _serve(json.loads(line))


def _serve(order: dict[str, Any]) -> None:
    said = os.memfd_create("said")
    gate, opener = os.pipe()
    readiness, announcer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(opener)
        os.close(readiness)
        _child(order, _Doors(announcer, gate), said)
    os.close(gate)
    os.close(announcer)
    os.read(readiness, 1)  # or its end, if the child is no more
    os.close(readiness)
    _answer({"pid": pid})
    release = json.loads(sys.stdin.readline() or "{}")
    with suppress(BrokenPipeError):
        os.write(opener, b".")
    os.close(opener)
    code = _ended(pid, release.get("kill_after_s"))
    os.lseek(said, 0, os.SEEK_SET)
    _answer({"code": code, "said": os.read(said, 4000).decode("utf-8", "replace")})
    os.close(said)


def _ended(pid: int, kill_after_s: float | None) -> int:
    """Wait for the end of a process, which is killed when its time is over; return its exit code."""
    if kill_after_s is not None:
        handle = os.pidfd_open(pid)
        select.select([handle], [], [], kill_after_s)
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


class _Doors(NamedTuple):
    """The child's ends of two pipes: it says that it is ready, and waits until it is let go."""

    announcer: int
    gate: int

    def pass_through(self) -> None:
        """Say that all is prepared, and wait: whoever counts system calls begins in between."""
        os.write(self.announcer, b".")
        os.read(self.gate, 1)


def _child(order: dict[str, Any], doors: _Doors, said: int) -> None:
    """Do the job and end; never return into the server's loop."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _libc.prctl(_PR_SET_PTRACER, ctypes.c_ulong(_PTRACER_ANY))
    os.dup2(said, 1)
    os.dup2(said, 2)
    code = int(ExitCode.BUG)
    try:
        folder = Path(order["folder"])
        told = ToldResults(folder / TOLD)
        doors.pass_through()
        asyncio.run(JOBS[order["job"]](folder, told, **order["arguments"]))
        code = int(ExitCode.OK)
    except* LinewitnessError as group:
        code = max(_report(error) for error in causes(group) if isinstance(error, LinewitnessError))
    finally:
        if (error := sys.exc_info()[1]) is not None:
            traceback.print_exception(error)
        sys.stderr.flush()
        os._exit(code)


def _report(error: LinewitnessError) -> int:
    sys.stderr.write(f"{error}\n")
    return int(error.exit_code)


def _answer(members: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(members) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
