"""What a configuration may mean and most likely does not: the warnings of `check`, with their places."""

from collections.abc import Iterator

from pydantic import BaseModel

from linewitness.base.settings import Doubt, Options
from linewitness.config.problems import ConfigurationProblem
from linewitness.config.reading import MAX_PROBLEMS
from linewitness.config.tree import Loc, Node, WrittenOut, follow


def doubts_of(settings: BaseModel, root: Node) -> list[ConfigurationProblem]:
    """Return the doubts of settings in the order of their file; `root` is its tree with all points."""
    found = sorted(problem for loc, model in _models(settings, ()) for problem in _told(model, loc, root))
    if len(found) <= MAX_PROBLEMS:
        return found
    what = f"and {len(found) - MAX_PROBLEMS:,} more warnings"
    more = ConfigurationProblem(found[MAX_PROBLEMS - 1].place, "~", what, "look at these first")
    return [*found[:MAX_PROBLEMS], more]


def _models(value: object, loc: Loc) -> Iterator[tuple[Loc, Options]]:
    """Yield all groups of settings with their places."""
    if isinstance(value, Options):
        yield loc, value
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _models(getattr(value, name), (*loc, name))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _models(item, (*loc, index))


def _told(model: Options, loc: Loc, root: Node) -> Iterator[ConfigurationProblem]:
    groups: dict[str, list[Doubt]] = {}
    for number, doubt in enumerate(model.doubts()):
        if _is_written(root, (*loc, *doubt.at)):
            groups.setdefault(doubt.group or f"#{number}", []).append(doubt)
    for first, *others in groups.values():
        found = follow(root, (*loc, *first.at))
        more = f"; {len(others)} more like it" if others else ""
        yield ConfigurationProblem(found.node.place, found.path, first.what + more, first.hint)


def _is_written(root: Node, loc: Loc) -> bool:
    """Return whether the file itself has a setting: not where a range stands for it in other words."""
    node = root
    for step in loc:
        if isinstance(node, WrittenOut) and node.source is not None:
            return node.source.child(step) is not None
        node = node.child(step) or node
    return True
