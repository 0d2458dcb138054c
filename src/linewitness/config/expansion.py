"""Write out the points of a line: rows of the tables that its devices name, and ranges of addresses."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from linewitness.base.settings import SettingsError, is_in_home, resolve
from linewitness.config.points_file import MAX_TABLE_BYTES, PointsTable
from linewitness.config.problems import ConfigurationProblem, SourcePosition
from linewitness.config.reading import read_file
from linewitness.config.settings import models_in
from linewitness.config.tree import Node, Plain, WrittenOut, follow, plain
from linewitness.config.wording import problems_of
from linewitness.devices.options import PointOptions, PointRange
from linewitness.devices.spec import DriverUnusable
from linewitness.devices.table import find

#: Points of one line; what one gateway serves is far below.
MAX_POINTS: Final = 100_000
#: The setting of a device that names a table of points.
POINTS_FROM: Final = "points_from"


@dataclass(slots=True)
class Expansion:
    """A tree with all points written out, how many they are, and what prevented it."""

    root: Node
    points: int = 0
    table_bytes: int = 0
    problems: list[ConfigurationProblem] = field(default_factory=list)


def with_all_points(root: Node, folder: Path) -> Expansion:
    """Return the tree with an entry for each point; tables are looked for in the YAML's `folder`.

    Points are counted before they are made: a line that has too many costs no memory.
    """
    expansion = Expansion(root)
    devices = root.child("devices")
    if devices is None or not isinstance(root.value, dict):
        return expansion
    written = [
        _device(expansion, index, device, folder) if isinstance(device.value, dict) else device
        for index, device in enumerate(devices.items())
    ]
    if expansion.points > MAX_POINTS:
        what = f"this line has {expansion.points:,} points, and {MAX_POINTS:,} are allowed"
        hint = "one file describes one line: give a part of the devices to another gateway"
        expansion.problems.append(ConfigurationProblem(root.keys["devices"], "devices", what, hint))
    elif written:
        expansion.root = replace(root, value={**root.value, "devices": replace(devices, value=written)})
    return expansion


def table_texts(file: Path) -> dict[Path, str]:
    """Return the tables of points of a YAML that is right, by the paths that it writes."""
    devices = read_file(file).child("devices")
    names = (device.text(POINTS_FROM) for device in (devices.items() if devices is not None else ()))
    paths = [Path(name) for name in names if name]
    return {path: resolve(path, file.absolute().parent).read_text(encoding="utf-8") for path in paths}


def _device(expansion: Expansion, index: int, device: Node, folder: Path) -> Node:
    model = _point_model(device)
    if model is None or not isinstance(device.value, dict):
        return device
    points = device.child("points")
    if points is not None and not isinstance(points.value, list):
        return device
    entries: list[Node] = []
    for number, entry in enumerate(points.items() if points is not None else ()):
        entries += _written_out(expansion, model, entry, ("devices", index, "points", number))
    if (table := device.text(POINTS_FROM)) is not None and not is_in_home(Path(table)):
        for row in _rows(expansion, model, resolve(Path(table), folder), ("devices", index, POINTS_FROM)):
            entries += _written_out(expansion, model, row, ("devices", index))
    if points is None and not entries:
        return device
    place = points.place if points is not None else device.place
    return replace(device, value={**device.value, "points": Node(place, entries)})


def _point_model(device: Node) -> type[PointOptions] | None:
    """Return the class of a device's points; None for drivers without, and for one that is not known."""
    try:
        spec = find(device.text("driver") or "")
        options = spec.options_class() if spec is not None else None
    except DriverUnusable:
        return None
    if options is None or "points" not in options.model_fields:
        return None
    models = models_in(options.model_fields["points"].annotation)
    return next((model for model in models if issubclass(model, PointOptions)), None)


def _rows(
    expansion: Expansion, model: type[PointOptions], file: Path, loc: tuple[str | int, ...]
) -> Iterable[WrittenOut]:
    table = PointsTable(file, model.model_fields)
    try:
        table.read(MAX_TABLE_BYTES - expansion.table_bytes)
    except OSError as error:
        found = follow(expansion.root, loc)
        what = f"{file} cannot be read: {error.strerror}"
        hint = "the path is seen from the YAML's folder"
        expansion.problems.append(ConfigurationProblem(found.node.place, found.path, what, hint))
        return ()
    expansion.table_bytes += table.size
    expansion.problems += table.problems
    if not table.header_is_right:
        for row in table.entries:
            expansion.problems += _wrong_cells(expansion, model, row, loc)
        return ()
    return table.entries


def _wrong_cells(
    expansion: Expansion, model: type[PointOptions], row: WrittenOut, loc: tuple[str | int, ...]
) -> Iterator[ConfigurationProblem]:
    """Yield what is wrong with the single cells of a row, where a wrong header leaves the others open."""
    path = f"{follow(expansion.root, loc[:-1]).path}.points.{row.text('id') or '?'}"
    for entry in _written_out(expansion, model, row, loc[:-1]):
        try:
            model.model_validate(plain(entry))
        except ValidationError as error:
            for problem in problems_of(error, entry, model, within=True):
                yield replace(problem, path=f"{path}.{problem.path}")


def _written_out(
    expansion: Expansion, model: type[PointOptions], entry: Node, loc: tuple[str | int, ...]
) -> Iterable[Node]:
    """Return one entry for each point that an entry stands for; itself, where it is no range."""
    settings = entry.settings if isinstance(entry, WrittenOut) else plain(entry)
    try:
        several = model.range_of(settings) if isinstance(settings, Mapping) else None
    except SettingsError as error:
        found = follow(expansion.root, loc)
        path = f"{found.path}.points.{entry.text('id')}" if isinstance(entry, WrittenOut) else found.path
        at = _setting(entry, error.at)
        whole = ".".join((path, *error.at))
        expansion.problems.append(ConfigurationProblem(at, whole, error.what, ""))
        return ()
    expansion.points += several.count if several is not None else 1
    if several is None or not isinstance(settings, Mapping):
        return (entry,)
    return _points(several, entry, settings) if expansion.points <= MAX_POINTS else ()


def _points(several: PointRange, entry: Node, settings: Mapping[str, Plain]) -> Iterator[WrittenOut]:
    common = {name: value for name, value in settings.items() if name not in several.used}

    def at(name: str) -> SourcePosition:
        return _setting(entry, (name,))

    for number in range(1, several.count + 1):
        own = common | several.settings(number)
        yield WrittenOut(entry.place, {}, settings=own, at=at, source=entry)


def _setting(entry: Node, at: tuple[str, ...]) -> SourcePosition:
    """Return where a setting of an entry stands; the entry's own place if it is not written."""
    node = entry
    for name in at:
        node = node.child(name) or node
    return node.place
