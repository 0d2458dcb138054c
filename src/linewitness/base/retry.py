"""Back off before the next attempt: longer each time up to a limit, with jitter."""

import random
from typing import Final

from linewitness.base.clock import monotonic

FIRST_S: Final = 0.5
CAP_S: Final = 10.0
FACTOR: Final = 2.0
#: What lasted this long was a success, after which the next attempt comes at once. What breaks sooner, again
#: and again (a device that hangs up on us, a second gateway with our name at the broker), is not hurried.
STEADY_S: Final = 10.0


class Backoff:
    """The waits of one thing that is tried again and again."""

    def __init__(self, *, first_s: float = FIRST_S, cap_s: float = CAP_S, steady_s: float = STEADY_S) -> None:
        """Begin with the first wait; what lasted for `steady_s` was a success."""
        self._first_s = first_s
        self._cap_s = cap_s
        self._steady_s = steady_s
        self._next_s = first_s
        self._succeeded_at: float | None = None

    def next_s(self) -> float:
        """Return how long to wait now, in seconds: between half and the whole of the current step."""
        if self._succeeded_at is not None and monotonic() - self._succeeded_at >= self._steady_s:
            self._next_s = self._first_s
        self._succeeded_at = None
        step = self._next_s
        self._next_s = min(step * FACTOR, self._cap_s)
        return step * random.uniform(0.5, 1.0)  # noqa: S311 (spreads load, hides nothing)

    def succeeded(self) -> None:
        """Begin again with the first wait, if this success lasts."""
        self._succeeded_at = monotonic()
