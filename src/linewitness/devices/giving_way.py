"""Let telemetry give way to evidence where a device cannot be asked for both in time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from linewitness.base.clock import monotonic
from linewitness.devices.polling import PollGrid

#: So many rounds in a row leave out all telemetry; then one request of it is made all the same.
MOST_WITHOUT: Final = 10


class TelemetryAdmission:
    """Whether a round asks for telemetry too, request by request, after it has asked for the evidence."""

    def __init__(self, grid: PollGrid, *, has_evidence: bool) -> None:
        """Admit telemetry to the rounds of a grid; without evidence, all of it."""
        self._grid = grid
        self._has_evidence = has_evidence
        self._lasted_s = 0.0
        self._without = 0
        self._asked = False

    def begin(self) -> None:
        """Begin a round."""
        self._asked = False

    def admits(self) -> bool:
        """Return whether one more request leaves the next round's evidence in time; False ends the round."""
        late = monotonic() + self._lasted_s > self._grid.next_at
        if late and self._has_evidence and (self._asked or self._without < MOST_WITHOUT):
            self._without = 0 if self._asked else self._without + 1
            self._grid.cut()
            return False
        self._asked, self._without = True, 0
        return True

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Measure one request, of evidence or telemetry: the next one is expected to last as long."""
        begun = monotonic()
        with self._grid.asking():
            yield
        self._lasted_s = monotonic() - begun
