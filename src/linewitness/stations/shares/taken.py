"""What a device's share came to: what was taken of a group, and what is only counted meanwhile."""

from dataclasses import dataclass, field

from linewitness.devices.base import Reading
from linewitness.stations.outcome import StationOutcome
from linewitness.stations.values.changes import LastValue


@dataclass(slots=True)
class Taken:
    """What one group of observations came to.

    `raw` are the devices' own bytes of what made no event; `slower` says that the device is to be read no
    further before its debt is paid.
    """

    outcome: StationOutcome = field(default_factory=StationOutcome)
    raw: list[bytes] = field(default_factory=list)
    count: int = 0
    slower: bool = False

    def add(self, later: "Taken") -> None:
        """Let what came later follow."""
        self.outcome.add(later.outcome)
        self.raw += later.raw
        self.count += later.count
        self.slower |= later.slower


@dataclass(slots=True)
class ClosedTime:
    """A time in which nothing is taken that the device pushes.

    `waiting` holds the newest reading of each point; `values` what each point said last. `changes` are the
    new values that points had, `others` what else was refused, `size` the bytes of both.
    """

    until_ns: int
    first_ns: int
    last_ns: int
    changes: int = 0
    others: int = 0
    size: int = 0
    waiting: dict[str, Reading] = field(default_factory=dict)
    values: dict[str, LastValue] = field(default_factory=dict)
