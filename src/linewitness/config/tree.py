"""The YAML as a tree in which every key and value knows its line and column."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from linewitness.base.mappings import EMPTY
from linewitness.config.problems import SourcePosition

Plain = str | int | bool | Decimal | None | list["Plain"] | dict[str, "Plain"]
Loc = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A value with its place; `size` and `height` count what an alias to it would repeat."""

    place: SourcePosition
    value: "str | int | bool | Decimal | list[Node] | dict[str, Node] | None"
    keys: Mapping[str, SourcePosition] = field(default_factory=lambda: EMPTY)
    size: int = 1
    height: int = 1

    def child(self, step: str | int) -> "Node | None":
        """Return the value under a key or at an index, or None where there is none."""
        if isinstance(self.value, dict):
            return self.value.get(str(step))
        if isinstance(self.value, list) and isinstance(step, int):
            return self.value[step] if 0 <= step < len(self.value) else None
        return None

    def items(self) -> "list[Node]":
        """Return the entries of a list; nothing for any other value."""
        return self.value if isinstance(self.value, list) else []

    def text(self, key: str) -> str | None:
        """Return the text under a key, or None if it is absent or of another type."""
        child = self.child(key)
        return child.value if child is not None and isinstance(child.value, str) else None


@dataclass(frozen=True, slots=True)
class WrittenOut(Node):
    """A group of settings that the YAML does not write out: a row of a table, or one point of a range.

    There may be 100,000 of them, so that its values become nodes only where somebody asks for one. `value` is
    empty; `at` tells where a setting stands, and `source` has those that are the YAML's own.
    """

    settings: Mapping[str, Plain] = field(default_factory=lambda: EMPTY)
    at: Callable[[str], SourcePosition] = field(default=lambda _: SourcePosition())
    source: Node | None = None

    def child(self, step: str | int) -> Node | None:
        """Return the value of a setting with the place where it is written."""
        name = str(step)
        if name not in self.settings:
            return None
        own = self.source.child(name) if self.source is not None else None
        value = self.settings[name]
        return own if own is not None and plain(own) == value else _node(value, self.at(name))

    def text(self, key: str) -> str | None:
        """Return the text of a setting, or None if it is absent or of another type."""
        value = self.settings.get(key)
        return value if isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class Located:
    """How far a location leads into the tree: the last node, its dotted path, and what was not found."""

    node: Node
    path: str
    place: SourcePosition
    missing: Loc


def follow(root: Node, loc: Loc) -> Located:
    """Walk along `loc`; steps that the tree does not have (union members, missing keys) are passed over.

    Entries of a list are named by their `id` where they have one. `place` is where the key stands.
    """
    node, place, path, missing = root, root.place, "", list[str | int]()
    for step in loc:
        child = node.child(step)
        if child is None:
            missing.append(step)
            continue
        path = _join(path, step, child)
        place = node.keys.get(str(step), child.place)
        node, missing = child, []
    return Located(node, path, place, tuple(missing))


def plain(node: Node) -> Plain:
    """Return the tree's data without their places, as pydantic reads them."""
    if isinstance(node, WrittenOut):
        return dict(node.settings)
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def _node(value: Plain, place: SourcePosition) -> Node:
    """Return a tree of data that all stand at one place."""
    if isinstance(value, dict):
        return Node(place, {key: _node(inner, place) for key, inner in value.items()})
    if isinstance(value, list):
        return Node(place, [_node(inner, place) for inner in value])
    return Node(place, value)


def _join(path: str, step: str | int, child: Node) -> str:
    if isinstance(step, int):
        name = child.text("id")
        if name is None:
            return f"{path}[{step}]"
        step = name
    return f"{path}.{step}" if path else str(step)
