"""Replace the event key when its time is over, on request, and soon while no receipt comes."""

import asyncio
from collections.abc import Callable

import structlog

from linewitness.base.clock import NS_PER_S, Clock
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.keys.exposure import KeyExposure
from linewitness.journal.journal import Journal
from linewitness.journal.requests import LOOK_S, ROTATE, Requests
from linewitness.journal.submission import Submission

log = structlog.get_logger()


class KeyRotation:
    """Rotate after `period_s` since the last rotation; at the start `Lifecycle` has done it.

    While no receipt comes, the key is replaced as soon as `exposure` says so, and `alone` is called.
    """

    def __init__(
        self,
        journal: Journal,
        signer: CheckpointSigner,
        *,
        requests: Requests,
        clock: Clock,
        period_s: float,
        exposure: KeyExposure,
        alone: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the journal, the signer of checkpoints, and what the key has signed unseen."""
        self._journal = journal
        self._signer = signer
        self._requests = requests
        self._clock = clock
        self._period_ns = int(period_s * NS_PER_S)
        self._exposure = exposure
        self._alone = alone
        self._logged_at = -1

    async def run(self) -> None:
        """Work until cancelled. The time counts while the machine sleeps (CLOCK_BOOTTIME)."""
        last_ns = self._clock.stamp().boottime_ns
        while True:
            asked = self._requests.take(ROTATE)
            now_ns = self._clock.stamp().boottime_ns
            left_ns = last_ns + self._period_ns - now_ns
            alone = self._exposure.exceeded(now_ns)
            if asked or left_ns <= 0:
                await self.rotate()
                last_ns = self._clock.stamp().boottime_ns
                # Crash here: the request is still there, and one rotation more follows, which is harmless.
                self._requests.done(ROTATE)
                continue
            if alone:
                await self._rotate_alone()
                last_ns = now_ns
            await asyncio.sleep(min(LOOK_S, left_ns / NS_PER_S))

    async def rotate(self) -> None:
        """Let a new event key take over, erase the old one, and sign a checkpoint over its records."""
        log.info("event key rotated", size=await self._rotate())

    async def _rotate_alone(self) -> None:
        """Replace the key because no receipt comes; it is logged once for each time without receipts."""
        size, receipted = await self._rotate(), self._exposure.receipted
        if self._logged_at != receipted:
            self._logged_at = receipted
            log.info("no receipt comes: the event key is replaced more often", size=size, receipted=receipted)
        self._alone()

    async def _rotate(self) -> int:
        # Before the new key can sign anything: what the old one signs meanwhile counts once more.
        self._exposure.rotated()
        head = await self._journal.submit_all(Submission(rotate=True))
        await self._signer.sign(head.size)
        return head.size
