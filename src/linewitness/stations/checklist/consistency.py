"""Whether the requirements of one station fit together."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from linewitness.base.settings import SettingsError

if TYPE_CHECKING:
    from linewitness.stations.checklist.requirements import Requirement


def check_requirements(requirements: "Sequence[Requirement]", *, badges: bool) -> None:
    """Raise SettingsError for names that are used twice or are not there, and for circles.

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
    _refuse_circles({need.name: need.after for need in requirements})


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
