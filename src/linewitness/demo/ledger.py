"""Compare what the simulated controller made with what the audit store holds."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url

from linewitness.store.database.database import Database
from linewitness.store.reports import read_records


@dataclass(frozen=True, slots=True)
class Comparison:
    """Tightenings made, stored, lost, stored twice, and stored under another unit or none."""

    made: int
    stored: int
    lost: tuple[int, ...]
    duplicated: tuple[int, ...]
    misbound: tuple[int, ...]

    @property
    def clean(self) -> bool:
        """Return whether every tightening is there once, with its unit."""
        return not (self.lost or self.duplicated or self.misbound)


def compare(made: Mapping[int, str], store_file: Path) -> Comparison:
    """Compare tightenings made (id to serial number of the unit) with those in the store's database."""
    stored: Counter[int] = Counter()
    unit_of: dict[int, str | None] = {}
    database = Database(make_url(f"sqlite:///{store_file}"))
    try:
        for held in read_records(database):
            if held.kind == "tightening.result":
                resource = json.loads(held.data)["resource"]
                number = int(resource["id"].rpartition("/")[2])
                stored[number] += 1
                unit_of[number] = resource.get("parent", {}).get("id")
    finally:
        database.close()
    return Comparison(
        made=len(made),
        stored=sum(stored.values()),
        lost=tuple(sorted(made.keys() - stored.keys())),
        duplicated=tuple(sorted(number for number, count in stored.items() if count > 1)),
        misbound=tuple(sorted(n for n, unit in made.items() if n in unit_of and unit_of[n] != unit)),
    )
