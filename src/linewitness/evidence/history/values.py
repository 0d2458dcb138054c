"""Values of a parsed record, for people and for tracing (docs/format.md, section 3)."""

from collections.abc import Iterator
from typing import Any, Final

from linewitness.evidence.format.record import Scalar
from linewitness.evidence.history.met_by import MET_BY, ids_in, requirement_in

#: The number of a record in its stream; of one of several streams, with the stream's name.
Place = int | str

LEFT: Final = "unit.left"
INSTALLED: Final = "component.installed"
REMOVED: Final = "component.removed"
REFUSED: Final = "component.refused"
LOADED: Final = "material.loaded"
REQUIREMENT: Final = "requirement.changed"


def stated(members: dict[str, Any]) -> dict[str, Scalar]:
    """Return what a record states for each of its fields: the value after, else the one before."""
    return {
        change["field"]: change["before"] if change["after"] is None else change["after"]
        for change in members["changes"]
    }


def met_by(members: dict[str, Any]) -> Iterator[str]:
    """Yield the ids of the records that met requirements, by a `unit.left` or `requirement.changed`."""
    if members["kind"] in (LEFT, REQUIREMENT):
        for change in members["changes"]:
            field = change["field"]
            if field == MET_BY or requirement_in(field) is not None:
                yield from ids_in(change["after"])


def text_of(values: dict[str, Scalar], field: str) -> str:
    """Return a value as text, empty where there is none."""
    value = values.get(field)
    return "" if value is None else str(value)


def actor_of(members: dict[str, Any]) -> str:
    """Return who did it, for people."""
    actor = members["actor"]
    return str(actor.get("display_name", actor["id"]))
