"""What verified records are about: how many of which kind and unit, from which number and time to which."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from linewitness.evidence.format.columns import RecordColumns

#: Units that are named with their number of records; the records of further ones are counted together.
MAX_UNITS: Final = 1000
#: Units that the line of text names.
_NAMED: Final = 20


@dataclass(slots=True)
class RecordSummary:
    """The numbers of some records; summaries of consecutive parts can be added up.

    `earliest` and `latest` are the bounds of `occurred_at`, `first` and `last` those of `sequence_no`. Units
    are in the order of their first record, and at most `most_units` of them are named.
    """

    most_units: int = MAX_UNITS
    records: int = 0
    first: int = 0
    last: int = 0
    earliest: str = ""
    latest: str = ""
    kinds: Counter[str] = field(default_factory=Counter)
    units: dict[str, int] = field(default_factory=dict)
    other_units: int = 0

    def take(self, records: RecordColumns) -> None:
        """Count records, which come after those before them."""
        if not records.numbers:
            return
        if not self.records:
            self.first, self.earliest = records.numbers[0], records.occurred_at[0]
        self.records += len(records.numbers)
        self.last = records.numbers[-1]
        self.earliest = min(self.earliest, *records.occurred_at)
        self.latest = max(self.latest, *records.occurred_at)
        self.kinds.update(records.kinds)
        for unit, count in Counter(records.units).items():
            if unit is not None:
                self._count(unit, count)

    def add(self, later: "RecordSummary") -> None:
        """Count the records of another summary, which come after these."""
        if not later.records:
            return
        if not self.records:
            self.first, self.earliest = later.first, later.earliest
        self.records += later.records
        self.last = later.last
        self.earliest, self.latest = min(self.earliest, later.earliest), max(self.latest, later.latest)
        self.kinds.update(later.kinds)
        for unit, records in later.units.items():
            self._count(unit, records)
        self.other_units += later.other_units

    def _count(self, unit: str, records: int) -> None:
        if unit in self.units or len(self.units) < self.most_units:
            self.units[unit] = self.units.get(unit, 0) + records
        else:
            self.other_units += records

    def to_json(self) -> dict[str, Any]:
        """Return the summary as JSON values: `contents` of a verdict and of a manifest."""
        return {
            "records": self.records,
            "first": self.first,
            "last": self.last,
            "earliest": self.earliest,
            "latest": self.latest,
            "kinds": [{"kind": kind, "records": self.kinds[kind]} for kind in sorted(self.kinds)],
            "units": [{"unit": unit, "records": records} for unit, records in self.units.items()],
            "other_units": self.other_units,
        }

    @property
    def text(self) -> str:
        """The summary as one line."""
        kinds = ", ".join(f"{self.kinds[kind]} {kind}" for kind in sorted(self.kinds))
        named = ", ".join(f"{unit} ({records})" for unit, records in list(self.units.items())[:_NAMED])
        more = len(self.units) - _NAMED
        units = f"; units: {named}" + (f" and {more} more" if more > 0 else "") if named else "; no unit"
        many = f"; {self.other_units} records are about further units" if self.other_units else ""
        return (
            f"{self.records} records from {self.first} to {self.last}, {self.earliest} to {self.latest}:"
            f" {kinds}{units}{many}"
        )
