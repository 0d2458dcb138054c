"""Which revisions a controller was found to offer: what is sure is stored, and all of it is tried again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

#: In so many connections in a row the same revision must turn out to be the highest one before it is stored.
SURE: Final = 2
#: After so many connections that began at a stored limit, the higher revisions are tried again.
RETRY_EVERY: Final = 10
#: So many connections in which a known revision is not answered are a controller that starts up.
IN_VAIN: Final = 2
#: How long after a connection was closed at the start the same revision is asked once more.
AGAIN_AFTER_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class RevisionLimit:
    """The highest revision that was accepted, where higher ones were not; `revision` None limits nothing.

    `times`: in how many connections in a row it was found. `used`: how many connections began at it since.
    """

    revision: int | None = None
    times: int = 0
    used: int = 0

    @property
    def is_sure(self) -> bool:
        """Whether it was found often enough to be no accident, such as a controller that starts up."""
        return self.revision is not None and self.times >= SURE

    def begin_with(self, highest: int) -> int:
        """Return the revision to ask for first."""
        if self.revision is None or not self.is_sure or self.used >= RETRY_EVERY:
            return highest
        return min(self.revision, highest)

    def found(self, asked: int, accepted: int, highest: int) -> "RevisionLimit":
        """Return what is known after `asked` was tried first and `accepted` worked; `highest` is our own."""
        if accepted < asked:
            again = accepted == self.revision
            return RevisionLimit(accepted, min(self.times + 1, SURE) if again else 1)
        if asked < highest:
            return replace(self, used=self.used + 1)
        return RevisionLimit()


UNLIMITED: Final = RevisionLimit()


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedRevisions:
    """What earlier connections found out about the controller, for as long as its software stays the same.

    `answered` is the highest revision of the start that it has ever answered: that it closes the connection
    at that one later says nothing about revisions.
    """

    start: RevisionLimit = UNLIMITED
    result: RevisionLimit = UNLIMITED
    tool: RevisionLimit = UNLIMITED
    answered: int = 0
    software: str = ""

    def dump(self) -> str:
        """Return what is sure, as text."""
        limits = {"start": self.start, "result": self.result, "tool": self.tool}
        sure = {name: [each.revision, each.used] for name, each in limits.items() if each.is_sure}
        return json.dumps({"limits": sure, "answered": self.answered, "software": self.software})

    @classmethod
    def load(cls, text: str | None) -> "LearnedRevisions":
        """Read what `dump` wrote. What versions before it stored was not sure, and is left out."""
        stored = json.loads(text) if text is not None else {}
        if "limits" not in stored:
            return cls()
        limits = {name: RevisionLimit(revision, SURE, used) for name, (revision, used) in _limits(stored)}
        return cls(**limits, answered=stored["answered"], software=stored["software"])

    def of(self, software: str) -> "LearnedRevisions":
        """Return what still holds for this software; "" where a low revision does not name it."""
        if not software or software == self.software:
            return self
        return LearnedRevisions(software=software) if self.software else replace(self, software=software)

    def started(self, asked: int, accepted: int, highest: int) -> "LearnedRevisions":
        """Return what is known after a start."""
        limit = self.start.found(asked, accepted, highest)
        proven = accepted if limit.is_sure and accepted < asked else max(self.answered, accepted)
        return replace(self, start=limit, answered=proven)


def _limits(stored: Mapping[str, Mapping[str, tuple[int, int]]]) -> list[tuple[str, tuple[int, int]]]:
    return list(stored["limits"].items())


class ClosedStart(Enum):
    """What it means that the controller closes the connection at the start."""

    #: It may be an accident: the same revision is asked once more.
    ONCE = "once"
    #: It happened again at the same revision, in the next connection.
    TOO_HIGH = "too high"
    #: This revision was answered before: it is no question of revisions.
    STARTS_UP = "starts up"


@dataclass(slots=True)
class StartAttempts:
    """What became of the starts that were not answered, over the connections of one driver.

    `in_vain` counts connections in a row in which a revision that was answered before was not. `closed_at` is
    the revision at which the connection before was closed.
    """

    in_vain: int = 0
    below: int | None = field(default=None)
    closed_at: int | None = None

    def first(self, learned: int) -> int:
        """Return the revision to begin with: lower than what was not answered the last time."""
        self.closed_at = None
        return min(learned, self.below) if self.below else learned

    def is_too_high(self, revision: int, answered: int) -> bool:
        """Whether silence may mean that the revision is too high.

        A revision that it has answered before is not, unless that happens in several connections in a row.
        """
        if revision > answered:
            return True
        self.in_vain += 1
        return self.in_vain > IN_VAIN

    def silent(self, revision: int, answered: int) -> None:
        """Note that nothing came: the next connection begins one lower, and after the lowest anew."""
        if self.is_too_high(revision, answered):
            self.below = revision - 1 or None

    def closed(self, revision: int, answered: int) -> ClosedStart:
        """Note that the connection was closed at this revision, and return what that means."""
        again, self.closed_at = self.closed_at == revision, revision
        if not self.is_too_high(revision, answered):
            return ClosedStart.STARTS_UP
        return ClosedStart.TOO_HIGH if again else ClosedStart.ONCE

    def succeeded(self) -> None:
        """Forget what went before."""
        self.in_vain, self.below = 0, None
