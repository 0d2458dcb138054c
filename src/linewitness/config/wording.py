"""Put pydantic's findings into the product's words, with the place of each in the YAML."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from linewitness.base.secrets import Secret
from linewitness.base.settings import SettingsError
from linewitness.config.other_words import setting_meant, value_meant
from linewitness.config.problems import SECRET_NAME, ConfigurationProblem, did_you_mean, nearest, shown
from linewitness.config.settings import Setting, choices, setting_at
from linewitness.config.tree import Loc, Located, Node, follow

_IN_THE_OPEN: Final = "a secret does not belong into this file"
_IN_THE_OPEN_HINT: Final = (
    "put it into a file of mode 0600 and write {name}: {{file: that-file}}, "
    "or {name}: {{credential: name}} for a systemd credential"
)

_IDENTIFIER_HINT: Final = "lower-case letters, digits, '.', '_' and '-', at most 63 characters"
_ALL_SETTINGS: Final = "`linewitness schema --tables` lists the settings"
_MAX_HINT: Final = 110

#: The message for a value of the wrong kind; {value} is the value, other names come from pydantic's context.
_SENTENCES: Final[Mapping[str, str]] = {
    "less_than_equal": "{value} is above {le}",
    "less_than": "{value} is not below {lt}",
    "greater_than_equal": "{value} is below {ge}",
    "greater_than": "{value} is not above {gt}",
    "multiple_of": "{value} is not a multiple of {multiple_of}",
    "string_too_short": "{value} has fewer than {min_length} characters",
    "string_too_long": "{value} has more than {max_length} characters",
    "string_type": "{value} is not text",
    "string_pattern_mismatch": "{value} is not written as it must be",
    "int_type": "{value} is not a whole number",
    "int_parsing": "{value} is not a whole number",
    "int_from_float": "{value} is not a whole number",
    "int_parsing_size": "{value} is too large",
    "float_type": "{value} is not a number",
    "float_parsing": "{value} is not a number",
    "finite_number": "{value} is not a finite number",
    "decimal_type": "{value} is not a number",
    "decimal_parsing": "{value} is not a number",
    "bool_type": "{value} is neither true nor false",
    "bool_parsing": "{value} is neither true nor false",
    "byte_size": "{value} is not a size",
    "byte_size_unit": "{value} is not a size",
    "path_type": "{value} is not a path",
    "literal_error": "{value} is not one of {expected}",
    "enum": "{value} is not one of {expected}",
    "model_type": "{value} stands where a group of settings belongs",
    "dict_type": "{value} stands where a group of settings belongs",
    "tuple_type": "{value} stands where a list belongs",
    "list_type": "{value} stands where a list belongs",
    "too_short": "at least {min_length} must be listed here",
    "too_long": "this list has more than {max_length} entries",
    "union_tag_invalid": "{tag} is not one of {expected_tags}",
}

_HINTS: Final[Mapping[str, str]] = {
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
    "byte_size": "write a number of bytes, or 512 MiB, 8 GiB",
    "byte_size_unit": "write a number of bytes, or 512 MiB, 8 GiB",
    "model_type": "write 'key: value' lines below it, indented",
    "dict_type": "write 'key: value' lines below it, indented",
    "tuple_type": "begin each entry with '- '",
    "list_type": "begin each entry with '- '",
}


def problems_of(
    error: ValidationError, root: Node, model: type[BaseModel], prefix: Loc = (), *, within: bool = False
) -> list[ConfigurationProblem]:
    """Return one problem for each finding; several members of a union that refuse one value make one.

    `within` leaves out what the settings lack or contradict: what remains is wrong whatever the others say.
    """
    problems: list[ConfigurationProblem] = []
    for details in error.errors(include_url=False):
        if within and (details["type"] == "missing" or not details["loc"]):
            continue
        found = follow(root, prefix + details["loc"])
        problems.append(_problem(details, found, setting_at(model, details["loc"])))
    return _merged(problems)


def _problem(details: ErrorDetails, found: Located, setting: Setting) -> ConfigurationProblem:
    return _KINDS.get(details["type"], _wrong_value)(details, found, setting)


def _missing(details: ErrorDetails, found: Located, setting: Setting) -> ConfigurationProblem:
    name = str(details["loc"][-1])
    return ConfigurationProblem(
        found.node.place, _under(found.path, name), "is missing", _description(setting)
    )


def _unknown(details: ErrorDetails, found: Located, setting: Setting) -> ConfigurationProblem:
    name = str(details["loc"][-1])
    known = [key for key in setting.known if key != "driver"]
    return ConfigurationProblem(
        found.place,
        found.path,
        f"there is no setting {name!r} here",
        setting_meant(name, known) or did_you_mean(name, known) or _ALL_SETTINGS,
    )


def _wrong_tag(details: ErrorDetails, found: Located, setting: Setting) -> ConfigurationProblem:
    context = details["ctx"]
    name, tag = context["discriminator"].strip("'"), str(context["tag"])
    words = [str(value) for model in setting.models for value in choices(model.model_fields[name].annotation)]
    place = found.node.child(name) or found.node
    what = f"{tag!r} is not one of {', '.join(words)}"
    return ConfigurationProblem(place.place, _under(found.path, name), what, _near(tag, words))


def _no_tag(details: ErrorDetails, found: Located, _: Setting) -> ConfigurationProblem:
    name = details["ctx"]["discriminator"].strip("'")
    return ConfigurationProblem(found.node.place, _under(found.path, name), "is missing", "")


def _not_a_group(details: ErrorDetails, found: Located, setting: Setting) -> ConfigurationProblem:
    if Secret not in setting.models:
        return _wrong_value(details, found, setting)
    hint = _IN_THE_OPEN_HINT.format(name=details["loc"][-1])
    return ConfigurationProblem(found.node.place, found.path, _IN_THE_OPEN, hint)


def _own_words(details: ErrorDetails, found: Located, _: Setting) -> ConfigurationProblem:
    """Use the model's own sentence; where it names a setting, show that setting's place."""
    error = details.get("ctx", {}).get("error", details["msg"])
    if not isinstance(error, SettingsError):
        return ConfigurationProblem(found.node.place, found.path, str(error), "")
    node, path, inner = found.node, found.path, found.path
    for name in error.at:
        inner = _under(inner, name)
        child = node.child(name)
        if child is not None:
            node = child
        elif entries := [entry for entry in node.items() if entry.text("id") == name]:
            node, path = entries[-1], inner
    return ConfigurationProblem(node.place, path, error.what, "", error.mistake, error.subjects)


def _wrong_value(details: ErrorDetails, found: Located, setting: Setting) -> ConfigurationProblem:
    kind, value = details["type"], details["input"]
    sentence = _SENTENCES.get(kind)
    name = str(details["loc"][-1]) if details["loc"] else ""
    hidden = bool(SECRET_NAME.search(name)) or any(SECRET_NAME.search(part) for part in found.path.split("."))
    if sentence is None:
        what = details["msg"][:1].lower() + details["msg"][1:]
    else:
        words = {**details.get("ctx", {}), "value": "what stands here" if hidden else shown(value)}
        what = sentence.format(**words)
        if kind == "literal_error" and len(_choices(setting)) == 1:
            what = what.replace(" one of", "", 1)
    return ConfigurationProblem(found.node.place, found.path, what, _hint(details, setting, hidden=hidden))


def _hint(details: ErrorDetails, setting: Setting, *, hidden: bool) -> str:
    kind, value = details["type"], details["input"]
    special: dict[str, Callable[[], str]] = {
        "string_type": lambda: "" if hidden else _quoted(value),
        "literal_error": lambda: _literal(value, _choices(setting)),
        "string_pattern_mismatch": lambda: _pattern(details["ctx"]["pattern"], setting),
    }
    hint = special[kind]() if kind in special else _HINTS.get(kind, "")
    return hint or _description(setting)


def _choices(setting: Setting) -> list[str]:
    return [] if setting.field is None else [str(each) for each in choices(setting.field.annotation)]


def _pattern(pattern: str, setting: Setting) -> str:
    return _IDENTIFIER_HINT if pattern == r"^[a-z0-9][a-z0-9_.-]{0,62}$" else _description(setting) or pattern


def _quoted(value: object) -> str:
    if isinstance(value, dict) and list(value.values()) == [None]:
        return f'in quotes: "{{{next(iter(value))}}}"; without them, YAML reads braces as a group'
    return "" if value is None or isinstance(value, list | dict) else f'in quotes: "{shown(value)}"'


def _literal(value: object, words: list[str]) -> str:
    text = str(value)
    return f'in quotes: "{text}"' if text in words else value_meant(text, words) or _near(text, words)


def _near(word: str, words: Iterable[str]) -> str:
    near = nearest(word, words)
    return f"did you mean {near!r}?" if near else ""


def _description(setting: Setting) -> str:
    text = setting.field.description if setting.field is not None else None
    if not text:
        return ""
    text = text.strip().rstrip(".")
    return text if len(text) <= _MAX_HINT else text[: _MAX_HINT - 1].rsplit(" ", 1)[0] + " …"


def _under(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _merged(problems: list[ConfigurationProblem]) -> list[ConfigurationProblem]:
    """Join what the members of a union say of one value: any of them would do."""
    groups: dict[tuple[Any, ...], list[ConfigurationProblem]] = {}
    for problem in problems:
        groups.setdefault((problem.place, problem.path), []).append(problem)
    return [
        replace(group[0], what=" / ".join(dict.fromkeys(problem.what for problem in group)))
        for group in groups.values()
    ]


_KINDS: Final[Mapping[str, Callable[[ErrorDetails, Located, Setting], ConfigurationProblem]]] = {
    "missing": _missing,
    "extra_forbidden": _unknown,
    "model_type": _not_a_group,
    "union_tag_not_found": _no_tag,
    "union_tag_invalid": _wrong_tag,
    "value_error": _own_words,
    "assertion_error": _own_words,
}
