"""The state of one source of results: how far it is resolved, what is known above, what is missing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from linewitness.base.mappings import EMPTY
from linewitness.devices.open_protocol.wire.codec import DecodedTelegram
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram
from linewitness.devices.open_protocol.wire.variable import OperationParts


class HistoryMode(StrEnum):
    """How the controller answers a request for an old result."""

    EXACT = "exact"
    AT_OR_BEFORE = "at_or_before"
    NONE = "none"


#: The id of a result that has none: the field was blank, or 0, which asks for the newest and names no result.
NO_ID: Final = 0


#: So many digits has the number of a job in low revisions.
SHORT_JOB: Final = 2
#: Earlier versions remembered this much of a core: they named no unit, and no place.
LEAST_PARTS: Final = 6


class ResultCore(NamedTuple):
    """What a live result (0061) and its stored copy (0065) have in common, as received; "" is absent.

    `unit` is the identifier in the result. `place` is its place, if it was pushed: job, sequence of the job,
    parameter set and batch counter with dots between, each "" where it is not told. Both tell work from other
    work, and are no evidence against a copy.
    """

    time: str = ""
    torque: str = ""
    angle: str = ""
    status: str = ""
    torque_status: str = ""
    angle_status: str = ""
    unit: str = ""
    place: str = ""

    def __str__(self) -> str:
        parts = self if self.place else self[:-1]
        return "|".join(part.replace("%", "%25").replace("|", "%7C") for part in parts)

    @classmethod
    def parse(cls, text: str) -> "ResultCore":
        """Read what `str` wrote, also before it named unit and place; an empty core where it is not that."""
        parts = [part.replace("%7C", "|").replace("%25", "%") for part in text.split("|")]
        return cls(*parts) if LEAST_PARTS <= len(parts) <= len(cls._fields) else cls()

    @property
    def content(self) -> tuple[str, ...]:
        """Return time, values and verdicts: what is the same in a live result and its copy."""
        return self[:LEAST_PARTS]

    @property
    def blank(self) -> bool:
        """Whether there is nothing to compare: the telegram was not readable."""
        return not any(self.content)

    def matches(self, other: "ResultCore") -> bool:
        """Whether both may be the same result: nothing that both have differs."""
        return all(a == b for a, b in zip(self.content, other.content, strict=True) if a and b)

    def is_same_work(self, other: "ResultCore") -> bool:
        """Whether both are surely one tightening: of the same second, and nothing that both have differs."""
        same_time = bool(self.time) and self.time == other.time
        return same_time and self.matches(other) and self.may_be_same_work(other)

    def is_repeat_of(self, other: "ResultCore") -> bool:
        """Whether this came before under the same id: without times, it must be of the same unit too."""
        timed = bool(self.time and other.time)
        return self.matches(other) and (timed or self.is_for_same_unit(other))

    def is_for_same_unit(self, other: "ResultCore") -> bool:
        """Whether both may belong to one unit."""
        return not (self.unit and other.unit) or self.unit == other.unit

    def is_elsewhere(self, other: "ResultCore") -> bool:
        """Whether the places of both differ, in what both tell."""
        if not (self.place and other.place):
            return False
        (job, *rest), (other_job, *others) = self.place.split("."), other.place.split(".")
        # A low revision has two digits for the number of a job, and cannot tell one of three.
        jobs = [(job, other_job)] if (len(job) > SHORT_JOB) == (len(other_job) > SHORT_JOB) else []
        return any(a != b for a, b in (*jobs, *zip(rest, others, strict=False)) if a and b)

    def may_be_same_work(self, other: "ResultCore") -> bool:
        """Whether both may be of one unit, at one place in job and batch."""
        return self.is_for_same_unit(other) and not self.is_elsewhere(other)

    def differs_in_values(self, other: "ResultCore") -> bool:
        """Whether torque or angle differ, of those that both have."""
        pairs = ((self.torque, other.torque), (self.angle, other.angle))
        return any(a != b for a, b in pairs if a and b)


@dataclass(frozen=True, slots=True)
class ResultEntry:
    """One result: its tightening id and its core."""

    id: int
    core: ResultCore


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRecord:
    """A result as received: `live` where the controller pushed it and waits for its acknowledgement.

    `station` is the station that the result itself names. `received` is its telegram (of an operation, the
    last one), `content` what was read from it. `place` is its place in job and batch, "" where nothing says
    it; `id_is_blank` tells a result without an id from one whose id is 0.
    """

    entry: ResultEntry
    live: bool
    station: int | None = None
    received: ReceivedTelegram
    content: DecodedTelegram | OperationParts
    place: str = ""
    id_is_blank: bool = False


@dataclass(frozen=True, slots=True)
class MissingRange:
    """A range of tightening ids, both ends included, that the controller did not give."""

    first: int
    last: int
    rounds: int = 1
    recorded: bool = False

    def __contains__(self, tightening_id: int) -> bool:
        return self.first <= tightening_id <= self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultLedger:
    """The state of one source in its current epoch.

    `watermark` None: nothing is known of this source yet. `open_start`: capture began before the
    lowest id that the controller has was known, so what lies below that is no gap. `doubted`: it is
    on record that what followed the newest result may be lost. `known` holds every result above the
    watermark and the newest ones below it. `spans` are sorted and disjoint. `past` holds, by id, the newest
    results of earlier epochs, oldest epoch first; `first` is the first result of this epoch, if known.
    """

    source: str
    epoch: int = 0
    watermark: int | None = None
    known: Mapping[int, ResultCore] = field(default_factory=lambda: EMPTY)
    spans: tuple[MissingRange, ...] = ()
    mode: HistoryMode = HistoryMode.EXACT
    open_start: bool = False
    doubted: bool = False
    past: Mapping[int, tuple[tuple[int, ResultCore], ...]] = field(default_factory=lambda: EMPTY)
    first: ResultEntry | None = None

    @property
    def highest(self) -> int:
        """The highest id that is resolved or known; 0 where there is none."""
        return max(self.watermark or 0, max(self.known, default=0))

    @property
    def anchor(self) -> ResultEntry | None:
        """The newest resolved result whose content is kept; failing that the newest known one."""
        readable = [number for number, core in self.known.items() if number != NO_ID and not core.blank]
        resolved = [number for number in readable if number <= (self.watermark or 0)]
        best = max(resolved or readable, default=None)
        return None if best is None else ResultEntry(best, self.known[best])

    def is_past(self, entry: ResultEntry) -> bool:
        """Whether this is surely a result of an earlier epoch, under the same id."""
        return any(core.is_same_work(entry.core) for _, core in self.past.get(entry.id, ()))

    def lies_before_start(self, number: int) -> bool:
        """Whether an id lies below all that was captured in this epoch, and nothing is missing under it."""
        captured = any(NO_ID < known <= number for known in self.known)
        return (
            number <= (self.watermark or 0)
            and not captured
            and all(number not in each for each in self.spans)
        )
