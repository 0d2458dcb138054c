"""Replace the event key when its time is over, or on request."""

import asyncio

import structlog

from linewitness.base.clock import NS_PER_S, Clock
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.journal.journal import Journal
from linewitness.journal.requests import LOOK_S, ROTATE, Requests
from linewitness.journal.submission import Submission

log = structlog.get_logger()


class KeyRotation:
    """Rotate after `period_s` since the last rotation; at the start `Lifecycle` has done it."""

    def __init__(
        self, journal: Journal, signer: CheckpointSigner, *, requests: Requests, clock: Clock, period_s: float
    ) -> None:
        """Take the journal, and the signer of checkpoints."""
        self._journal = journal
        self._signer = signer
        self._requests = requests
        self._clock = clock
        self._period_ns = int(period_s * NS_PER_S)

    async def run(self) -> None:
        """Work until cancelled. The time counts while the machine sleeps (CLOCK_BOOTTIME)."""
        last_ns = self._clock.stamp().boottime_ns
        while True:
            asked = self._requests.take(ROTATE)
            left_ns = last_ns + self._period_ns - self._clock.stamp().boottime_ns
            if asked or left_ns <= 0:
                await self.rotate()
                last_ns = self._clock.stamp().boottime_ns
                # Crash here: the request is still there, and one rotation more follows, which is harmless.
                self._requests.done(ROTATE)
                continue
            await asyncio.sleep(min(LOOK_S, left_ns / NS_PER_S))

    async def rotate(self) -> None:
        """Let a new event key take over, erase the old one, and sign a checkpoint over its records."""
        head = await self._journal.submit_all(Submission(rotate=True))
        await self._signer.sign(head.size)
        log.info("event key rotated", size=head.size)
