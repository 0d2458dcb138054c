"""Care for what proves a stream: fresh keys, anchors out of our reach, old records pruned."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import structlog

from linewitness.anchors.options import AnchorOptions
from linewitness.base.clock import Clock
from linewitness.gateway.anchoring import Anchoring, places_of
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.key_rotation import KeyRotation
from linewitness.journal.journal import Journal
from linewitness.journal.options import JournalOptions
from linewitness.journal.prune import Pruner
from linewitness.journal.requests import Requests

log = structlog.get_logger()

#: A gateway that stops gives its last anchors this long.
FAREWELL_S: Final = 10.0


class Testimony:
    """The parts that care for a stream's proofs, and their tasks."""

    def __init__(
        self,
        journal: Journal,
        sealer: CheckpointSigner,
        *,
        options: JournalOptions,
        anchors: AnchorOptions,
        clock: Clock,
    ) -> None:
        """Build the parts from what the YAML says of the journal and of anchors."""
        requests = Requests(options.directory)
        self._rotation = KeyRotation(
            journal, sealer, requests=requests, clock=clock, period_s=options.rotate_key_h * 3600
        )
        self._pruner = Pruner(journal, options=options, clock=clock)
        self._anchoring = Anchoring(
            journal,
            sealer,
            places=places_of(anchors, clock=clock),
            options=anchors,
            requests=requests,
            clock=clock,
        )

    def tasks(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return what runs while the gateway does."""
        return {
            "rotation": self._rotation.run(),
            "prune": self._pruner.run(),
            "anchors": self._anchoring.run(),
        }

    async def farewell(self) -> None:
        """Anchor the stream as the gateway leaves it; what takes too long is left for the next start."""
        try:
            async with asyncio.timeout(FAREWELL_S):
                await self._anchoring.write()
        except TimeoutError:
            log.info("stopped before the last anchor; the next start writes it")
