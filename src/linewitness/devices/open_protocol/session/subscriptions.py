"""Subscribe to what a controller offers, in the revision that it takes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from linewitness.base.errors import DeviceRefused, DeviceUnavailable
from linewitness.devices.open_protocol.ledger.state import HistoryMode
from linewitness.devices.open_protocol.ledger.tracker import ResultTracker
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness.devices.open_protocol.session import handshake
from linewitness.devices.open_protocol.session.link import ControllerLink
from linewitness.devices.open_protocol.session.multi_spindle import MultiSpindle
from linewitness.devices.open_protocol.session.revisions import LearnedRevisions
from linewitness.devices.open_protocol.session.silence import MemorySilence
from linewitness.devices.open_protocol.session.stored_results import StoredResults
from linewitness.devices.open_protocol.wire.mids import Mid

#: The setting that asks for multi-spindle results.
SPINDLES: Final = "multi_spindle"


class Subscriptions:
    """The subscriptions of one session."""

    def __init__(
        self,
        *,
        options: OpenProtocolOptions,
        link: ControllerLink,
        tracker: ResultTracker,
        stored: StoredResults,
        multi_spindle: MultiSpindle,
        silence: MemorySilence,
    ) -> None:
        """Nothing is subscribed yet."""
        self._options = options
        self._link = link
        self._tracker = tracker
        self._stored = stored
        self._multi_spindle = multi_spindle
        self._silence = silence
        #: Why the controller refuses what the settings ask for, by their names; None before it was asked.
        self.refused: Mapping[str, str] | None = None

    async def begin(self, learned: LearnedRevisions) -> LearnedRevisions:
        """Make sure that the ids still mean the same, and subscribe; return what is known of revisions now.

        Raises `DeviceRefused` where the controller offers no results in the wanted form.
        """
        if self._options.results == "operations":
            await self._operations()
        elif self._options.results == "tightenings":
            learned = await self._tightenings(learned)
        refused: dict[str, str] = {}
        if self._options.multi_spindle and not self._multi_spindle.subscribed:
            refused |= await self._spindles_too()
        refused |= await handshake.subscribe_more(self._link, self._options, self._silence)
        self.refused = refused
        return learned

    async def again(self) -> None:
        """Ask once more for multi-spindle results that were refused for the moment."""
        if self.refused and SPINDLES in self.refused and not self._multi_spindle.subscribed:
            others = {name: why for name, why in self.refused.items() if name != SPINDLES}
            self.refused = await self._spindles_too() | others

    async def _spindles_too(self) -> dict[str, str]:
        """Subscribe to multi-spindle results beside others; return why they are refused.

        Raises `DeviceUnavailable` where that passes, unless it did so in several connections in a row.
        """
        try:
            offered = await self._spindles()
        except DeviceUnavailable as error:
            if not self._silence.refused_again():
                raise
            return {SPINDLES: str(error)}
        self._silence.refused_no_more()
        return {} if offered else {SPINDLES: f"MID {Mid.MULTI_SUBSCRIBE:04d} is not offered"}

    async def _tightenings(self, learned: LearnedRevisions) -> LearnedRevisions:
        options, highest = self._options, handshake.RESULT_REVISIONS[0]
        asked = learned.result.begin_with(highest)
        self._stored.results.use_revision(options.result_revision or asked)
        await self._stored.establish(options.start_after)
        # Subscribed before the first back-fill asks for the newest result: nothing falls between.
        try:
            revision = await handshake.subscribe_results(
                self._link, options.name, options.result_revision, asked
            )
        except handshake.NoResultsOffered:
            if options.result_revision is not None or not await self._spindles():
                raise
            self._silence.say_not_offered(Mid.RESULT_SUBSCRIBE, instead="multi-spindle results (0101)")
            return learned
        if revision is None:
            await self._go_on_unsubscribed()
            return learned
        self._stored.results.use_revision(revision)
        if options.result_revision is None and revision <= highest:
            learned = replace(learned, result=learned.result.found(asked, revision, highest))
        return learned

    async def _go_on_unsubscribed(self) -> None:
        """Capture from the memory or multi-spindle results alone where no subscription is answered."""
        if self._tracker.ledger.mode is HistoryMode.NONE:
            if await self._spindles():
                return
            raise DeviceUnavailable(
                f"{self._options.name} answers neither the subscription to results (0060) nor requests for "
                "old ones (0064)",
                hint="enable results over Open Protocol there, or restart the controller",
            )
        self._silence.say_unsubscribed(self._options.reconcile_s)

    async def _operations(self) -> None:
        options = self._options
        await self._stored.establish(options.start_after)
        if not await self._stored.operations.subscribe():
            raise DeviceRefused(
                f"{options.name} offers no operation results (1201)",
                hint="remove results: operations from this device, or check the controller's licence",
            )

    async def _spindles(self) -> bool:
        offered = await self._multi_spindle.subscribe()
        if not offered:
            self._silence.say_not_offered(Mid.MULTI_SUBSCRIBE)
        return offered
