"""Which numbers of PowerMACS cycles are missing: each is one more than the last, until they begin anew."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: The number of the newest cycle: from there on the controller is asked to send again.
NEWEST_KEY: Final = "cycle"
#: The time of that cycle, as the controller wrote it.
TIME_KEY: Final = "cycle_time"


@dataclass(frozen=True, slots=True)
class CycleCount:
    """The newest cycle on record, and its time; None where there is none yet."""

    newest: int | None = None
    time: str = ""

    @classmethod
    def load(cls, remembered: Mapping[str, str]) -> "CycleCount":
        """Start from what was committed."""
        newest = remembered.get(NEWEST_KEY)
        return cls(None if newest is None else int(newest), remembered.get(TIME_KEY, ""))

    @property
    def remember(self) -> dict[str, str]:
        """Return what must be remembered."""
        return {} if self.newest is None else {NEWEST_KEY: str(self.newest), TIME_KEY: self.time}


@dataclass(frozen=True, slots=True)
class CycleStep:
    """The count after a new cycle, the numbers that it leaves out, and whether the count began anew."""

    count: CycleCount
    missing: tuple[int, int] | None = None
    anew: bool = False


def take(before: CycleCount, number: int, time: str) -> CycleStep:
    """Take in a cycle that was not known.

    A lower number with an earlier time came late.
    Without times, or within a second, nobody can tell: the worse is assumed.
    """
    after = CycleCount(number, time)
    if before.newest is None or number == before.newest + 1:
        return CycleStep(after)
    if number > before.newest:
        return CycleStep(after, missing=(before.newest + 1, number - 1))
    timed = bool(time and before.time)
    # The same number without a time, or of the same second, may be the rest of the same cycle.
    later = timed and time > before.time
    same_second = not timed or time == before.time
    anew = later or (number < before.newest and same_second)
    return CycleStep(after, anew=True) if anew else CycleStep(before)
