"""Ask devices on a steady grid: late rounds are skipped and counted, never bunched."""

import asyncio

from linewitness.base.clock import monotonic, next_tick


class PollGrid:
    """The moments at which one session asks its device.

    The first tick is at once. A round that takes longer than the period makes the grid skip the ticks
    that it missed; the grid keeps its phase.
    """

    def __init__(self, *, period_s: float) -> None:
        """Prepare a grid of `period_s` seconds; it starts with the first `tick`."""
        if period_s <= 0:
            raise ValueError(f"the period must be above 0, not {period_s}")
        self._period = period_s
        self._scheduled: float | None = None
        self.missed = 0

    @property
    def period_s(self) -> float:
        """The distance of two ticks in seconds."""
        return self._period

    async def tick(self) -> int:
        """Wait for the next tick; return how many were missed since the last one."""
        if self._scheduled is None:
            self._scheduled = monotonic()
            return 0
        self._scheduled, missed = next_tick(self._scheduled, monotonic(), self._period)
        self.missed += missed
        await asyncio.sleep(self._scheduled - monotonic())
        return missed
