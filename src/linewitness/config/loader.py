"""From a YAML file to a frozen `Config`, or to everything that is wrong with the file."""

import gc
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from linewitness.base.settings import resolve
from linewitness.config.crosschecks import cross_check, secrets_in_the_open
from linewitness.config.doubts import doubts_of
from linewitness.config.expansion import with_all_points
from linewitness.config.models import Config
from linewitness.config.problems import ConfigurationErrors, ConfigurationProblem, SourcePosition, nearest
from linewitness.config.reading import MAX_PROBLEMS, read_file
from linewitness.config.settings import holds
from linewitness.config.tree import Node, follow, plain
from linewitness.config.wording import problems_of
from linewitness.devices.options import WITHOUT_POINTS, DeviceOptions
from linewitness.devices.spec import DriverUnusable
from linewitness.devices.table import find, names

M = TypeVar("M", bound=BaseModel)

#: What a group of settings holds if it may have paths: those of drivers are known only by their values.
_WITH_PATHS: Final = (Path, DeviceOptions)


def load(path: Path, *, without_points: bool = False) -> Config:
    """Return the configuration of a YAML file, its paths absolute; ConfigurationErrors lists all mistakes.

    `without_points` is for a look at a device: it may have no points yet, and what refers to points that are
    missing is not checked.
    """
    config, _ = _load(path, Config, lambda root: _line(root, path, without_points=without_points))
    return config


def load_as(path: Path, model: type[M]) -> M:
    """Return another file's settings, read, checked and answered in the same way as a line's."""
    settings, _ = _load(path, model, lambda root: _Parts(root, {}, [], []))
    return settings


def examine(path: Path) -> tuple[Config, list[ConfigurationProblem]]:
    """Return what `load` returns, and what in the file is allowed and likely a mistake."""
    config, root = _load(path, Config, lambda root: _line(root, path))
    return config, doubts_of(config, root)


def examine_as(path: Path, model: type[M]) -> tuple[M, list[ConfigurationProblem]]:
    """Return what `load_as` returns, and what in the file is allowed and likely a mistake."""
    settings, root = _load(path, model, lambda root: _Parts(root, {}, [], []))
    return settings, doubts_of(settings, root)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What is checked apart from the model: data that replace the file's, and problems found so far.

    `root` is the file's tree with all points written out.
    """

    root: Node
    data: dict[str, Any]
    found: list[ConfigurationProblem]
    crossed: list[ConfigurationProblem]


def _load(path: Path, model: type[M], parts_of: Callable[[Node], _Parts]) -> tuple[M, Node]:
    # Next to nothing of what is made here is garbage: with 50,000 points, looking for it takes longest.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _read_and_checked(path, model, parts_of)
    finally:
        if collecting:
            gc.enable()


def _read_and_checked(path: Path, model: type[M], parts_of: Callable[[Node], _Parts]) -> tuple[M, Node]:
    root = read_file(path)
    if not isinstance(root.value, dict):
        first = next(iter(model.model_fields))
        what, hint = "this is not a group of settings", f"begin with '{first}:'"
        raise ConfigurationErrors(path, [ConfigurationProblem(root.place, "", what, hint)])
    parts = parts_of(root)
    root = parts.root
    data = {key: plain(child) for key, child in _sections(root) if key not in parts.data} | parts.data
    found, settings = parts.found, None
    try:
        settings = model.model_validate(data)
    except ValidationError as error:
        found = [*found, *problems_of(error, root, model)]
    opened = list(secrets_in_the_open(root))
    problems = [*opened, *parts.crossed, *_without_repeats(found, opened, parts.crossed)]
    if settings is None or problems:
        raise ConfigurationErrors(path, _bearable(problems))
    absolute: M = _resolved(settings, path.absolute().parent)
    return absolute, root


def _sections(root: Node) -> Iterable[tuple[str, Node]]:
    return root.value.items() if isinstance(root.value, dict) else ()


def _line(written: Node, path: Path, *, without_points: bool = False) -> _Parts:
    expansion = with_all_points(written, path.absolute().parent)
    root, found = expansion.root, list[ConfigurationProblem]()
    devices = root.child("devices")
    data: dict[str, Any] = {}
    if devices is not None and devices.items():
        data["devices"] = _devices(root, devices, found, {WITHOUT_POINTS: without_points})
    if expansion.problems:  # what refers to a point that is missing therefore would only mislead
        return _Parts(root, data, found, expansion.problems)
    return _Parts(root, data, found, [] if without_points else cross_check(root))


def _devices(
    root: Node, devices: Node, problems: list[ConfigurationProblem], context: Mapping[str, bool]
) -> list[Any]:
    """Check each device by its driver's options; a wrong one is stood in for, so that the rest is checked."""
    checked: list[Any] = []
    for index, node in enumerate(devices.items()):
        device = _device(root, node, index, problems, context)
        checked.append(device or DeviceOptions.model_construct(id=f"wrong-{index}", driver="wrong"))
    return checked


def _device(
    root: Node, node: Node, index: int, problems: list[ConfigurationProblem], context: Mapping[str, bool]
) -> DeviceOptions | None:
    found = follow(root, ("devices", index))
    driver = node.child("driver")
    if not isinstance(node.value, dict):
        problems.append(
            ConfigurationProblem(
                node.place, found.path, "this is not a device", "it needs 'id:' and 'driver:'"
            )
        )
        return None
    if driver is None:
        problems.append(
            ConfigurationProblem(node.place, f"{found.path}.driver", "is missing", f"one of {_listed()}")
        )
        return None
    options = _options_class(driver, f"{found.path}.driver", problems)
    if options is None:
        return None
    try:
        return options.model_validate(_settings(node, context), context=dict(context))
    except ValidationError as error:
        problems += problems_of(error, root, options, ("devices", index))
    return None


def _settings(node: Node, context: Mapping[str, bool]) -> Any:
    """Return the settings of a device; an empty list of points is none where points may be missing."""
    settings = plain(node)
    if isinstance(settings, dict) and context[WITHOUT_POINTS] and not settings.get("points", True):
        del settings["points"]
    return settings


def _options_class(
    driver: Node, path: str, problems: list[ConfigurationProblem]
) -> type[DeviceOptions] | None:
    name = str(driver.value)
    try:
        spec = find(name)
        if spec is not None:
            return spec.options_class()
    except DriverUnusable as error:
        problems.append(ConfigurationProblem(driver.place, path, error.what, error.hint))
        return None
    near, listed = nearest(name, names()), f"drivers: {_listed()}"
    hint = f"did you mean {near!r}? {listed}" if near else listed
    problems.append(ConfigurationProblem(driver.place, path, f"there is no driver {name!r}", hint))
    return None


def _listed() -> str:
    return ", ".join(names())


def _without_repeats(
    found: list[ConfigurationProblem],
    secrets: list[ConfigurationProblem],
    crossed: list[ConfigurationProblem],
) -> list[ConfigurationProblem]:
    """Leave out what would repeat a secret, and what a cross-check has said with a better place."""
    hidden = {problem.place for problem in secrets}
    return [
        problem
        for problem in found
        if problem.place not in hidden
        and not any(other.path.startswith(problem.path + ".") and _same(other, problem) for other in crossed)
    ]


def _bearable(problems: list[ConfigurationProblem]) -> list[ConfigurationProblem]:
    """Leave out what all points of a range have in common but once, and what would scroll the rest away."""
    once = {_key(problem): problem for problem in reversed(problems)}
    kept = sorted(once.values(), key=lambda problem: (problem.place.file, problem))
    if len(kept) > MAX_PROBLEMS:
        last = kept[MAX_PROBLEMS - 1].place
        what = f"and {len(kept) - MAX_PROBLEMS:,} more mistakes"
        more = ConfigurationProblem(last, "~", what, "correct these first")
        return [*kept[:MAX_PROBLEMS], more]
    return kept


def _key(problem: ConfigurationProblem) -> tuple[SourcePosition, str, str]:
    path = problem.path
    if ".points." in path:  # points of one range differ in their names
        path = path.rpartition(".")[2] if problem.what == "is missing" else ""
    return problem.place, problem.what, path


def _same(crossed: ConfigurationProblem, found: ConfigurationProblem) -> bool:
    same = crossed.mistake is not None and crossed.mistake is found.mistake
    return same and not set(crossed.subjects).isdisjoint(found.subjects)


def _resolved(value: Any, base: Path) -> Any:
    """Return the same settings with each relative path seen from the YAML's folder."""
    if isinstance(value, Path):
        return resolve(value, base)
    if isinstance(value, BaseModel):
        if not holds(type(value), _WITH_PATHS):
            return value
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        changed = {name: new for name, old in fields.items() if (new := _resolved(old, base)) is not old}
        return value.model_copy(update=changed) if changed else value
    if isinstance(value, tuple):
        items = tuple(_resolved(item, base) for item in value)
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if isinstance(value, dict):
        return {key: _resolved(item, base) for key, item in value.items()}
    return value
