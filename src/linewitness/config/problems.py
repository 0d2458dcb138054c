"""What is wrong with a configuration: every problem at once, each with its place and a hint."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from linewitness.base.errors import ConfigurationError
from linewitness.base.settings import Mistake

#: Never repeat a value in a message when its setting, or the setting above it, is named like a secret.
SECRET_NAME: Final = re.compile(
    r"pass(word|phrase|wd)?$|secret|token|credential|private|api_?key|^pin$|^psk$", re.IGNORECASE
)

_MAX_SHOWN: Final = 40


@dataclass(frozen=True, slots=True, order=True)
class SourcePosition:
    """Line and column, both counted from 1; `file` is empty for the YAML, and names any other file."""

    line: int = 1
    column: int = 1
    file: str = ""

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, order=True)
class ConfigurationProblem:
    """One thing that is wrong: where, at which setting (dotted path), what, and what to do.

    `mistake` and `subjects` say the same for programs, where two checks may find one thing.
    """

    place: SourcePosition
    path: str
    what: str
    hint: str = ""
    mistake: Mistake | None = field(default=None, compare=False)
    subjects: tuple[str, ...] = field(default=(), compare=False)

    @property
    def warning(self) -> str:
        """The text of what is allowed and likely a mistake."""
        return self._text("warning: ")

    def __str__(self) -> str:
        return self._text("")

    def _text(self, mark: str) -> str:
        setting = f"{self.path}: " if self.path else ""
        text = f"{self.place}: {mark}{setting}{self.what}" + (f" ({self.hint})" if self.hint else "")
        # A key may hold line ends or a terminal's control sequences: it must not act on who reads this.
        return "".join(character if character.isprintable() else "�" for character in text)


class ConfigurationErrors(ConfigurationError):
    """Everything that is wrong with one YAML file and the files of points that it names, in their order."""

    def __init__(self, file: Path, problems: Iterable[ConfigurationProblem]) -> None:
        """Keep the problems; the text has one line for each, as `file:line:column: path: what (hint)`."""
        self.file = file
        self.problems = tuple(sorted(set(problems), key=lambda each: (each.place.file, each)))
        super().__init__("\n".join(f"{each.place.file or file}:{each}" for each in self.problems))

    def __reduce__(self) -> tuple[type[Self], tuple[Path, tuple[ConfigurationProblem, ...]]]:
        """Rebuild from the parts, so that another process may raise it."""
        return type(self), (self.file, self.problems)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most like this one, or None where none is."""
    near = difflib.get_close_matches(word.lower(), sorted(set(known)), n=1, cutoff=0.6)
    return near[0] if near else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `did you mean 'port'?` for the nearest known word, the list of a few, or nothing."""
    words = sorted(set(known))
    near = nearest(word, words)
    if near is not None:
        return f"did you mean {near!r}?"
    listed = ", ".join(words)
    return f"known here: {listed}" if words and len(listed) <= 6 * _MAX_SHOWN else ""


def shown(value: object) -> str:
    """Return a value as it may stand in a message: short, on one line, as the YAML would write it."""
    if isinstance(value, dict):
        return "a group of settings"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"
