"""Show what a station does not take as it came, and log it once until an hour has passed without one."""

from typing import Final

import structlog

from linewitness.base.clock import monotonic
from linewitness.gateway.availability import DeviceStatusSink
from linewitness.stations.outcome import StationOutcome

log = structlog.get_logger()

#: So long without such a result, the next one is logged again.
QUIET_S: Final = 3600.0


class BindingWatch:
    """What a station makes of one device that somebody should know of.

    Results that stand under no unit although a station should know it, and what the station refuses.
    """

    def __init__(self, device: str, health: DeviceStatusSink) -> None:
        """Begin with none."""
        self._device = device
        self._health = health
        self._last: dict[str, float] = {}

    def note(self, outcome: StationOutcome) -> None:
        """Show what a station made of an observation."""
        if unknown := outcome.unbound:
            self._health.unbound(self._device, len(unknown), unknown[-1])
            self._log(
                "the unit of a result is not known",
                unknown[-1],
                hint="read the unit's code before the work begins; see docs/stations.md",
            )
        if conflicts := outcome.conflicts:
            self._health.binding_conflict(self._device, len(conflicts), conflicts[-1])
            self._log(
                "a result contradicts the unit at the station",
                conflicts[-1],
                hint="compare the unit at the station with the record; see docs/stations.md",
            )

        if refusals := outcome.refusals:
            self._health.refused_at_station(self._device, len(refusals))
            self._log(
                "the station refused something",
                refusals[-1],
                hint="the screen of the station says what to do; see docs/stations.md",
            )

    def _log(self, event: str, why: str, *, hint: str) -> None:
        before, now = self._last.get(event), monotonic()
        self._last[event] = now
        if before is None or now - before >= QUIET_S:
            log.warning(event, device=self._device, why=why, hint=hint)
