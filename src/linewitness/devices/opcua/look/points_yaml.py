"""Write variables of a server as points, to be pasted at their place in a YAML."""

import json
import re
from collections.abc import Collection, Sequence
from typing import Final

from linewitness.devices.opcua.look.browse import BrowsedNode
from linewitness.devices.spec import PointsPlace

ID_LENGTH: Final = 63


def point_ids(found: Sequence[BrowsedNode], taken: Collection[str] = ()) -> list[str]:
    """Return a valid and unique point id for each variable, made from the end of its path."""
    used = set(taken)
    made: list[str] = []
    for one in found:
        base = re.sub(r"[^a-z0-9_.-]+", "-", ".".join(one.path[-2:]).lower()).strip("-._") or "point"
        name, number = base[:ID_LENGTH], 1
        while name in used:
            number += 1
            name = f"{base[: ID_LENGTH - len(str(number)) - 1]}-{number}"
        used.add(name)
        made.append(name)
    return made


def to_yaml(found: Sequence[BrowsedNode], place: PointsPlace | None = None) -> str:
    """Return the variables as points: what may be written as evidence, all others as telemetry."""
    where = place or PointsPlace()
    dash = " " * where.dash
    lines = [] if where.key is None or not found else [f"{' ' * where.key}points:"]
    for one, name in zip(found, point_ids(found, where.taken), strict=True):
        notes = [one.type, *(["history"] if one.historic else []), f"now {one.value}"]
        lines.append(f"{dash}- id: {name}    # {', '.join(_one_line(note) for note in notes if note)}")
        lines.append(f"{dash}  node: {_quoted(one.node)}")
        lines.append(f"{dash}  record: {'change' if one.writable else 'telemetry'}")
        if one.unit:
            lines.append(f"{dash}  unit: {_quoted(one.unit)}")
    return "\n".join(lines) + "\n" if lines else ""


def _quoted(text: str) -> str:
    """Return text as a YAML scalar: in single quotes, which escape nothing but themselves, where they do."""
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return json.dumps(text)


def _one_line(text: str) -> str:
    """Return text as it may stand in a comment: what is not printable would end it, or be no YAML."""
    return "".join(char if char.isprintable() else " " for char in text)
