"""Which unit a station holds, and what it has had there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from linewitness.base.patterns import compiled, matches
from linewitness.devices.base import Result
from linewitness.stations.checklist.progress import ClockMoment, Progress
from linewitness.stations.genealogy.known_units import NO_VARIANT, KnownUnit, Variant
from linewitness.stations.options import UnitOptions

if TYPE_CHECKING:
    from linewitness.stations.checklist.status import ListedStatuses

#: Components taken out that a visit names; what is above is counted.
MOST_REMOVED: Final = 20


class Override(NamedTuple):
    """Who lets a unit leave that lacks something, and why.

    `up_to` counts its results not ok by then, `unmet` names what it lacked: it covers nothing else.
    """

    person: str
    code: str
    reason: str
    up_to: int
    unmet: Sequence[str] = ()


@dataclass(slots=True)
class HeldUnit:
    """The unit at a station, how it was recognised, its results so far, and what devices were told of it.

    `results_ok` and `results_not_ok` count results that decide something. `progress` is by the name of the
    requirement. `told` names the commands that were accepted for it, `tried` those that were given since it
    was read last. `tools` are the serial numbers of the tools of its results, by device. `scrapped_here` says
    that it became scrap during this visit. `removed` names what was taken out of it during this visit, and
    `removed_more` counts what has no room there. `known` is what the line remembers of it, where the station
    asks for that. `listed` are its requirements, as they were put together last (`statuses_of`).
    """

    serial: str
    by: str
    results_ok: int = 0
    results_not_ok: int = 0
    progress: dict[str, Progress] = field(default_factory=dict)
    attempt: int = 1
    variant: Variant = NO_VARIANT
    entered: ClockMoment | None = None
    override: Override | None = None
    tools: dict[str, str] = field(default_factory=dict)
    scrapped_here: bool = False
    removed: list[str] = field(default_factory=list)
    removed_more: int = 0
    told: set[str] = field(default_factory=set)
    tried: set[str] = field(default_factory=set)
    known: KnownUnit | None = None
    listed: "ListedStatuses | None" = field(default=None, compare=False, repr=False)

    def add(self, result: Result) -> None:
        """Count a result that decides something about the unit."""
        if result.ok:
            self.results_ok += 1
        else:
            self.results_not_ok += 1

    def take_out(self, component: str) -> None:
        """Remember that a component was taken out, for the record that closes the visit."""
        if len(self.removed) < MOST_REMOVED:
            self.removed.append(component)
        else:
            self.removed_more += 1

    def dump(self) -> str:
        """Return the durable form, without what devices were told."""
        stored: dict[str, Any] = {
            "serial": self.serial,
            "by": self.by,
            "results": [self.results_ok, self.results_not_ok],
            "progress": {name: progress.dump() for name, progress in self.progress.items()},
        }
        if self.override is not None:
            stored["override"] = list(self.override)
        if self.entered is not None:
            stored |= {
                "attempt": self.attempt,
                "variant": list(self.variant),
                "entered": list(self.entered),
                "tools": self.tools,
                "scrapped_here": self.scrapped_here,
            }
        if self.removed:
            stored["removed"] = [self.removed, self.removed_more]
        return orjson.dumps(stored).decode()

    def dump_told(self) -> str:
        """Return the durable form of what devices were told of it."""
        return orjson.dumps([self.serial, sorted(self.told), sorted(self.tried)]).decode()

    def recall_told(self, text: str) -> None:
        """Take what `dump_told` wrote, unless it is about another unit."""
        serial, told, *tried = orjson.loads(text)
        if serial == self.serial:
            self.told = set(told)
            self.tried = set(*tried)

    @classmethod
    def load(cls, text: str) -> "HeldUnit":
        """Return what `dump` wrote."""
        stored: Any = orjson.loads(text)
        if isinstance(stored, list):
            return cls._load_counts(*stored)
        held = cls(stored["serial"], stored["by"], *stored["results"])
        held.progress = {name: Progress.load(each) for name, each in stored["progress"].items()}
        if "override" in stored:
            held.override = Override(*stored["override"])
        if "entered" in stored:
            held.attempt = stored["attempt"]
            held.variant = Variant(*stored["variant"])
            held.entered = ClockMoment(*stored["entered"])
            held.tools = stored["tools"]
            held.scrapped_here = stored["scrapped_here"]
        if "removed" in stored:
            held.removed, held.removed_more = stored["removed"]
        return held

    @classmethod
    def _load_counts(cls, serial: str, by: str, counts: Mapping[str, tuple[int, int]]) -> "HeldUnit":
        """Return what an earlier version stored: how many good results and others by device, kind, program.

        Which settings they were counted under it did not say: only requirements of results alone take them.
        """
        held = cls(serial, by)
        for key, (good, other) in counts.items():
            device, kind, program = key.split("|", 2)
            if not program:
                held.results_ok += good
                held.results_not_ok += other
            name = f"{device}.{kind}.{program}" if program else f"{device}.{kind}"
            held.progress[name] = Progress(done=good, not_ok=other)
        return held


def program_of(result: Result) -> str | None:
    """Return the parameter set or point under which a result was made."""
    for name, value in result.facts:
        if name in ("pset", "pset_id", "program"):
            return str(value)
    return None


def is_serial(text: str, options: UnitOptions) -> bool:
    """Return whether a code can be a serial number here."""
    return bool(text) and matches(options.pattern, text)


def variant_in(serial: str, options: UnitOptions) -> Variant:
    """Return what the serial number itself says of product, order and batch."""
    found = compiled(options.pattern).fullmatch(serial) if options.pattern else None
    groups = found or {}
    return Variant(groups.get("product") or "", groups.get("order") or "", groups.get("batch") or "")
