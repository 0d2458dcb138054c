"""Measure how long the disk takes to make a commit durable, and say what that means."""

import os
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Final

from linewitness.base.clock import NS_PER_S, Clock

_BLOCK: Final = b"\x4c" * 4096
#: The file's first blocks, over which the writes go round: a commit of the journal writes to a log like it.
_BLOCKS: Final = 256
_MEMORY: Final = frozenset({"tmpfs", "ramfs", "rootfs"})
_REMOTE: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph"})
#: Faster than this, only memory answers: a disk's or a controller's cache, or that of a virtual machine.
_SUSPICIOUS_US: Final = 200
_SLOW_US: Final = 50_000


@dataclass(frozen=True, slots=True)
class DiskSpeed:
    """What fdatasync of 4 KiB took, in microseconds, and on what kind of file system."""

    file_system: str
    syncs_per_s: float
    median_us: int
    worst_of_100_us: int

    @property
    def in_memory(self) -> bool:
        """Whether nothing here outlives a loss of power."""
        return self.file_system in _MEMORY

    @property
    def suspicious(self) -> bool:
        """Whether the disk answers faster than a disk can write."""
        return self.in_memory or self.median_us < _SUSPICIOUS_US

    def sentence(self) -> str:
        """Return the result as a sentence."""
        measured = (
            f"This disk ({self.file_system}) made {self.syncs_per_s:.0f} writes a second durable, one after "
            f"the other: {self.median_us / 1000:.2f} ms each in the median, "
            f"{self.worst_of_100_us / 1000:.2f} ms for the slowest of a hundred."
        )
        return f"{measured} {self._advice()}"

    def _advice(self) -> str:
        if self.in_memory:
            return "It is memory, not a disk: all of it is gone when power fails. Do not put a journal on it."
        if self.suspicious:
            return (
                "No disk writes that fast: a cache answers. Unless it is protected against a loss of power, "
                "what devices were told is safe can be lost with it; ask who made the disk or runs the "
                "virtual machine."
            )
        if self.file_system in _REMOTE:
            return "It is on another machine: SQLite's locks and writes are not safe there. Use a local disk."
        if self.median_us > _SLOW_US:
            return "That is slow: devices that wait for a confirmation will wait for the disk."
        return "Results that arrive together share a write, so a line can be faster than that."


def measure(folder: Path, *, seconds: float, clock: Clock) -> DiskSpeed:
    """Write and sync for some seconds in a new file of `folder`."""
    path = folder / "speed"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        for block in range(_BLOCKS):
            os.pwrite(handle, _BLOCK, block * len(_BLOCK))
        os.fsync(handle)
        taken_ns = _sync_for(handle, seconds, clock)
    finally:
        os.close(handle)
        path.unlink()
    return DiskSpeed(
        file_system=file_system_of(folder),
        syncs_per_s=len(taken_ns) * NS_PER_S / sum(taken_ns),
        median_us=int(median(taken_ns) // 1000),
        worst_of_100_us=int(quantiles(taken_ns, n=100)[-1] // 1000),
    )


def _sync_for(handle: int, seconds: float, clock: Clock) -> list[int]:
    now = clock.stamp().boottime_ns
    end = now + int(seconds * NS_PER_S)
    taken: list[int] = []
    while now < end or len(taken) < 2:
        os.pwrite(handle, _BLOCK, len(taken) % _BLOCKS * len(_BLOCK))
        before = clock.stamp().boottime_ns
        os.fdatasync(handle)
        now = clock.stamp().boottime_ns
        taken.append(now - before)
    return taken


def file_system_of(folder: Path) -> str:
    """Return the kind of file system on which a folder lies, as the kernel calls it."""
    device = folder.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    for line in reversed(lines):
        left, _, right = line.partition(" - ")
        if left.split()[2] == wanted:
            return right.split()[0]
    return "unknown"
