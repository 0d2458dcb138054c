"""The fields that name the records which met a requirement (docs/format.md, section 3.2)."""

from typing import Final

MET_BY: Final = "met_by"


def ids_in(value: object) -> tuple[str, ...]:
    """Return the event ids in a field `met_by`, each once."""
    return tuple(dict.fromkeys(each for each in value.split(" ") if each)) if isinstance(value, str) else ()


def requirement_in(field: str) -> str | None:
    """Return the requirement whose records a field of `unit.left` names, None for another field."""
    requirement, dot, what = field.rpartition(".")
    return requirement if dot and what == MET_BY else None
