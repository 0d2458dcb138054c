"""Regular expressions of the YAML, matched in time that grows with the text's length and with nothing else.

The engine is RE2, which never backtracks: no text that a device sends can keep the process busy.
"""

import functools
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator

#: Characters; no longer text matches. A line of a code reader is at most as long.
MAX_TEXT: Final = 16_384
#: Characters of the expression itself.
MAX_PATTERN: Final = 4096
#: Bytes that one compiled expression may take.
MAX_MEMORY: Final = 2**20
#: Compiled expressions that are kept; a line has a few.
KEPT: Final = 128

#: What people write for other engines, and what to write here.
_ADVICE: Final = (
    (r"\(\?<?[=!]", "it looks ahead or behind: write what the whole text is, with alternatives (A|B)"),
    (r"\\[1-9]|\(\?P=", "it refers back to a group: write the expected text again"),
    (r"\(\?\(", "it asks whether a group matched: write both cases as alternatives (A|B)"),
    (
        r"\(\?>|[*+?}]\+",
        "it forbids backtracking, and there is none here: leave out the atomic group or the '+'",
    ),
    (r"\\Z", "leave out \\Z: the whole text is matched anyway"),
    (r"\(\?#", "leave out the comment: the YAML has its own, after a '#'"),
    (r"\(\?[a-zA-Z]*[xauL]", "of the flags only i, m, s and U are there"),
    (r"\\[uUN]", "write the character itself, or \\x{20AC} with its number"),
    (r"\{[0-9,]*[0-9]{4}", "repeat at most 1000 times, and use + or * for more"),
)
#: RE2 reads these otherwise than Python does, without a word.
_MISREAD: Final = (
    (r"(?<!\\)(?:\\\\)*\{,[0-9]+\}", "write {0,n} in place of {,n}"),
    (r"(?<!\\)(?:\\\\)*\\C", "leave out \\C: it is half of a character; write . for any character"),
)


class PatternError(ValueError):
    """Not a regular expression, or one that only an engine with backtracking can match."""


class Pattern:
    """One compiled expression; it matches a text as a whole or not at all."""

    def __init__(self, text: str, *, dot_matches_newline: bool = False, any_case: bool = False) -> None:
        """Compile the expression, or raise PatternError with advice on what to write."""
        import re2  # noqa: PLC0415 (10 ms, for lines with a pattern only)

        for misread, advice in _MISREAD:
            if re.search(misread, text):
                raise PatternError(f"this is no regular expression of RE2: {advice}")
        if len(text) > MAX_PATTERN:
            raise PatternError(f"a regular expression has at most {MAX_PATTERN} characters")
        options = re2.Options()
        options.max_mem = MAX_MEMORY
        options.log_errors = False
        options.dot_nl = dot_matches_newline
        options.case_sensitive = not any_case
        try:
            self._compiled = re2.compile(text, options)
        except re2.error as error:
            raise PatternError(_sentence(error, text)) from None
        except UnicodeEncodeError:
            raise PatternError("this is no regular expression: it is not text") from None
        self._groups = tuple(self._compiled.groupindex.items())

    @property
    def groups(self) -> frozenset[str]:
        """The names of its groups."""
        return frozenset(name for name, _ in self._groups)

    def matches(self, text: str) -> bool:
        """Return whether the whole text matches; a longer text never does."""
        return self._found(text) is not None

    def fullmatch(self, text: str) -> Mapping[str, str | None] | None:
        """Return the named groups if the whole text matches, otherwise None; a longer text never matches."""
        found = self._found(text)
        if found is None:
            return None
        parts = ((name, found.group(index)) for name, index in self._groups)
        return {name: part.decode() if part is not None else None for name, part in parts}

    def _found(self, text: str) -> Any:
        if len(text) > MAX_TEXT:
            return None
        try:
            # Of a text, the engine would count in characters where each group is, which takes longer.
            return self._compiled.fullmatch(text.encode())
        except UnicodeEncodeError:  # half of a surrogate pair is no character
            return None

    def search(self, text: str) -> bool:
        """Return whether some part of the text matches; of a longer text only the beginning counts."""
        try:
            return self._compiled.search(text[:MAX_TEXT]) is not None
        except UnicodeEncodeError:
            return False


@functools.lru_cache(maxsize=KEPT)
def compiled(text: str) -> Pattern:
    """Return the compiled expression, which is kept."""
    return Pattern(text)


def matches(pattern: str | None, text: str) -> bool:
    """Return whether a text matches as a whole; without a pattern every text does."""
    return pattern is None or compiled(pattern).matches(text)


def _sentence(error: Exception, text: str) -> str:
    found = error.args[0] if error.args else ""
    said = found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found)
    if "too large" in said:
        return "this regular expression is too large: repeat less, or write . in place of long classes"
    advice = next((advice for wrong, advice in _ADVICE if re.search(wrong, text)), "")
    return f"this is no regular expression of RE2: {advice or said}"


def _checked(text: str) -> str:
    Pattern(text)
    return text


#: A setting that is a regular expression.
PatternText = Annotated[str, AfterValidator(_checked)]
