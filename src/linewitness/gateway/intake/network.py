"""Count what is lost on the way to and from a device, and log once when it begins."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from linewitness.base.clock import NS_PER_S, Clock
from linewitness.devices.base import NetworkSession
from linewitness.gateway.availability import DeviceStatusSink

log = structlog.get_logger()

#: The number is shown this often.
SHOW_S: Final = 1.0
#: After a loss on its connection, more of what a device sends is expected to be lost for this long.
LOSSY_NS: Final = 60 * NS_PER_S

_HINT: Final = (
    "what the device sends may be late: a result soon after a unit's code stands under no unit; "
    "look at cable, switch and radio"
)


class NetworkWatch:
    """The lost segments of one device over all its sessions."""

    def __init__(
        self, device: str, health: DeviceStatusSink, clock: Clock, noticed: Callable[[int], None]
    ) -> None:
        """Begin with a network that loses nothing; `noticed` is told the number once a second."""
        self._noticed = noticed
        self._device = device
        self._health = health
        self._clock = clock
        self._session: NetworkSession | None = None
        self._before = 0
        self._in_session = 0
        self._shown = 0
        self._lossy_until_ns: int | None = None

    def begin(self, session: NetworkSession | None) -> None:
        """Take a new session; None where its losses are not known."""
        self._before += self._in_session
        self._in_session = 0
        self._session = session

    @property
    def lost(self) -> int:
        """How many segments were lost since the start, as far as our side knows.

        It falls when the device says that it had a segment that was sent again.
        """
        if self._session is not None and (lost := self._session.lost_segments) is not None:
            self._in_session = lost
        return self._before + self._in_session

    async def run(self) -> None:
        """Show what stays lost from one look to the next, until cancelled."""
        before = self.lost
        while True:
            now = self.lost
            self._noticed(now)
            lost, before = min(before, now), now
            if lost > self._shown:
                self._shown = lost
                self._health.lost_segments(self._device, lost)
                self._report_loss(lost)
            elif self._lossy_until_ns is not None and self._now_ns > self._lossy_until_ns:
                self._lossy_until_ns = None
                log.info("no segments are lost any more", device=self._device, lost=lost)
            await asyncio.sleep(SHOW_S)

    @property
    def _now_ns(self) -> int:
        return self._clock.stamp().boottime_ns

    def _report_loss(self, lost: int) -> None:
        if self._lossy_until_ns is None:
            log.warning(
                "segments are lost on the way to the device", device=self._device, lost=lost, hint=_HINT
            )
        self._lossy_until_ns = self._now_ns + LOSSY_NS
