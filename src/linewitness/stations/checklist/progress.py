"""How far one requirement of one unit is: the part of a station's state that decides whether it may leave."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, NamedTuple

from linewitness.base.clock import NS_PER_S, Stamp
from linewitness.stations.view import RequirementState

#: Event ids that a requirement keeps of the records that met it; what is above is counted.
MOST_RECORDS: Final = 100


class ClockMoment(NamedTuple):
    """A moment on both clocks, in nanoseconds, and the boot that the second one counts from."""

    realtime_ns: int
    boottime_ns: int
    boot_id: str

    @classmethod
    def of(cls, stamp: Stamp, boot_id: str) -> "ClockMoment":
        """Return the moment of a stamp of this boot."""
        return cls(stamp.realtime_ns, stamp.boottime_ns, boot_id)

    @property
    def setting_ns(self) -> int:
        """How the real-time clock was set against the time since the boot."""
        return self.realtime_ns - self.boottime_ns

    def is_by(self, later: "ClockMoment") -> bool:
        """Return whether this moment is not after another one."""
        if self.boot_id == later.boot_id:
            return self.boottime_ns <= later.boottime_ns
        return self.realtime_ns <= later.realtime_ns

    def elapsed_s(self, now: "ClockMoment") -> float:
        """Return the seconds from this moment to `now`, never less than 0.

        Within one boot, setting the clock changes nothing; over a restart of the machine only the real-time
        clock knows.
        """
        if self.boot_id == now.boot_id:
            return max(0, now.boottime_ns - self.boottime_ns) / NS_PER_S
        return max(0, now.realtime_ns - self.realtime_ns) / NS_PER_S


@dataclass(slots=True)
class Progress:
    """How far one requirement is.

    `definition` names the settings under which it was counted: under others it begins anew. `wrong` says why
    it is not met, or why something was refused last; `failed` that the last result was not ok. `people` are
    those who signed, `workers` those who did it. `since` is the moment from which a condition runs; `done_at`
    when it was done.
    """

    definition: str = ""
    state: RequirementState = "missing"
    done: int = 0
    not_ok: int = 0
    wrong: str = ""
    met_by: list[str] = field(default_factory=list)
    left_out: int = 0
    out_of_order: bool = False
    failed: bool = False
    people: list[str] = field(default_factory=list)
    workers: list[str] = field(default_factory=list)
    since: ClockMoment | None = None
    done_at: ClockMoment | None = None

    def note(self, event_id: str | None) -> None:
        """Remember a record that counts towards the requirement."""
        if event_id is None:
            return
        if len(self.met_by) < MOST_RECORDS:
            self.met_by.append(event_id)
        else:
            self.left_out += 1

    def work(self, person: str | None) -> None:
        """Remember who did something that counts."""
        if person is not None and person not in self.workers:
            self.workers.append(person)

    def dump(self) -> dict[str, Any]:
        """Return what differs from the beginning, as JSON knows it."""
        return {
            name: list(value) if isinstance(value, ClockMoment) else value
            for name, fresh in _FRESH
            if (value := getattr(self, name)) != fresh
        }

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> "Progress":
        """Return what `dump` wrote."""
        known = dict(stored)
        for name in ("since", "done_at"):
            if known.get(name) is not None:
                known[name] = ClockMoment(*known[name])
        return cls(**known)


#: What a progress is in the beginning.
_FRESH: Final = tuple((each.name, getattr(Progress(), each.name)) for each in fields(Progress))
