"""Do something no more often than so many times a second."""

import asyncio

from linewitness.base.clock import monotonic


class Pace:
    """Turns that come one after the other, at least so long apart."""

    def __init__(self, per_s: float) -> None:
        """Give at most `per_s` turns a second; the first one comes at once."""
        self._interval_s = 1 / per_s
        self._next = 0.0

    async def turn(self) -> None:
        """Wait for the next turn."""
        await asyncio.sleep(max(0.0, self._next - monotonic()))
        self._next = monotonic() + self._interval_s
