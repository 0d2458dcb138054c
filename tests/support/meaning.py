"""The oracle of meaning: compare what records say with what the simulated devices know to be true."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from linewitness_simulators.workplace import MadeWith


@dataclass
class Meaning:
    """How many results stand under the right unit, and which say something that is not so.

    `unknown` counts, by their reason, results of which the record says that the unit is not known;
    `unexplained` names those that are bound to nothing and do not say why.
    """

    right: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    unexplained: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        """Return the count for a report."""
        why = ", ".join(f"{count} × {reason}" for reason, count in self.unknown.most_common())
        return f"{self.right} under their unit, {len(self.wrong)} wrong, unknown: {why or 'none'}"


def meaning_of(records: Iterable[Mapping[str, Any]], truth: Mapping[int, MadeWith]) -> Meaning:
    """Compare tightenings on record with what each was really made with: unit, operator and program.

    A record may say less than the truth, and never something else.
    """
    found = Meaning()
    for record in records:
        fields = {change["field"]: change["after"] for change in record["changes"]}
        number = int(record["resource"]["id"].rpartition("/")[2])
        made = truth[number]
        unit = record["resource"].get("parent", {}).get("id")
        if unit is not None and unit != made.unit:
            found.wrong.append(f"{number}: unit {unit}, really {made.unit}")
        elif unit is not None:
            found.right += 1
        elif "unknown_because" in fields:
            found.unknown[fields["unknown_because"]] += 1
        else:
            found.unexplained.append(number)
        actor = record["actor"]
        if actor["type"] == "user" and actor["id"] != made.operator:
            found.wrong.append(f"{number}: operator {actor['id']}, really {made.operator}")
        if "pset" in fields and str(fields["pset"]) != str(made.program):
            found.wrong.append(f"{number}: program {fields['pset']}, really {made.program}")
    return found
