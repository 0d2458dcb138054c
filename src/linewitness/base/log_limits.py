"""How often one cause may be logged for one source: the first few times, and then its number."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from linewitness.base.clock import elapsed_s

#: So many messages of one cause and source are written in each period; the others are counted.
FIRST: Final = 20
PERIOD_S: Final = 60.0
#: Pairs of cause and source that are told apart; what is above shares one limit for each cause.
MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class LogFigures:
    """What the log does not hold, since the start.

    `dropped` messages could not be written, `losing` says that it is so now; `suppressed` were too many.
    """

    dropped: int = 0
    losing: bool = False
    suppressed: int = 0

    @property
    def sentence(self) -> str:
        """What an operator should know of it now, or nothing."""
        return f"log not written, {self.dropped} messages dropped" if self.losing else ""


@dataclass(slots=True)
class _Window:
    begun: float
    written: int = 0
    suppressed: int = 0


class LogLimits:
    """Decide for each message whether it is written; any thread may ask."""

    def __init__(self, *, first: int = FIRST, period_s: float = PERIOD_S, most: int = MOST) -> None:
        """Begin with nothing counted."""
        self._first = first
        self._period_s = period_s
        self._most = most
        self._lock = threading.RLock()
        self._windows: dict[tuple[str, str], _Window] = {}
        self._suppressed = 0

    @property
    def suppressed(self) -> int:
        """Messages that were counted and not written since the start."""
        return self._suppressed

    def admit(self, cause: str, source: str) -> bool:
        """Return whether a message of this cause and source is written now."""
        with self._lock:
            window = self._window(cause, source)
            if window.written < self._first:
                window.written += 1
                return True
            window.suppressed += 1
            self._suppressed += 1
            return False

    def ended(self, *, all_of_them: bool = False) -> Iterator[tuple[str, str, int]]:
        """Yield cause, source and number of what was suppressed in periods that have ended, once.

        With `all_of_them` every period ends now.
        """
        now = elapsed_s()
        with self._lock:
            over = [
                key
                for key, window in self._windows.items()
                if all_of_them or now - window.begun >= self._period_s
            ]
            closed = [(*key, self._windows.pop(key).suppressed) for key in over]
        yield from (each for each in closed if each[2])

    def _window(self, cause: str, source: str) -> _Window:
        """Return the window of the present period; a new one where the number of windows allows it."""
        for key in ((cause, source), (cause, "others")):
            window = self._windows.get(key)
            if window is None and len(self._windows) < self._most:
                window = self._windows[key] = _Window(elapsed_s())
            if window is not None:
                return window
        return self._windows.setdefault(("others", "others"), _Window(elapsed_s()))
