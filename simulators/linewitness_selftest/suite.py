"""All faults, one after the other, in a folder of their own on the disk in question."""

import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from linewitness.base.clock import SystemClock
from linewitness.base.errors import ConfigurationError
from linewitness_selftest.auditors import Auditors, running_auditors
from linewitness_selftest.calls.syscalls import OPERATIONS, failing_calls, name_of
from linewitness_selftest.damage import FAULT as DAMAGE
from linewitness_selftest.damage import damages
from linewitness_selftest.disk import FULL, READ_ONLY, SECOND, full_disks, read_only, two_gateways
from linewitness_selftest.kills import FAULT as KILLS
from linewitness_selftest.kills import random_kills
from linewitness_selftest.outcome import FaultOutcome
from linewitness_selftest.power.cuts import FAULT as POWER
from linewitness_selftest.power.cuts import power_cuts
from linewitness_selftest.speed import DiskSpeed, measure

PREFIX: Final = "linewitness-selftest-"
ROOM_BYTES: Final = 256 * 1024**2
_MIB: Final = 1024**2
Tick = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much is done: `share` of the system calls, `rooms` at which a disk is full."""

    kills: int
    share: float
    rooms: int
    cuts: int
    speed_s: float


QUICK: Final = Extent(kills=30, share=0.03, rooms=2, cuts=60, speed_s=1.0)
USUAL: Final = Extent(kills=200, share=0.2, rooms=4, cuts=400, speed_s=2.0)
FULL_EXTENT: Final = Extent(kills=1000, share=1.0, rooms=12, cuts=2000, speed_s=5.0)


@dataclass(frozen=True, slots=True)
class SelftestReport:
    """What was found on one disk."""

    directory: Path
    seed: int
    speed: DiskSpeed
    rows: tuple[FaultOutcome, ...]

    @property
    def held(self) -> bool:
        """Whether the promise held each time."""
        return all(row.held for row in self.rows)

    @property
    def not_run(self) -> tuple[FaultOutcome, ...]:
        """Rows in which nothing was injected."""
        return tuple(row for row in self.rows if not row.injected)

    def members(self) -> dict[str, Any]:
        """Return what machines read."""
        speed = self.speed
        return {
            "directory": str(self.directory),
            "seed": self.seed,
            "held": self.held,
            "not_run": [row.fault for row in self.not_run],
            "disk": {
                "file_system": speed.file_system,
                "syncs_per_s": round(speed.syncs_per_s, 1),
                "median_us": speed.median_us,
                "worst_of_100_us": speed.worst_of_100_us,
                "suspicious": speed.suspicious,
                "says": speed.sentence(),
            },
            "rows": [
                {name: getattr(row, name) for name in FaultOutcome.__slots__} | {"held": row.held}
                for row in self.rows
            ],
        }


class Watcher(Protocol):
    """Somebody who is shown how far it is."""

    def begin(self, fault: str) -> None:
        """Hear what is done now."""

    def tick(self, done: int, total: int) -> None:
        """Hear how much of it is done."""

    def end(self, row: FaultOutcome) -> None:
        """Hear what came of it."""


def check_place(directory: Path) -> None:
    """Require a folder that can be written and has room; ConfigurationError otherwise."""
    if not directory.is_dir():
        raise ConfigurationError(f"{directory} is not a folder", hint="name a folder on the disk in question")
    free = shutil.disk_usage(directory).free
    if free < ROOM_BYTES:
        raise ConfigurationError(
            f"{directory} has {free // _MIB} MiB left", hint=f"the selftest needs {ROOM_BYTES // _MIB} MiB"
        )
    try:
        with tempfile.TemporaryDirectory(prefix=PREFIX, dir=directory):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"{directory} cannot be written: {error.strerror}", hint="name another folder of the same disk"
        ) from None


async def run_all(directory: Path, *, extent: Extent, seed: int, watcher: Watcher) -> SelftestReport:
    """Inject all faults in a new folder of `directory`, which is taken away in the end."""
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=directory) as name:
        folder = Path(name)
        watcher.begin("speed of the disk")
        speed = measure(folder, seconds=extent.speed_s, clock=SystemClock())
        rows = []
        with running_auditors() as auditors:
            for fault, inject in _faults(folder, extent, seed, auditors, watcher.tick):
                watcher.begin(fault)
                rows.append(await inject())
                watcher.end(rows[-1])
    return SelftestReport(directory, seed, speed, tuple(rows))


def _faults(
    folder: Path, extent: Extent, seed: int, auditors: Auditors, tick: Tick
) -> Iterator[tuple[str, Callable[[], Awaitable[FaultOutcome]]]]:
    def counted(total: int) -> Callable[[int], None]:
        return lambda done: tick(done, total)

    kills, rooms = extent.kills, extent.rooms
    yield (
        KILLS,
        lambda: random_kills(folder, kills=kills, seed=seed, auditors=auditors, tick=counted(kills)),
    )
    for operation in OPERATIONS:
        calls = partial(failing_calls, share=extent.share, seed=seed, auditors=auditors, tick=tick)
        yield name_of(operation), partial(calls, operation, folder)
    yield POWER, lambda: power_cuts(folder, cuts=extent.cuts, seed=seed)
    yield DAMAGE, lambda: damages(folder)
    yield FULL, lambda: full_disks(folder, times=rooms, tick=counted(2 * rooms))
    yield READ_ONLY, lambda: read_only(folder)
    yield SECOND, lambda: two_gateways(folder)
