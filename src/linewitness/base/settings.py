"""What all settings share: frozen models without unknown keys, names, and paths."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

#: Names of lines, stations, devices and points: they appear in topics, file names and records.
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]


class Options(BaseModel):
    """Settings that never change while they are in use."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=False)


def resolve(path: Path, base: Path) -> Path:
    """Return `path` as the YAML's author meant it: relative to the YAML's own folder."""
    return path if path.is_absolute() else base / path
