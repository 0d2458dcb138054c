"""Subscribe to multi-spindle results (0100), and fetch the ones that are missing (0104) while that is off."""

from collections.abc import AsyncIterator, Callable
from typing import Final

from linewitness.base.clock import Clock
from linewitness.base.errors import DeviceUnavailable
from linewitness.base.pacing import Pace
from linewitness.devices.base import Observation
from linewitness.devices.open_protocol.content.facts import SessionFacts
from linewitness.devices.open_protocol.ledger import sync_ids
from linewitness.devices.open_protocol.ledger.sync_ids import COUNT, SyncLedger, SyncStep
from linewitness.devices.open_protocol.session import cycles
from linewitness.devices.open_protocol.session.capture import ControllerCapture
from linewitness.devices.open_protocol.session.link import ControllerLink
from linewitness.devices.open_protocol.wire.codec import decode
from linewitness.devices.open_protocol.wire.mids import STEP_DOWN, UNSUPPORTED, Mid
from linewitness.devices.open_protocol.wire.refusals import RefusedByController, Unanswered
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram, Telegram

#: Of requests for old results, which later revisions do not change.
REVISION: Final = 1
#: A controller may refuse an id that it does have: it is asked for so often.
ATTEMPTS: Final = 2
#: The answer to 0103 of a controller that sends no pushes, so that none is taken for an answer.
NOT_SUBSCRIBED: Final = 34


class MultiSpindle:
    """Multi-spindle results of one session. Who is subscribed is refused old ones, so that ends meanwhile."""

    def __init__(
        self, *, link: ControllerLink, capture: ControllerCapture, clock: Clock, per_s: float
    ) -> None:
        """Nothing is subscribed yet; at most `per_s` old results are asked for in a second."""
        self._link = link
        self._capture = capture
        self._clock = clock
        self._pace = Pace(per_s)
        self._offered = True
        #: A question got no answer: no further one is asked until the subscription is taken again.
        self._silent = False
        #: The controller did not end the subscription: what answers a question may have been pushed.
        self._pushes = False
        #: On first contact there is nothing before what is pushed.
        self._looked = capture.spindles.ids.last is None
        #: The newest sync id of the sessions before, where the controller does not have it any more.
        self._gone: int | None = None
        self.subscribed = False

    @property
    def is_behind(self) -> bool:
        """Whether results are missing that can be asked for, or are to be named as missing."""
        ids = self._capture.spindles.ids
        return self.subscribed and (bool(ids.missing) or ids.lowest is not None or not self._looked)

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
        await self._unsubscribe()
        async for observation in self._fetched(facts):
            yield observation
        # What is made between the last question and this is missing with the next push, and asked for then.
        if not await self.subscribe():
            raise DeviceUnavailable(
                "the controller does not take the subscription of multi-spindle results again"
            )
        self._looked = True

    async def _unsubscribe(self) -> None:
        try:
            await self._link.ask(Telegram(mid=Mid.MULTI_UNSUBSCRIBE), Mid.ACCEPTED, optional=True)
        except RefusedByController as error:
            self._pushes = error.code != NOT_SUBSCRIBED
        else:
            self._pushes = False

    async def _fetched(self, facts: SessionFacts) -> AsyncIterator[Observation]:
        self._silent = False
        for each in (self._newest, self._missing, self._below, self._upward):
            async for observation in each(facts):
                yield observation

    async def _newest(self, facts: SessionFacts) -> AsyncIterator[Observation]:
        """See once a session whether the newest sync id still means the same result."""
        newest = self._capture.spindles.ids
        if self._looked or newest.last is None:
            return
        answer = await self._ask(newest.last)
        if answer is None:
            self._gone = newest.last if self._offered and not self._silent else None
        elif _is_another(answer, newest.time):
            for observation in self._read(answer, facts, take=sync_ids.begin_anew):
                yield observation

    async def _missing(self, facts: SessionFacts) -> AsyncIterator[Observation]:
        """Fetch the ids that were skipped, and name those that are not there."""
        spindles = self._capture.spindles
        missing = spindles.ids.missing
        for sync in missing:
            answer = await self._ask(sync)
            for observation in self._read(answer, facts) if answer is not None else ():
                yield observation
        still = [sync for sync in missing if sync in spindles.ids.missing]
        ledger, now = self._capture.tracker.ledger, self._clock.stamp()
        for gap in spindles.give_up(still, facts, ledger, now, f"multi-spindle results: {self._why()}"):
            yield gap
        if self._gone is not None and (self._gone + 1) % COUNT in still:
            why = f"sync id {self._gone} is not stored any more: the ids may have begun anew since"
            yield spindles.doubt(facts, ledger, now, self._gone, why)
            self._gone = None
        elif not {COUNT - 1, 0}.isdisjoint(still):
            # Only who has both has seen the ids pass from the highest one to 0.
            why = "one next to the highest sync id was not found: the ids may have begun anew before that"
            yield spindles.doubt(facts, ledger, now, still[0] - 1, why)

    async def _below(self, facts: SessionFacts) -> AsyncIterator[Observation]:
        """Fetch what was made before the first known result of ids that began anew, newest first."""
        spindles = self._capture.spindles
        upper = spindles.ids.time
        while (lowest := spindles.ids.lowest) is not None:
            below = (lowest - 1) % COUNT
            answer = await self._ask(below)
            time = decode(answer.telegram).text("timestamp") if answer is not None else None
            if answer is None or not time or not _lies_between(time, spindles.ids.since, upper):
                spindles.looked_below()
                return
            upper = time
            for observation in self._read(answer, facts, take=sync_ids.take_below):
                yield observation

    async def _upward(self, facts: SessionFacts) -> AsyncIterator[Observation]:
        """Fetch what the controller made since the newest one: ids come again, times do not."""
        spindles = self._capture.spindles
        while spindles.ids.last is not None:
            sync = spindles.ids.following
            answer = await self._ask(sync)
            if answer is None or (decode(answer.telegram).text("timestamp") or "") < spindles.ids.time:
                return
            for observation in self._read(answer, facts):
                yield observation
            if spindles.ids.last != sync:
                return

    def _why(self) -> str:
        """Return why results could not be fetched."""
        if not self._offered:
            return "old ones are not offered (0104)"
        if self._silent:
            return "a request for old ones got no answer in time (0104)"
        return "the controller has them no more (0104)"

    def _read(
        self,
        received: ReceivedTelegram,
        facts: SessionFacts,
        take: Callable[[SyncLedger, int, str], SyncStep] = sync_ids.take,
    ) -> list[Observation]:
        ledger = self._capture.tracker.ledger
        return self._capture.spindles.read(received, facts, ledger, live=self._pushes, take=take)

    async def _ask(self, sync: int) -> ReceivedTelegram | None:
        question = Telegram(mid=Mid.MULTI_OLD_REQUEST, revision=REVISION, data=f"01{sync:010d}".encode())
        for _ in range(ATTEMPTS if self._offered and not self._silent else 0):
            await self._pace.turn()
            asked = self._clock.stamp()
            try:
                answer = await self._link.ask(
                    question, Mid.MULTI_RESULT, accept=lambda each: _is_of(each, sync), optional=True
                )
            except Unanswered:
                self._silent = True
                self._capture.spindles.asked(sync, asked)
                return None
            except RefusedByController as error:
                if error.code in STEP_DOWN | UNSUPPORTED:
                    self._offered = False
                    return None
            else:
                if self._pushes:
                    self._capture.spindles.asked(sync, asked)
                return answer
        return None


def _is_of(telegram: Telegram, sync: int) -> bool:
    return decode(telegram).number("sync_tightening_id") == sync


def _is_another(answer: ReceivedTelegram, time: str) -> bool:
    """Whether a stored result is not the one of that time."""
    stored = decode(answer.telegram).text("timestamp")
    return bool(time and stored) and stored != time


def _lies_between(time: str, since: str, upper: str) -> bool:
    """Whether a result was made after `since` and before `upper`; a clock that fell back tells only one."""
    return time <= upper and (time > since or upper <= since)
