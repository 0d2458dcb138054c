"""What no single setting can know: names that must differ, references that must meet, secrets in the open."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from linewitness.base.settings import Mistake
from linewitness.config.problems import ConfigurationProblem, SourcePosition, did_you_mean
from linewitness.config.tree import Loc, Node, WrittenOut, follow

_USER_AND_PASSWORD: Final = re.compile(r"//[^/?#\s]*:[^/?#\s]*@")
_PRIVATE_KEY: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|PRIVATE\+KEY\+|AGE-SECRET-KEY-")


def cross_check(root: Node) -> list[ConfigurationProblem]:
    """Return what is wrong between the settings; the tree may be incomplete or wrong in itself."""
    checks: tuple[Callable[[Node], Iterator[ConfigurationProblem]], ...] = (
        _same_ids,
        _unknown_devices,
        _shared_devices,
        _unknown_points,
        _strangers,
        _commands_without_unit,
        _uplink_without_store,
    )
    return [problem for check in checks for problem in check(root)]


def secrets_in_the_open(node: Node, path: str = "") -> Iterator[ConfigurationProblem]:
    """Find texts that carry a password or a private key, without repeating them."""
    if isinstance(node, WrittenOut):
        yield from _secrets_of_entry(node, path)
    elif isinstance(node.value, dict):
        for key, child in node.value.items():
            yield from secrets_in_the_open(child, f"{path}.{key}" if path else key)
    elif isinstance(node.value, list):
        for index, child in enumerate(node.value):
            name = child.text("id")
            yield from secrets_in_the_open(child, f"{path}.{name}" if name else f"{path}[{index}]")
    elif isinstance(node.value, str):
        if _PRIVATE_KEY.search(node.value):
            yield ConfigurationProblem(
                node.place,
                path,
                "a private key does not belong into this file",
                "name the file that holds it",
            )
        elif _USER_AND_PASSWORD.search(node.value):
            hint = "give the user and the password's file in settings of their own"
            yield ConfigurationProblem(node.place, path, "an address must not carry a password", hint)


def _secrets_of_entry(entry: WrittenOut, path: str) -> Iterator[ConfigurationProblem]:
    texts = "\n".join([value for value in entry.settings.values() if isinstance(value, str)])
    if _PRIVATE_KEY.search(texts) or _USER_AND_PASSWORD.search(texts):
        for key in entry.settings:
            if (child := entry.child(key)) is not None:
                yield from secrets_in_the_open(child, f"{path}.{key}")


def _entries(root: Node, section: str) -> list[Node]:
    child = root.child(section)
    return child.items() if child is not None else []


def _named(entries: list[Node], path: str) -> Iterator[tuple[Node, str, str]]:
    """Yield each entry that has an id, with its name and path."""
    for entry in entries:
        if (name := entry.text("id")) is not None:
            yield entry, name, f"{path}.{name}"


def _twice(entries: Iterable[tuple[Node, str, str]]) -> Iterator[ConfigurationProblem]:
    seen: dict[str, Node] = {}
    for entry, name, path in entries:
        if name in seen:
            place, other = _place_of_id(entry), _place_of_id(seen[name])
            within = f" of {other.file or 'the YAML'}" if other.file != place.file else ""
            hint = f"it is the id of the one in line {other.line}{within} too"
            what = f"{name!r} is used twice"
            yield ConfigurationProblem(place, f"{path}.id", what, hint, Mistake.USED_TWICE, (name,))
        seen.setdefault(name, entry)


def _place_of_id(entry: Node) -> SourcePosition:
    return (entry.child("id") or entry).place


def _same_ids(root: Node) -> Iterator[ConfigurationProblem]:
    for section in ("devices", "stations"):
        yield from _twice(_named(_entries(root, section), section))
    for index, device in enumerate(_entries(root, "devices")):
        path = follow(root, ("devices", index)).path
        groups = (_named(_entries(device, group), f"{path}.{group}") for group in ("points", "results"))
        yield from _twice(entry for group in groups for entry in group)


def _device_ids(root: Node) -> set[str]:
    return {name for device in _entries(root, "devices") if (name := device.text("id"))}


def _references(root: Node) -> Iterator[tuple[Node, str, str]]:
    """Yield each device that a station lists: its node, its path and its name."""
    for index, station in enumerate(_entries(root, "stations")):
        for number, entry in enumerate(_entries(station, "devices")):
            if isinstance(entry.value, str):
                found = follow(root, ("stations", index, "devices", number))
                yield entry, found.path, entry.value


def _unknown_devices(root: Node) -> Iterator[ConfigurationProblem]:
    known = _device_ids(root)
    for node, path, name in _references(root):
        if name not in known:
            yield ConfigurationProblem(
                node.place, path, f"there is no device {name!r}", did_you_mean(name, known)
            )


def _shared_devices(root: Node) -> Iterator[ConfigurationProblem]:
    seen: dict[str, str] = {}
    for node, path, name in _references(root):
        where = path.rpartition(".devices")[0]
        if name in seen:
            hint = "a device stands at one station"
            yield ConfigurationProblem(
                node.place, path, f"the device {name!r} is used by {seen[name]} already", hint
            )
        seen.setdefault(name, where)


def _unknown_points(root: Node) -> Iterator[ConfigurationProblem]:
    for loc in _places_of_points(root):
        found = follow(root, loc)
        name = found.node.value
        if not isinstance(name, str) or "/" not in name:
            continue
        device, _, point = name.partition("/")
        known = _points(root, device)
        if known is not None and point not in known:
            what = f"the device {device!r} has no point {point!r}"
            yield ConfigurationProblem(found.node.place, found.path, what, did_you_mean(point, known))
        elif known is not None and known[point] == "telemetry":
            what = f"the point {point!r} is telemetry: a station decides by evidence only"
            hint = f"set record: change for the point {point!r} of {device!r}"
            yield ConfigurationProblem(found.node.place, found.path, what, hint)


def _points(root: Node, device: str) -> dict[str, str | None] | None:
    """Return the points of a device with what is recorded of each, None where there is no such device."""
    for entry in _entries(root, "devices"):
        if entry.text("id") == device:
            points = _entries(entry, "points")
            return {name: point.text("record") for point in points if (name := point.text("id"))}
    return None


def _strangers(root: Node) -> Iterator[ConfigurationProblem]:
    """Find devices that a station relies on and that do not stand there."""
    for index, station in enumerate(_entries(root, "stations")):
        own = {entry.value for entry in _entries(station, "devices") if isinstance(entry.value, str)}
        for loc in _places_of_devices(station):
            found = follow(root, ("stations", index, *loc))
            name = found.node.value
            device = name.partition("/")[0] if isinstance(name, str) else ""
            if not found.missing and device and device not in own:
                what = f"{device!r} is not among the station's devices"
                hint, mistake = did_you_mean(device, own), Mistake.NOT_AT_STATION
                yield ConfigurationProblem(found.node.place, found.path, what, hint, mistake, (device,))


def _commands_without_unit(root: Node) -> Iterator[ConfigurationProblem]:
    """Find devices that are to be told of units that nobody names in time."""
    stations = {
        entry.value: station
        for station in _entries(root, "stations")
        for entry in _entries(station, "devices")
        if isinstance(entry.value, str)
    }
    for index, device in enumerate(_entries(root, "devices")):
        if not _entries(device, "commands"):
            continue
        station = stations.get(device.text("id") or "")
        unit = station.child("unit") if station is not None else None
        if unit is not None and (unit.text("scanner") or unit.text("point")):
            continue
        found = follow(root, ("devices", index, "commands"))
        if station is None:
            what, hint = (
                "the device stands at no station, so no unit arrives",
                "name it in a station's devices",
            )
        else:
            what = (
                f"the station {station.text('id')} learns of a unit from results: too late to tell the tool"
            )
            hint = "set unit.scanner or unit.point of the station, or remove commands"
        yield ConfigurationProblem(found.place, found.path, what, hint)


#: Settings of a station that name a device, or a point of one.
_GROUPS: Final[tuple[Loc, ...]] = (
    *(("unit", name) for name in ("scanner", "point")),
    *(("operator", name) for name in ("scanner", "point")),
    *(("work_order", name) for name in ("scanner", "product", "number", "batch")),
)


def _places_of_devices(station: Node) -> Iterator[Loc]:
    yield from _GROUPS
    for number in range(len(_entries(station, "requires"))):
        for name in ("device", "scanner", "point"):
            yield ("requires", number, name)


def _places_of_points(root: Node) -> Iterator[Loc]:
    """Yield each setting of a station that names a point."""
    for index, station in enumerate(_entries(root, "stations")):
        for place in _places_of_devices(station):
            loc: Loc = ("stations", index, *place)
            if place[-1] not in ("scanner", "device") and not follow(root, loc).missing:
                yield loc


def _uplink_without_store(root: Node) -> Iterator[ConfigurationProblem]:
    uplink = root.child("uplink")
    if uplink is not None and uplink.value is not None and root.child("store") is None:
        hint = "add 'store:' with the 'vkey:' that `linewitness store` prints"
        yield ConfigurationProblem(
            root.keys["uplink"], "store", "is missing: receipts cannot be checked without it", hint
        )
