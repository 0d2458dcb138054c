"""Decide what a reader's line is: a code, the same code again, or what is stored but binds nothing."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from linewitness.base.clock import NS_PER_S
from linewitness.base.patterns import Pattern
from linewitness.devices.scanner.framing import ReaderLine
from linewitness.devices.scanner.options import ScannerOptions

#: Lines that are no codes are reported at once, then at most this often for each reason.
REPORT_EVERY_NS: Final = NS_PER_S


class Why(StrEnum):
    """Why a line is not a code."""

    NO_READ = "the reader could not read a code"
    STALE = "buffered from before the connection, not bound to a unit"
    TOO_LONG = "longer than max_line, only its start was kept"
    CUT_OFF = "cut off when the connection ended"
    MISFIT = "does not have the configured form"
    UNDECODABLE = "not text in the configured encoding"


@dataclass(frozen=True, slots=True)
class Read:
    """A code, for the first time within the duplicate window."""

    text: str


@dataclass(frozen=True, slots=True)
class Again:
    """The same code within the duplicate window."""

    text: str


@dataclass(frozen=True, slots=True)
class NoCode:
    """Lines that are not codes: `count` of them to report, this one and those that were held back before it.

    `count` is 0 where this one is held back as well. `follows_code` says that the line before was a code.
    """

    why: Why
    count: int
    follows_code: bool = False


Meaning = Read | Again | NoCode | None


class Interpreter:
    """Give each line its meaning; remembers the last code and what was held back."""

    def __init__(self, options: ScannerOptions) -> None:
        """Compile the configured form once."""
        self._options = options
        self._pattern = Pattern(options.pattern, dot_matches_newline=True)
        self._last: tuple[str, int] | None = None
        self._reported: dict[Why, int] = {}
        self._held: dict[Why, int] = {}

    def meaning(self, line: ReaderLine, *, stale_until_ns: int) -> Meaning:
        """Return what the line means, or None for a heartbeat.

        `stale_until_ns` is on the boot-time clock: a line that begun before is from before the connection.
        """
        now_ns = line.ended.boottime_ns
        found = self._classify(line, stale_until_ns)
        if found is None:
            return None
        if isinstance(found, Why):
            return self._report(found, now_ns)
        return self._code(found, now_ns)

    def held_back(self) -> list[NoCode]:
        """Return, once, what was counted and not reported yet."""
        rest = [NoCode(why, count) for why, count in self._held.items() if count]
        self._held.clear()
        return rest

    def _classify(self, line: ReaderLine, stale_until_ns: int) -> str | Why | None:
        options = self._options
        try:
            text = line.data.decode(options.encoding)
        except UnicodeDecodeError:
            return Why.UNDECODABLE if line.whole else self._broken(line)
        if not line.whole:
            return self._broken(line)
        framed = text.startswith(options.prefix) and text.endswith(options.suffix)
        bare = text.removeprefix(options.prefix).removesuffix(options.suffix)
        if options.heartbeat is not None and options.heartbeat in {text, bare}:
            return None
        if line.begun.boottime_ns < stale_until_ns:
            return Why.STALE
        if options.no_read is not None and options.no_read in {text, bare}:
            return Why.NO_READ
        match = self._pattern.fullmatch(bare) if framed else None
        return (match["code"] if match else None) or Why.MISFIT

    def _broken(self, line: ReaderLine) -> Why:
        return Why.TOO_LONG if len(line.data) >= self._options.max_line else Why.CUT_OFF

    def _report(self, why: Why, now_ns: int) -> NoCode:
        follows_code, self._last = self._last is not None, None  # the same code after it is another reading
        count = self._held.pop(why, 0) + 1
        last = self._reported.get(why)
        if last is not None and now_ns - last < REPORT_EVERY_NS:
            self._held[why] = count
            return NoCode(why, 0, follows_code)
        self._reported[why] = now_ns
        return NoCode(why, count, follows_code)

    def _code(self, text: str, now_ns: int) -> Read | Again:
        last, self._last = self._last, (text, now_ns)
        window_ns = int(self._options.duplicate_s * NS_PER_S)
        if last is not None and last[0] == text and now_ns - last[1] < window_ns:
            return Again(text)
        return Read(text)
