"""What a screen beside the work shows of a station: plain values, made from the station's state."""

from dataclasses import dataclass, field
from typing import Literal

RequirementState = Literal["missing", "done", "not_met"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementView:
    """One requirement of the unit at the station.

    `done` of `count`; `wrong` says in words what is wrong, `action` what the person is to do next for it;
    both are empty where there is nothing to say. `waits_for` are the titles of requirements that come first.
    `until_ns` is the Unix time at which a waiting time ends, None where none runs.
    """

    id: str
    kind: str
    title: str
    state: RequirementState
    done: int = 0
    count: int = 1
    wrong: str = ""
    action: str = ""
    waits_for: tuple[str, ...] = ()
    until_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MaterialView:
    """A lot that is loaded at the station: how much is left, as a decimal; None where nobody counts it.

    `known` is False where another lot may have been loaded unseen: it has to be read again.
    """

    title: str
    part: str
    lot: str
    left: str | None = None
    known: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteView:
    """Something that was refused (Unix time) or is wrong for as long as it is (0), and what to do."""

    at_ns: int
    text: str
    action: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StationView:
    """The whole picture of one station at one moment.

    `unit` is the serial number of the unit that was there last; `unknown` says why it is not known whether
    it still is, and is empty where it is known. `next` is the id of the requirement to do now. `gate` is
    None where the station has none. `complete` says that all requirements are done, `passed` by whom and why
    the unit may leave all the same.
    """

    station: str
    name: str = ""
    unit: str | None = None
    unknown: str = ""
    attempt: int = 1
    product: str = ""
    order: str = ""
    batch: str = ""
    operator: str = ""
    gate: Literal["closed", "opened"] | None = None
    complete: bool = False
    passed: str = ""
    next: str | None = None
    requirements: tuple[RequirementView, ...] = ()
    materials: tuple[MaterialView, ...] = ()
    notes: tuple[NoteView, ...] = field(default=())
