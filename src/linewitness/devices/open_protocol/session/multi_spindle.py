"""Subscribe to multi-spindle results (0100), and fetch the ones that are missing (0104) while that is off."""

import contextlib
from collections.abc import AsyncIterator
from typing import Final

from linewitness.base.clock import Clock
from linewitness.base.errors import DeviceUnavailable
from linewitness.devices.base import Observation
from linewitness.devices.open_protocol.content.facts import SessionFacts
from linewitness.devices.open_protocol.session import cycles
from linewitness.devices.open_protocol.session.capture import ControllerCapture
from linewitness.devices.open_protocol.session.link import ControllerLink
from linewitness.devices.open_protocol.wire.codec import decode
from linewitness.devices.open_protocol.wire.mids import STEP_DOWN, UNSUPPORTED, Mid
from linewitness.devices.open_protocol.wire.refusals import RefusedByController
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram, Telegram

#: Of requests for old results, which later revisions do not change.
REVISION: Final = 1
#: So many results are fetched at a time that the controller made while nobody was subscribed.
MOST_UPWARD: Final = 1000
#: A controller may refuse an id that it does have: it is asked for so often.
ATTEMPTS: Final = 2


class MultiSpindle:
    """Multi-spindle results of one session. Who is subscribed is refused old ones, so that ends meanwhile."""

    def __init__(self, *, link: ControllerLink, capture: ControllerCapture, clock: Clock) -> None:
        """Nothing is subscribed yet."""
        self._link = link
        self._capture = capture
        self._clock = clock
        self._offered = True
        #: On first contact there is nothing before what is pushed.
        self._looked = capture.spindles.ids.last is None
        self.subscribed = False

    @property
    def is_behind(self) -> bool:
        """Whether results are missing that can be asked for, or are to be named as missing."""
        ids = self._capture.spindles.ids
        return self.subscribed and (bool(ids.missing) or not self._looked)

    async def subscribe(self) -> bool:
        """Subscribe; False where the controller does not offer it."""
        revision = await cycles.subscribe_spindles(self._link)
        self.subscribed = revision is not None
        if self.subscribed:
            self._capture.expect_spindles()
        return self.subscribed

    async def fetch(self, facts: SessionFacts) -> AsyncIterator[Observation]:
        """Yield what is missing and what was made since the newest one, as far as the controller has it.

        Raises DeviceUnavailable where the controller does not take the subscription again.
        """
        if not self.is_behind:
            return
        with contextlib.suppress(RefusedByController):
            await self._link.ask(Telegram(mid=Mid.MULTI_UNSUBSCRIBE), Mid.ACCEPTED, optional=True)
        async for observation in self._fetched(facts):
            yield observation
        # What is made between the last question and this is missing with the next push, and asked for then.
        if not await self.subscribe():
            raise DeviceUnavailable(
                "the controller does not take the subscription of multi-spindle results again"
            )
        self._looked = True

    async def _fetched(self, facts: SessionFacts) -> AsyncIterator[Observation]:
        spindles = self._capture.spindles
        missing = spindles.ids.missing
        for sync in missing:
            for observation in await self._taken(sync, facts):
                yield observation
        still = [sync for sync in missing if sync in spindles.ids.missing]
        why = "the controller has them no more (0104)" if self._offered else "old ones are not offered (0104)"
        ledger, now = self._capture.tracker.ledger, self._clock.stamp()
        for gap in spindles.give_up(still, facts, ledger, now, f"multi-spindle results: {why}"):
            yield gap
        for _ in range(MOST_UPWARD if spindles.ids.last is not None else 0):
            newer = await self._taken(spindles.ids.following, facts, after=spindles.ids.time)
            if not newer:
                return
            for observation in newer:
                yield observation

    async def _taken(self, sync: int, facts: SessionFacts, after: str = "") -> list[Observation]:
        """Fetch one result; nothing where it is not there, or was made before `after`: ids come again."""
        received = await self._ask(sync)
        if received is None or (decode(received.telegram).text("timestamp") or after) < after:
            return []
        return self._capture.spindles.read(received, facts, self._capture.tracker.ledger, live=False)

    async def _ask(self, sync: int) -> ReceivedTelegram | None:
        question = Telegram(mid=Mid.MULTI_OLD_REQUEST, revision=REVISION, data=f"01{sync:010d}".encode())
        for _ in range(ATTEMPTS if self._offered else 0):
            try:
                return await self._link.ask(
                    question, Mid.MULTI_RESULT, accept=lambda each: _is_of(each, sync), optional=True
                )
            except RefusedByController as error:
                if error.code in STEP_DOWN | UNSUPPORTED:
                    self._offered = False
                    return None
        return None


def _is_of(telegram: Telegram, sync: int) -> bool:
    return decode(telegram).number("sync_tightening_id") == sync
