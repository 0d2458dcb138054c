"""What the settings of stations may mean and most likely do not: a unit that is held for ever, say."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Final

from linewitness.base.patterns import matches
from linewitness.base.settings import Doubt
from linewitness.stations.checklist.options import (
    ComponentRequirement,
    SignOffRequirement,
    VariantOptions,
)
from linewitness.stations.checklist.requirements import Requirement
from linewitness.stations.checklist.timed_options import AfterRequirement, WaitRequirement

if TYPE_CHECKING:
    from linewitness.stations.options import StationOptions

_DIMENSIONS: Final = ("product", "work_order", "batch")
#: Settings of a requirement that name another one without which it is never done.
_NEEDED: Final = ("since", "until", "consumed", "before")
_GROUP: Final = re.compile(r"\(\?P?<[^>]*>")


def doubts_of_station(options: "StationOptions") -> Iterator[Doubt]:
    """Return what is doubtful about one station by itself."""
    yield from _badges_everywhere(options)
    for number, need in enumerate(options.requires):
        if isinstance(need, SignOffRequirement):
            yield from _codes_of_sign_offs(options, number, need)
        if isinstance(need, ComponentRequirement):
            yield from _same_pattern(options, number, need)
        yield from _other_variants(options, number, need)


def _badges_everywhere(options: "StationOptions") -> Iterator[Doubt]:
    """Find a reader of badges that is to read other codes too, and takes each for a badge."""
    orders = options.work_order.scanner if options.work_order is not None else None
    parts = {need.scanner for need in options.requires if isinstance(need, ComponentRequirement)}
    reader = options.operator.scanner
    if (
        reader is not None
        and options.operator.pattern is None
        and reader in {options.unit.scanner, orders, *parts}
    ):
        yield Doubt(
            what=f"{reader} reads other codes too, and each of them is taken for a badge",
            hint="give operator.pattern, which badges match and other codes do not",
            at=("operator", "scanner"),
        )


def _codes_of_sign_offs(options: "StationOptions", number: int, need: SignOffRequirement) -> Iterator[Doubt]:
    at = ("requires", number, "code")
    for what, pattern in _patterns(options).items():
        if pattern is not None and matches(pattern, need.code):
            yield Doubt(
                what=f"the code {need.code!r} of a sign-off also matches {what}: only one of them is taken",
                hint="choose a code that nothing else matches",
                at=at,
            )
    for other in options.requires[:number]:
        same = isinstance(other, SignOffRequirement) and other.code == need.code
        if same and _overlap(need.when, other.when):
            yield Doubt(
                what=f"{other.name} has the code {need.code!r} too: nobody sees which of them is signed",
                hint="give each sign-off a code of its own",
                at=at,
            )


def _patterns(options: "StationOptions") -> Mapping[str, str | None]:
    return {
        "gate.pass_code": options.gate.pass_code if options.gate is not None else None,
        "codes.remove": options.codes.remove,
        "codes.scrap": options.codes.scrap,
        "operator.pattern": options.operator.pattern,
        "work_order.pattern": options.work_order.pattern if options.work_order is not None else None,
        "unit.pattern": options.unit.pattern,
        **{
            f"the pattern of {need.name}": need.pattern
            for need in options.requires
            if isinstance(need, ComponentRequirement)
        },
    }


def _same_pattern(options: "StationOptions", number: int, need: ComponentRequirement) -> Iterator[Doubt]:
    """Find a part whose code is of the same form as the name of a unit, or as a badge."""
    if need.pattern is None:
        return
    plain = _GROUP.sub("(", need.pattern)
    for name in ("unit", "operator"):
        pattern = getattr(options, name).pattern
        if pattern is not None and plain in (_GROUP.sub("(", pattern), f"({pattern})"):
            yield Doubt(
                what=f"codes of this part are of the same form as {name}.pattern: only one of them is taken",
                hint="give the part a pattern that no unit and no badge matches",
                at=("requires", number, "pattern"),
            )


def _other_variants(options: "StationOptions", number: int, need: Requirement) -> Iterator[Doubt]:
    """Find requirements that name one which some of their units, or all, do not have."""
    known = {each.name: each for each in options.requires}
    for setting in _NEEDED:
        other = known.get(str(getattr(need, setting, "")))
        if other is not None and not _covers(other.when, need.when):
            yield Doubt(
                what=f"{other.name} is for fewer units than {need.name}: the others are held for ever",
                hint=f"give {need.name} the same `when` as {other.name}",
                at=("requires", number, setting),
            )
    for position, name in enumerate(need.after):
        if name in known and not _overlap(need.when, known[name].when):
            yield Doubt(
                what=f"no unit has both {name} and {need.name}: this says nothing",
                hint="name a requirement of the same products",
                at=("requires", number, "after", position),
            )


def _covers(outer: VariantOptions, inner: VariantOptions) -> bool:
    return all(
        not getattr(outer, name)
        or (getattr(inner, name) and set(getattr(inner, name)) <= set(getattr(outer, name)))
        for name in _DIMENSIONS
    )


def _overlap(one: VariantOptions, other: VariantOptions) -> bool:
    return all(
        not getattr(one, name)
        or not getattr(other, name)
        or set(getattr(one, name)) & set(getattr(other, name))
        for name in _DIMENSIONS
    )


def doubts_of_line(stations: Sequence["StationOptions"], lists: AbstractSet[str]) -> Iterator[Doubt]:
    """Return what is doubtful between stations, or between them and the lists that the settings name."""
    sources = _named_variants(stations)
    for position, options in enumerate(stations):
        at = ("stations", position)
        yield from _missing_lists(options, lists, at)
        for number, need in enumerate(options.requires):
            yield from _other_stations(options, need, stations, (*at, "requires", number))
            for name in _DIMENSIONS:
                if getattr(need.when, name) and name not in sources:
                    yield Doubt(
                        what=f"no station says which {name} a unit has: none is ever complete",
                        hint="give work_order, or a group in unit.pattern such as (?P<product>[AB])",
                        at=(*at, "requires", number, "when", name),
                        group="when",
                    )


def _named_variants(stations: Iterable["StationOptions"]) -> set[str]:
    """Return what of a variant some station of the line can learn."""
    found = set()
    for options in stations:
        order = options.work_order
        patterns = [options.unit.pattern or "", (order.pattern or "") if order is not None else ""]
        points = set(order.points.values()) if order is not None else set()
        for name, group in zip(_DIMENSIONS, ("product", "order", "batch"), strict=True):
            if group in points or any(f"<{group}>" in pattern for pattern in patterns):
                found.add(name)
    return found


def _missing_lists(
    options: "StationOptions", lists: AbstractSet[str], at: tuple[str | int, ...]
) -> Iterator[Doubt]:
    asked: list[tuple[bool, str, tuple[str | int, ...]]] = [
        (options.tools.calibration == "list", "calibrations", ("tools", "calibration")),
        (options.operator.needed == "qualified", "qualifications", ("operator", "needed")),
        (options.route, "routes", ("route",)),
    ]
    asked += [
        (isinstance(need, AfterRequirement) and need.station is None, "routes", ("requires", number))
        for number, need in enumerate(options.requires)
    ]
    for needed, name, where in asked:
        if needed and name not in lists:
            yield Doubt(
                what=f"there is no list of {name}, so that this never counts",
                hint=f"name its file in lists.{name}",
                at=(*at, *where),
            )


def _other_stations(
    options: "StationOptions",
    need: Requirement,
    stations: Sequence["StationOptions"],
    at: tuple[str | int, ...],
) -> Iterator[Doubt]:
    """Find what waits for a station, or for a requirement there, of which nothing will ever be known."""
    if isinstance(need, AfterRequirement) and need.station is not None:
        name, requirement, setting = need.station, "", "station"
    elif isinstance(need, WaitRequirement) and "/" in need.since:
        name, _, requirement = need.since.partition("/")
        setting = "since"
    else:
        return
    other = {each.id: each for each in stations}.get(name)
    what, hint = "", "name a station of this line"
    if other is None:
        what = f"there is no station {name!r}: {need.name} is never done"
    elif name == options.id:
        what, hint = "this is the station itself", "name another station, or the requirement alone"
    elif not other.is_tracking:
        what = f"what units have at {name} is not remembered, because it asks for results only"
        hint = f"give a requirement of {name} an id"
    elif requirement and requirement not in {each.name for each in other.requires}:
        what = f"there is no requirement {requirement!r} at {name}: {need.name} is never done"
        hint = f"name a requirement of {name}"
    if what:
        yield Doubt(what=what, hint=hint, at=(*at, setting))
