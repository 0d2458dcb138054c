"""Read YAML 1.2 of people, and of people who mean harm: bounded, without tags, with places."""

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Final, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)
from ruamel.yaml.reader import ReaderError

from linewitness.config.problems import ConfigurationErrors, ConfigurationProblem, SourcePosition
from linewitness.config.tree import Node

MAX_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 32
#: Values after every alias was followed; a YAML "bomb" is refused here, long before memory is used.
MAX_VALUES: Final = 200_000
#: A file that is wrong so often is no configuration; the rest would only scroll the first ones away.
MAX_PROBLEMS: Final = 100

_VALUES: Final = (ScalarEvent, CollectionStartEvent)
_MAX_PATH: Final = 60
_NUMBER_DIGITS: Final = 100
_MAX_EXPONENT: Final = 300
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = frozenset({"true", "True", "TRUE"})
_FALSE: Final = frozenset({"false", "False", "FALSE"})
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_BASED: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

_SYNTAX_HINTS: Final = (
    ("could not find expected ':'", "write 'key: value', and indent with spaces as the lines around it"),
    ("mapping values are not allowed", "put a text that contains ': ' in quotes, or look at the indentation"),
    ("cannot start any token", "indent with spaces, not tabs; put a text that begins so in quotes"),
    ("expected <block end>", "look at the indentation of this line and of the one above it"),
    ("while scanning a quoted scalar", "a quote is not closed"),
    ("found unexpected end of stream", "a quote or a bracket is not closed"),
    ("expected ',' or", "a bracket is not closed"),
    ("unknown escape character", "use single quotes where a text contains backslashes"),
)

_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
_NUMBER_OF_A_POINT: Final = re.compile(r"\{(n|address)(:0[1-9])?\}")


class _Stop(Exception):
    """Reading cannot go on; the problem has been noted."""


def read_file(path: Path) -> Node:
    """Return the tree of a YAML file; ConfigurationErrors says what stands in the way and where."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise ConfigurationErrors(
            path, [ConfigurationProblem(SourcePosition(), "", what, "check the path")]
        ) from None
    return read_bytes(data, path)


def read_bytes(data: bytes, path: Path) -> Node:
    """Return the tree of YAML in UTF-8; `path` is only named in the errors."""
    if len(data) > MAX_BYTES:
        what = f"the file is larger than {MAX_BYTES // 1024} KiB"
        hint = "one file describes one line; thousands of points belong into a table: points_from"
        raise ConfigurationErrors(path, [ConfigurationProblem(SourcePosition(), "", what, hint)])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        good = data[: error.start].decode("utf-8", errors="replace")
        problem = ConfigurationProblem(place_after(good), "", "this is not UTF-8", "save the file as UTF-8")
        raise ConfigurationErrors(path, [problem]) from None
    reader = _YamlReader(text)
    root = reader.read()
    if root is None or reader.problems:
        raise ConfigurationErrors(path, reader.problems)
    return root


class _YamlReader:
    """Build the tree from the parser's events, so that every bound is checked before memory is used."""

    def __init__(self, text: str) -> None:
        self.problems: list[ConfigurationProblem] = []
        self._text = text
        self._events: Iterator[Event] = iter(())
        self._anchors: dict[str, Node] = {}
        self._values = 0

    def read(self) -> Node | None:
        """Return the only document's tree, or None; what is wrong is in `problems`."""
        try:
            self._events = YAML(typ="safe", pure=True).parse(self._text)
            return self._document()
        except _Stop:
            pass
        except ReaderError as error:
            place = place_after(self._text[: error.position])
            self._note(place, "", "a character that YAML does not allow", "delete it, or save as UTF-8")
        except MarkedYAMLError as error:
            self._syntax(error)
        except (YAMLError, ValueError, OverflowError, AssertionError) as error:
            # ruamel.yaml lets these through for impossible escapes, directives and versions: without a place.
            self._note(SourcePosition(), "", f"this is not YAML: {str(error).splitlines()[0]}", "")
        return None

    def _document(self) -> Node | None:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                if root is not None:
                    self._stop(event, "", "a second document begins here", "one file describes one line")
                root = self._node(next(self._events), "", 1)
            elif isinstance(event, StreamEndEvent):
                break
        if root is None:
            self._note(SourcePosition(), "", "the file is empty", "begin with 'version: 1'")
        return root

    def _node(self, event: Event, path: str, depth: int) -> Node:
        if isinstance(event, AliasEvent):
            return self._alias(event, path, depth)
        if not isinstance(event, _VALUES):
            self._stop(event, path, "a value is missing here", "")
        if event.ctag is not None:
            self._note(_place(event), path, "tags ('!…') are not allowed", "delete the tag")
        self._count(event, path, 1)
        if depth > MAX_DEPTH:
            self._stop(event, path, f"this is nested deeper than {MAX_DEPTH} levels", "")
        node = self._fresh(event, path, depth)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _fresh(self, event: ScalarEvent | CollectionStartEvent, path: str, depth: int) -> Node:
        if isinstance(event, ScalarEvent):
            return self._scalar(event, path)
        if isinstance(event, MappingStartEvent):
            return self._mapping(event, path, depth)
        return self._sequence(event, path, depth)

    def _alias(self, event: AliasEvent, path: str, depth: int) -> Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            self._stop(event, path, f"there is no anchor &{event.anchor} above this line", "")
        self._count(event, path, node.size)
        if depth + node.height - 1 > MAX_DEPTH:
            self._stop(event, path, f"this is nested deeper than {MAX_DEPTH} levels", "")
        return node

    def _mapping(self, start: Event, path: str, depth: int) -> Node:
        values: dict[str, Node] = {}
        places: dict[str, SourcePosition] = {}
        merged: list[tuple[Event, Node]] = []
        while not isinstance(event := next(self._events), MappingEndEvent):
            if not isinstance(event, ScalarEvent):
                self._stop(event, path, "a key must be a plain word", "put the value in quotes")
            key = event.value
            inner = f"{path}.{key}" if path else key
            node = self._node(next(self._events), inner, depth + 1)
            if key == "<<" and event.style is None:
                merged.append((event, node))
            elif key in values:
                hint = f"it stands already in line {places[key].line}; delete one of them"
                self._note(_place(event), inner, "is given twice", hint)
            else:
                values[key], places[key] = node, _place(event)
        for event, node in merged:
            self._merge(event, node, path, values, places)
        return self._group(start, values, places)

    def _merge(
        self, event: Event, node: Node, path: str, values: dict[str, Node], places: dict[str, SourcePosition]
    ) -> None:
        """Take the settings of `<<: *anchor` that are not given here."""
        for source in node.items() or (node,):
            if not isinstance(source.value, dict):
                self._note(_place(event), path, "'<<' needs an alias of a group of settings", "")
                continue
            for key, child in source.value.items():
                if key not in values:
                    values[key], places[key] = child, source.keys[key]

    def _sequence(self, start: Event, path: str, depth: int) -> Node:
        items: list[Node] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            items.append(self._node(event, f"{path}[{len(items)}]", depth + 1))
        size = 1 + sum(item.size for item in items)
        height = 1 + max((item.height for item in items), default=0)
        return Node(_place(start), items, size=size, height=height)

    def _group(self, start: Event, values: dict[str, Node], places: dict[str, SourcePosition]) -> Node:
        size = 1 + sum(child.size for child in values.values())
        height = 1 + max((child.height for child in values.values()), default=0)
        return Node(_place(start), values, places, size, height)

    def _scalar(self, event: ScalarEvent, path: str) -> Node:
        place, text = _place(event), event.value
        if event.style is not None:
            return Node(place, text)
        if _NOT_FINITE.fullmatch(text):
            self._note(place, path, f"{text} is not a finite number", "")
            return Node(place, None)
        value = _resolve(text)
        if isinstance(value, Decimal) and abs(value.adjusted()) > _MAX_EXPONENT:
            self._note(place, path, f"a number beyond 10^{_MAX_EXPONENT} is not a setting", "")
            return Node(place, None)
        return Node(place, value)

    def _count(self, event: Event, path: str, size: int) -> None:
        self._values += size
        if self._values > MAX_VALUES:
            self._stop(
                event,
                path,
                f"there are more than {MAX_VALUES} values once the aliases are followed",
                "repeat less with anchors and aliases; thousands of points belong into a table: points_from",
            )

    def _syntax(self, error: MarkedYAMLError) -> None:
        mark = error.problem_mark or error.context_mark
        place = SourcePosition(mark.line + 1, mark.column + 1) if mark else SourcePosition()
        said = f"{error.context or ''} {error.problem or ''}"
        hint = next((hint for sign, hint in _SYNTAX_HINTS if sign in said), "")
        if (found := self._open_braces(place.line)) is not None:
            hint = f"a brace begins a group: put a text with {found} in quotes, such as 'zone-{found}'"
        since = ""
        if error.context and error.context_mark and error.context_mark.line + 1 != place.line:
            since = f", {error.context} that began in line {error.context_mark.line + 1}"
        self._note(place, "", f"this is not YAML: {error.problem or error.context}{since}", hint)

    def _open_braces(self, line: int) -> str | None:
        """Return the {n} that a line has outside of quotes, which stands for the number of a point."""
        lines = self._text.split("\n")
        text = _QUOTED.sub("", lines[line - 1]) if line <= len(lines) else ""
        found = _NUMBER_OF_A_POINT.search(text)
        return found[0] if found else None

    def _note(self, place: SourcePosition, path: str, what: str, hint: str) -> None:
        short = path if len(path) <= _MAX_PATH else f"{path[:_MAX_PATH]}…"
        self.problems.append(ConfigurationProblem(place, short, what, hint))
        if len(self.problems) >= MAX_PROBLEMS:
            raise _Stop

    def _stop(self, event: Event, path: str, what: str, hint: str) -> NoReturn:
        self._note(_place(event), path, what, hint)
        raise _Stop


def _resolve(text: str) -> str | int | bool | Decimal | None:
    """Return what a plain word means in YAML 1.2's core schema; numbers keep their digits."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if len(text) > _NUMBER_DIGITS:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    return Decimal(text) if _FLOAT.fullmatch(text) else text


def _place(event: Event) -> SourcePosition:
    return SourcePosition(event.start_mark.line + 1, event.start_mark.column + 1)


def place_after(text: str) -> SourcePosition:
    """Return the place behind a text that begins a file."""
    line = text.count("\n")
    return SourcePosition(line + 1, len(text) - (text.rfind("\n") + 1) + 1)
