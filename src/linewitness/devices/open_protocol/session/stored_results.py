"""What the controller's memory is asked in one session, while there is room for what comes."""

from collections.abc import Awaitable, Callable

from linewitness.devices.open_protocol.content.limits import KnownLimits
from linewitness.devices.open_protocol.ledger.state import HistoryMode, ResultRecord
from linewitness.devices.open_protocol.ledger.tracker import ResultTracker
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness.devices.open_protocol.session import recovery
from linewitness.devices.open_protocol.session.history import ResultHistory
from linewitness.devices.open_protocol.session.link import ControllerLink
from linewitness.devices.open_protocol.session.operation_history import OperationHistory
from linewitness.devices.open_protocol.session.recovery import Answer, Asking, NoResult
from linewitness.devices.open_protocol.session.silence import MemoryPaused, MemorySilence


class StoredResults:
    """Puts the questions of `recovery` to the controller, and its answers into the ledger."""

    def __init__(
        self,
        *,
        options: OpenProtocolOptions,
        link: ControllerLink,
        tracker: ResultTracker,
        limits: KnownLimits,
        silence: MemorySilence,
        names_stations: bool,
        hand_out: Callable[[], None],
        room: Callable[[], Awaitable[None]],
    ) -> None:
        """`hand_out` is called before each wait, with what happened to the ledger; `room` is what limits it.

        `names_stations`: stored results of this controller are known to name their station.
        """
        self._options = options
        self._tracker = tracker
        self._silence = silence
        self._hand_out = hand_out
        self._room = room
        per_s = options.back_fill_per_s
        self.results = ResultHistory(
            link=link, limits=limits, per_s=per_s, silence=silence, names_stations=names_stations
        )
        self.operations = OperationHistory(link=link, per_s=per_s, silence=silence)

    async def establish(self, start_after: int | None) -> None:
        """Make sure that the ids still mean what they meant."""
        await self._drive(recovery.establish(self._tracker, start_after))

    async def back_fill(self, *, again: bool) -> None:
        """Fetch what is missing; `again` asks for lost results too."""
        ended = await self._drive(recovery.back_fill(self._tracker, again=again))
        if again and ended and not self._silence.paused:
            self._silence.round_ended()
        if again and self._silence.paused:
            # As after other rounds in vain: what stays missing is named, and fetched when it turns up.
            self._tracker.give_up_round()
            self._hand_out()

    async def resolve(self, questions: Asking, record: ResultRecord) -> None:
        """Decide about a live result that contradicts what is known, whatever the memory does."""
        if not await self._drive(questions):
            await self._drive(recovery.resolve(self._tracker, record))

    async def _drive(self, asking: Asking) -> bool:
        """Ask what `asking` wants to know. False where an answer did not come, and nothing is concluded."""
        if self._options.results == "powermacs":
            asking.close()  # it has no 0064, and sends again by itself what it stored
            return True
        try:
            number = next(asking)
            while True:
                self._hand_out()
                await self._room()
                number = asking.send(await self._ask(number))
        except StopIteration:
            self._hand_out()
        except MemoryPaused:
            asking.close()
            self._hand_out()
            return False
        return True

    async def _ask(self, number: int) -> Answer:
        """Return a stored result, or why there is none."""
        ledger, silence = self._tracker.ledger, self._silence
        if silence.paused:
            return NoResult.UNREADABLE
        if ledger.mode is HistoryMode.EXACT and number not in ledger.known and silence.skips(number):
            return NoResult.ABSENT
        if self._options.results == "operations":
            return await self.operations.ask(number)
        answer = await self.results.ask(number)
        if isinstance(answer, ResultRecord) and self._may_be_of_another_station(answer):
            silence.station_is_missing()
        return answer

    def _may_be_of_another_station(self, record: ResultRecord) -> bool:
        """Whether a stored result names no station, in a lower revision than those that did."""
        shared = self.results.names_stations and self._tracker.station is not None
        return shared and record.station is None and self._options.result_revision is None
