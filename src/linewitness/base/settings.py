"""What all settings share: frozen models without unknown keys, names, paths, and how they contradict."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

#: Names of lines, stations, devices and points: they appear in topics, file names and records.
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """What is allowed and is likely a mistake.

    `at` leads from the model that says so to the setting to show, by names and positions in lists. Of the
    doubts of one `group` that a model has, the first is told, with the number of the others.
    """

    what: str
    hint: str
    at: tuple[str | int, ...] = ()
    group: str = ""


class Options(BaseModel):
    """Settings that never change while they are in use."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=False)

    def doubts(self) -> Iterable[Doubt]:
        """Return what is allowed here and likely a mistake, without groups below: `check` warns of it."""
        return ()


class Mistake(StrEnum):
    """What is found both by a model and by the checks of the whole file, so that it is reported once."""

    USED_TWICE = "used-twice"
    NOT_AT_STATION = "not-at-station"


class SettingsError(ValueError):
    """Settings that are right one by one contradict each other.

    `at` leads from the model that says so to the setting to show, such as `("points", "force")`; entries of
    a list are named by their id. `subjects` are the names that the `mistake` is about.
    """

    def __init__(
        self,
        what: str,
        *,
        at: tuple[str, ...] = (),
        mistake: Mistake | None = None,
        subjects: tuple[str, ...] = (),
    ) -> None:
        """Keep what is wrong apart from where."""
        super().__init__(f"{'.'.join(at)}: {what}" if at else what)
        self.what = what
        self.at = at
        self.mistake = mistake
        self.subjects = subjects


def resolve(path: Path, base: Path) -> Path:
    """Return `path` as the YAML's author meant it: relative to the YAML's own folder."""
    return path if path.is_absolute() else base / path
