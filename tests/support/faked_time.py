"""Clocks of the gateway's own: one that can be set while it runs, or all of them fast (libfaketime)."""

import os
from pathlib import Path

_LIBRARIES = ("usr/lib/*/faketime/libfaketime.so.1", "usr/lib/faketime/libfaketime.so.1")
#: Where the library keeps what a process and its children share.
_SHARED = Path("/dev/shm")  # noqa: S108 (its choice)


def fast_time(*, offset_s: float, speed: int) -> dict[str, str]:
    """Return the environment in which all clocks and timeouts run so fast, beginning this far from now.

    The library reads its settings again now and then; threads that ask for the time meanwhile would see a
    jump. So they are read once.
    """
    return {
        "LD_PRELOAD": _library(),
        "FAKETIME": f"{offset_s:+.3f} x{speed}",
        "FAKETIME_CACHE_DURATION": "1000000",
        "NO_FAKE_STAT": "1",
    }


class SettableTime:
    """The CLOCK_REALTIME of processes that have `environment`: somebody can set it. Other clocks are true."""

    def __init__(self, folder: Path) -> None:
        self.offset_s = 0
        self._file = folder / "faketime"
        self.environment = {
            "LD_PRELOAD": _library(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        self.step(0)

    def step(self, seconds: int) -> None:
        """Set the clock forward, or backward where negative; running processes see it within seconds."""
        self.offset_s += seconds
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{self.offset_s:+d}\n")
        fresh.replace(self._file)  # it is read again and again: never half of it


def clean(pid: int) -> None:
    """Remove what the library of a killed process left; it would stop another one with the same number."""
    for left in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
        (_SHARED / left).unlink(missing_ok=True)


def _clean_after_the_dead() -> None:
    for left in _SHARED.glob("faketime_shm_*"):
        pid = int(left.name.rpartition("_")[2])
        if not Path(f"/proc/{pid}").exists():
            clean(pid)


def _library() -> str:
    _clean_after_the_dead()
    for pattern in _LIBRARIES:
        for found in Path("/").glob(pattern):
            return os.fspath(found)
    raise AssertionError("libfaketime is not installed: apt-get install libfaketime")
