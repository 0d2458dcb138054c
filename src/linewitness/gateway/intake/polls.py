"""Show how many polls of a device are made, and log once when they are not."""

import asyncio
from dataclasses import replace
from typing import Final

import structlog

from linewitness.devices.polling import PollFigures, PollingSession, PollOverload
from linewitness.gateway.availability import DeviceStatusSink

log = structlog.get_logger()

#: The figures are shown this often.
SHOW_S: Final = 5.0


class PollWatch:
    """The polls of one device over all its sessions; an overload ends with its session."""

    def __init__(self, device: str, health: DeviceStatusSink) -> None:
        """Begin to count."""
        self._device = device
        self._health = health
        self._before = PollFigures()
        self._overload: PollOverload | None = None

    async def run(self, session: PollingSession) -> None:
        """Show the figures of a session, until cancelled."""
        try:
            while True:
                await asyncio.sleep(SHOW_S)
                self._show(self._before + session.polls)
        finally:
            self._before = replace(self._before + session.polls, overload=None)
            self._show(self._before)

    def _show(self, figures: PollFigures) -> None:
        self._health.polls(self._device, figures)
        before, self._overload = self._overload, figures.overload
        if figures.overload is not None and before is None:
            why, hint = str(figures.overload), figures.overload.hint
            log.warning("polls are not made in time", device=self._device, why=why, hint=hint)
        elif figures.overload is None and before is not None:
            log.info("polls are made in time again", device=self._device)
