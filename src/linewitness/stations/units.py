"""Which unit a station holds, and whether it has had what it needs."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from linewitness.base.patterns import matches
from linewitness.devices.base import Result
from linewitness.evidence.format.record import Change
from linewitness.stations.options import Requirement, UnitOptions


@dataclass(slots=True)
class UnitTally:
    """Results of the unit at the station by (device, kind, program): how many good, how many not."""

    counts: dict[str, list[int]] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        """Count a result that decides something about the unit."""
        kind = result.kind.partition(".")[0]
        for key in (f"{result.device}|{kind}|", f"{result.device}|{kind}|{program_of(result) or ''}"):
            good_and_not = self.counts.setdefault(key, [0, 0])
            good_and_not[0 if result.ok else 1] += 1
            if key.endswith("|") and not program_of(result):
                break

    def of(self, need: Requirement) -> tuple[int, int]:
        """Return how many good results and how many others count towards a requirement."""
        good, other = self.counts.get(f"{need.device}|{need.kind}|{need.program or ''}", (0, 0))
        return good, other

    @property
    def total(self) -> tuple[int, int]:
        """Good results and others, over all devices."""
        whole = [pair for key, pair in self.counts.items() if key.endswith("|")]
        return sum(pair[0] for pair in whole), sum(pair[1] for pair in whole)


@dataclass(slots=True)
class HeldUnit:
    """The unit at a station, how it was recognised, its results so far, and what devices were told of it.

    `told` names the commands that were accepted for it, `tried` those that were given since it was read last.
    """

    serial: str
    by: str
    tally: UnitTally = field(default_factory=UnitTally)
    told: set[str] = field(default_factory=set)
    tried: set[str] = field(default_factory=set)

    def dump(self) -> str:
        """Return the durable form, without what devices were told."""
        return orjson.dumps([self.serial, self.by, self.tally.counts]).decode()

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
        serial, by, counts = orjson.loads(text)
        return cls(serial, by, UnitTally(counts))


def program_of(result: Result) -> str | None:
    """Return the parameter set or point under which a result was made."""
    for name, value in result.facts:
        if name in ("pset", "pset_id", "program"):
            return str(value)
    return None


def is_serial(text: str, options: UnitOptions) -> bool:
    """Return whether a code can be a serial number here."""
    return bool(text) and matches(options.pattern, text)


def closing_changes(held: HeldUnit, requirements: Sequence[Requirement]) -> tuple[Change, ...]:
    """Return what `unit.left` says: how many results, and for each requirement what is done or missing."""
    good, other = held.tally.total
    changes = [Change("results_ok", None, good), Change("results_not_ok", None, other)]
    for need in requirements:
        done, not_ok = held.tally.of(need)
        missing = max(0, need.count - done)
        name = f"{need.device}.{need.kind}" + (f".{need.program}" if need.program else "")
        changes.append(
            Change(f"{name}.done", None, done, low=str(need.count), status="ok" if missing == 0 else "low")
        )
        if missing:
            changes.append(Change(f"{name}.missing", None, missing))
        if not_ok:
            changes.append(Change(f"{name}.not_ok", None, not_ok, status="nok"))
    return tuple(changes)
