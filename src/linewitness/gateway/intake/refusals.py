"""Show which points of a device are refused, for as long as they are, and log it once."""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from linewitness.base.mappings import EMPTY
from linewitness.devices.refusals import RefusingSession, some_of
from linewitness.gateway.availability import DeviceStatusSink

log = structlog.get_logger()

#: What is refused is looked at this often.
SHOW_S: Final = 1.0
_HINT: Final = (
    "nothing is recorded of them: look the points up with `linewitness browse` or `probe`, correct the YAML "
    "or the device's program; they are asked for again each minute, a controller's results at each connection"
)


class RefusalWatch:
    """The refused points of one device over all its sessions: what is known stays until it is known anew."""

    def __init__(self, device: str, health: DeviceStatusSink) -> None:
        """Begin with none."""
        self._device = device
        self._health = health
        self._refused: Mapping[str, str] = EMPTY
        health.refused_points(device, EMPTY)

    async def run(self, session: RefusingSession) -> None:
        """Show what a session knows, until cancelled."""
        while True:
            if (refused := session.refused_points) is not None and refused != self._refused:
                self._show(dict(refused))
            await asyncio.sleep(SHOW_S)

    def _show(self, refused: Mapping[str, str]) -> None:
        before, self._refused = self._refused, refused
        self._health.refused_points(self._device, refused)
        new = {point: why for point, why in refused.items() if before.get(point) != why}
        if new:
            log.warning("the device refuses points", device=self._device, points=some_of(new), hint=_HINT)
        if again := {point: why for point, why in before.items() if point not in refused}:
            log.info("the device gives points again", device=self._device, points=some_of(again))
