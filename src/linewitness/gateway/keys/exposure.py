"""What the present event key has signed and nobody outside has seen: that much a thief could rewrite."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from linewitness.base.clock import NS_PER_S
from linewitness.journal.journal import Journal

#: The event key is replaced after so many commits that no receipt covers,
COMMITS: Final = 64
#: but not more often than this: each rotation goes into every later package of a unit.
LEAST_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class _Look:
    """What was new at one look: the stream ended at `size`, after `commits` commits of this process."""

    at_ns: int
    size: int
    commits: int


class KeyExposure:
    """Observations that the present event key has signed and no receipt covers.

    A line without a store, and a stream that is frozen, never get receipts: nothing is exceeded there, or
    each later package would carry a key for each minute.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        limit_s: float,
        observed: Callable[[], int],
        receipted: Callable[[], int] | None,
    ) -> None:
        """Take the longest time, the number of durable events of devices and that of receipted records."""
        self._journal = journal
        self._limit_ns = int(limit_s * NS_PER_S)
        self._observed = observed
        self._receipted = receipted
        self._seen = 0
        self._looks: deque[_Look] = deque()
        self._commits = 0

    def rotated(self) -> None:
        """Begin anew with another key."""
        self._looks.clear()
        self._seen = self._observed()
        self._commits = self._journal.commits

    @property
    def receipted(self) -> int:
        """Records that a receipt covers."""
        return self._receipted() if self._receipted else 0

    def exceeded(self, now_ns: int) -> bool:
        """Return whether the key has signed long enough without a receipt; to be asked once a second."""
        if self._receipted is None or self._journal.frozen:
            return False
        observed, commits = self._observed(), self._journal.commits
        if observed > self._seen:
            self._looks.append(_Look(now_ns, self._journal.head.size, self._commits))
        self._seen, self._commits = observed, commits
        receipted = self.receipted
        while self._looks and self._looks[0].size <= receipted:
            self._looks.popleft()
        if not self._looks:
            return False
        first = self._looks[0]
        waited_ns = now_ns - first.at_ns
        many = commits - first.commits >= COMMITS and waited_ns >= min(LEAST_S * NS_PER_S, self._limit_ns)
        return many or waited_ns >= self._limit_ns
