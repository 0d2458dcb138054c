"""Whether the requirements of one station fit together."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from linewitness.base.settings import SettingsError
from linewitness.stations.checklist.options import ENTERED

#: Fields of `unit.left`, and those that each requirement has there besides its own name.
FIELDS: Final = frozenset(
    {
        *("results_ok", "results_not_ok", "complete", "attempt", "product", "order", "batch", "lacking"),
        *("scrapped", "overridden_by", "override_reason"),
    }
)
FIELDS_OF_EACH: Final = (
    *("kind", "title", "done", "missing", "not_ok", "wrong", "met_by", "met_by_left_out", "out_of_order"),
)

if TYPE_CHECKING:
    from linewitness.stations.checklist.requirements import Requirement


def check_requirements(requirements: "Sequence[Requirement]", *, badges: bool) -> None:
    """Raise SettingsError for names that are taken or are not there, and for circles.

    `badges` says that the station has a reader of badges.
    """
    known: dict[str, Requirement] = {}
    for need in requirements:
        if need.name in known:
            raise SettingsError(
                f"two requirements are called {need.name!r}: give each an id of its own", at=("requires",)
            )
        known[need.name] = need
    for need in requirements:
        for name in need.refers:
            if name not in known:
                raise SettingsError(
                    f"there is no requirement {name!r} at this station", at=("requires", need.name)
                )
            if name == need.name:
                raise SettingsError("it refers to itself", at=("requires", need.name))
        if need.kind == "sign_off" and not badges:
            raise SettingsError(
                "a person signs with a badge: name the reader in operator.scanner", at=("requires", need.name)
            )
    _refuse_fields_of_others(requirements)
    _refuse_circles({need.name: need.refers for need in requirements})


def _refuse_fields_of_others(requirements: "Sequence[Requirement]") -> None:
    """Refuse ids that would make two fields of `unit.left` bear one name, or that mean something else."""
    taken = dict.fromkeys(FIELDS, "it")
    for need in requirements:
        taken |= {f"{need.name}.{field}": need.name for field in FIELDS_OF_EACH}
    for need in requirements:
        if need.has_records and need.name == ENTERED:
            raise SettingsError(
                f"{ENTERED!r} means the time at which the unit came: give it another id",
                at=("requires", need.name),
            )
        if need.has_records and need.name in taken:
            owner = taken[need.name]
            what = "a field" if owner == "it" else f"a field of {owner!r}"
            raise SettingsError(
                f"in the record that closes the unit, {need.name!r} is {what}: give it another id",
                at=("requires", need.name),
            )


def _refuse_circles(before: Mapping[str, Iterable[str]]) -> None:
    done: set[str] = set()
    for start in before:
        path: list[str] = []
        _follow(start, before, path, done)


def _follow(name: str, before: Mapping[str, Iterable[str]], path: list[str], done: set[str]) -> None:
    if name in done:
        return
    if name in path:
        circle = " → ".join([*path[path.index(name) :], name])
        raise SettingsError(f"each waits for the other: {circle}", at=("requires", name))
    path.append(name)
    for each in before[name]:
        _follow(each, before, path, done)
    path.pop()
    done.add(name)
