"""Run a program under a limit of memory that the kernel enforces, and read how much it took at most."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20
_VERSION_1 = Path("/sys/fs/cgroup/memory")
_VERSION_2 = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class MemoryGroup:
    """A control group with a limit; beyond it, the kernel kills what runs in it."""

    folder: Path

    def around(self, *command: str) -> list[str]:
        """Return the command that runs this one in the group."""
        enter = f'echo $$ > {self.folder}/cgroup.procs && exec "$@"'
        return ["sh", "-c", enter, "sh", *command]

    @property
    def pids(self) -> list[int]:
        """The processes in the group."""
        return [int(line) for line in (self.folder / "cgroup.procs").read_text().split()]


@contextmanager
def memory_limit(limit: int) -> Iterator[MemoryGroup]:
    """Make a group of `limit` bytes; needs root and a memory controller, and fails without."""
    version_1 = (_VERSION_1 / "memory.limit_in_bytes").exists()
    folder = (_VERSION_1 if version_1 else _VERSION_2) / f"linewitness-test-{os.getpid()}-{id(limit):x}"
    folder.mkdir()
    try:
        (folder / ("memory.limit_in_bytes" if version_1 else "memory.max")).write_text(str(limit))
        for file in ("memory.memsw.limit_in_bytes", "memory.swap.max"):
            with contextlib.suppress(OSError):  # a kernel that counts no swap has none for this group to use
                if (folder / file).exists():
                    (folder / file).write_text(str(limit) if version_1 else "0")
        yield MemoryGroup(folder)
    finally:
        folder.rmdir()


def peak(pid: int) -> int:
    """Return the most memory that a process has had resident so far, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} is no more")
