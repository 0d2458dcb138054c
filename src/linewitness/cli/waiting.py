"""Wait for what a running gateway was asked to do."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from linewitness.base.clock import NS_PER_S, SystemClock

T = TypeVar("T")

_LOOK_S: Final = 0.1


def awaited(look: Callable[[], T | None], wait_s: float) -> T | None:
    """Return what `look` finds within some seconds, None where it finds nothing."""
    clock = SystemClock()
    until_ns = clock.stamp().boottime_ns + int(wait_s * NS_PER_S)
    while (found := look()) is None and clock.stamp().boottime_ns < until_ns:
        time.sleep(_LOOK_S)
    return found
