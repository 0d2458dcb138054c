"""Which units had a component or a lot, and which of them have it still: forward tracing.

docs/format.md, section 11.3.4.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from linewitness.evidence.format.record import parse, unit_of
from linewitness.evidence.history.values import INSTALLED, LOADED, REMOVED, met_by, stated

_MET_BY: Final = b"met_by"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentQuery:
    """A component by its part and its serial number, or a lot of a part."""

    part: str
    serial: str | None = None
    lot: str | None = None

    @property
    def title(self) -> str:
        """What it is called."""
        return f"Part {self.part} " + (f"serial {self.serial}" if self.lot is None else f"lot {self.lot}")

    @property
    def asked(self) -> dict[str, str]:
        """What was asked for, as a manifest says it."""
        named = {"part": self.part, "serial": self.serial, "lot": self.lot}
        return {name: value for name, value in named.items() if value is not None}

    @property
    def marks(self) -> list[bytes]:
        """Bytes that stand in each record that names it."""
        return [json.dumps(value, ensure_ascii=False).encode() for value in self.asked.values()]

    def is_named_by(self, members: dict[str, Any]) -> bool:
        """Return whether a parsed record of a component or of a material is about it."""
        values = stated(members)
        return all(values.get(name) == value for name, value in self.asked.items())


@dataclass(slots=True)
class ComponentTrace:
    """Follow records in their order, and say of each unit how many of the components it has."""

    queries: tuple[ComponentQuery, ...] = ()
    _counts: dict[str, int] = field(default_factory=dict)
    _loaded: set[str] = field(default_factory=set)
    _from_loaded: dict[str, None] = field(default_factory=dict)

    @property
    def units(self) -> list[str]:
        """Every unit that had one, in the order of their records."""
        return list(dict.fromkeys((*self._counts, *self._from_loaded)))

    @property
    def holding(self) -> list[str]:
        """The units that have one still."""
        return [unit for unit in self.units if self._counts.get(unit, 1) > 0]

    @property
    def removed(self) -> list[str]:
        """The units of which all were removed again."""
        holding = frozenset(self.holding)
        return [unit for unit in self.units if unit not in holding]

    def take(self, data: bytes) -> bool:
        """Take the next record's exact bytes; return whether it names one."""
        if not self._may_matter(data):
            return False
        members = parse(data)
        kind, unit = members["kind"], unit_of(members)
        if kind not in (INSTALLED, REMOVED, LOADED):
            return unit is not None and self._is_met_by_lot(unit, members)
        if not any(query.is_named_by(members) for query in self.queries):
            return False
        if kind == LOADED:
            self._loaded.add(members["event_id"])
        elif unit is not None:
            self._counts[unit] = max(0, self._counts.get(unit, 0) + (1 if kind == INSTALLED else -1))
        return True

    def _may_matter(self, data: bytes) -> bool:
        """Return whether a record may name one, by its bytes alone: most do not, and are not parsed."""
        if self._loaded and _MET_BY in data:
            return True
        return any(all(mark in data for mark in query.marks) for query in self.queries)

    def _is_met_by_lot(self, unit: str, members: dict[str, Any]) -> bool:
        if self._loaded.isdisjoint(met_by(members)):
            return False
        self._from_loaded[unit] = None
        return True


def words_of_trace(trace: ComponentTrace, *, most: int) -> Iterable[str]:
    """Say which units have it and which do not any more, `most` of each by name."""
    what = ", ".join(query.title for query in trace.queries)
    for word, units in (("is in", trace.holding), ("was removed from", trace.removed)):
        left = len(units) - most
        named = ", ".join(units[:most]) + (f" and {left} others" if left > 0 else "")
        count = "1 unit" if len(units) == 1 else f"{len(units)} units"
        yield f"{what} {word} {count}" + (f": {named}" if units else "")
