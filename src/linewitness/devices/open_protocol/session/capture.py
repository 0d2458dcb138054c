"""What a session makes of what its controller says: pushes and the ledger's events become observations.

Without a socket: what must be asked before a result is understood is returned as a dialogue of questions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from linewitness.base.clock import Stamp
from linewitness.devices.base import Observation
from linewitness.devices.open_protocol.content.bolts import BoltResults
from linewitness.devices.open_protocol.content.facts import SessionFacts
from linewitness.devices.open_protocol.content.limits import KnownLimits
from linewitness.devices.open_protocol.content.notices import NoticeReader
from linewitness.devices.open_protocol.content.observations import LedgerObservations
from linewitness.devices.open_protocol.content.operations import record_of
from linewitness.devices.open_protocol.content.pairs import SyncPairs
from linewitness.devices.open_protocol.content.spindles import SpindleResults
from linewitness.devices.open_protocol.content.tightening import place_of, pushed_entry_of
from linewitness.devices.open_protocol.content.tool_counter import ToolCounter
from linewitness.devices.open_protocol.content.tool_swaps import ToolSwaps
from linewitness.devices.open_protocol.content.traces import trace_of
from linewitness.devices.open_protocol.ledger.events import NewResult
from linewitness.devices.open_protocol.ledger.known_names import KnownNames
from linewitness.devices.open_protocol.ledger.rules import ResultComparison
from linewitness.devices.open_protocol.ledger.state import ResultLedger, ResultRecord
from linewitness.devices.open_protocol.ledger.tracker import ResultTracker
from linewitness.devices.open_protocol.session import recovery
from linewitness.devices.open_protocol.session.operation_collector import OperationCollector
from linewitness.devices.open_protocol.session.recovery import Asking
from linewitness.devices.open_protocol.wire.codec import decode
from linewitness.devices.open_protocol.wire.mids import Mid
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram
from linewitness.devices.open_protocol.wire.variable import MalformedVariable

#: Unreadable telegrams and traces whose repeat is recognised.
RETAINED: Final = 400
CYCLES: Final = frozenset({Mid.CYCLE_RESULT, Mid.CYCLE_BOLT})
OPERATIONS: Final = frozenset({Mid.OPERATION_RESULT, Mid.OPERATION_OBJECT})


@dataclass(frozen=True, slots=True)
class CapturedPush:
    """What a push gave: observations in order, and questions where it contradicts the ledger.

    Exactly one observation of a push, the ones that come of the questions included, is to be confirmed.
    """

    observations: Sequence[Observation]
    record: ResultRecord | None = None
    questions: Asking | None = None


class ControllerCapture:
    """The state of one session: ledger, known names, and the last state of alarms, parameter set and tool."""

    def __init__(
        self,
        *,
        ledger: ResultLedger,
        station: int | None,
        operations: OperationCollector,
        remembered: Mapping[str, str],
        multi_spindle: bool = False,
    ) -> None:
        """Start from what was committed; `station` is our own where ids are shared with others.

        With `multi_spindle`, or once spindles are subscribed, a tightening may come as a spindle's result
        too, and counts once.
        """
        self.tracker = ResultTracker(ledger=ledger, station=station, remembered=remembered)
        self.limits = KnownLimits()
        self.notices = NoticeReader(remembered)
        self.tool_counter = ToolCounter(remembered)
        self.tool_swaps = ToolSwaps()
        pairs = SyncPairs(remembered)
        self.spindles = SpindleResults(remembered, pairs)
        pairs.expects_spindles = multi_spindle or self.spindles.ids.last is not None
        self._pairs = pairs
        self._observations = LedgerObservations(self.limits, pairs)
        self._operations = operations
        self._bolts = BoltResults(remembered)
        self._traces = KnownNames(prefix="trace/", retained=RETAINED, remembered=remembered)
        self._unreadable = KnownNames(prefix="unreadable/", retained=RETAINED, remembered=remembered)

    def take(
        self, content: ResultRecord | Sequence[Observation], facts: SessionFacts, now: Stamp
    ) -> CapturedPush:
        """Take in one push that was read. Each is handed out once, to be confirmed when it is durable."""
        if not isinstance(content, ResultRecord):
            return CapturedPush(content)
        comparison = self.tracker.take(content)
        contradicts = comparison in {ResultComparison.CONFLICT, ResultComparison.SUSPECT}
        questions = recovery.resolve(self.tracker, content) if contradicts else None
        return CapturedPush(self.observations(facts, now), content, questions)

    def observations(self, facts: SessionFacts, now: Stamp) -> list[Observation]:
        """Return what happened to the ledger since the last call, to be handed out before any wait."""
        found: list[Observation] = []
        for event in self.tracker.events():
            said = self._observations.of(event, facts, now)
            if isinstance(event, NewResult) and not event.same_as:
                counted = self.tool_counter.count(live=event.record.live)
                said = tuple(replace(each, remember={**each.remember, **counted}) for each in said)
            found += said
        return found

    def expect_spindles(self) -> None:
        """Note that spindles are subscribed: a tightening may come as a spindle's result too."""
        self._pairs.expects_spindles = True

    @property
    def clock_jumped(self) -> bool:
        """Whether a result's time was so far from its reception that the controller's clock is suspect."""
        return self._observations.clock_jumped

    def clock_followed(self) -> None:
        """Note that the controller's clock is measured again."""
        self._observations.clock_jumped = False

    def read(self, received: ReceivedTelegram, facts: SessionFacts) -> ResultRecord | Sequence[Observation]:
        """Return the result that the ledger must judge, or what the push says by itself."""
        mid = received.telegram.mid
        if mid == Mid.RESULT:
            return self._tightening(received, facts)
        if mid in OPERATIONS:
            return self._operation(received, facts)
        if mid == Mid.MULTI_RESULT:
            return self.spindles.read(received, facts, self.tracker.ledger)
        if mid in CYCLES:
            return self._bolts.read(received, facts, self.tracker.ledger)
        if mid == Mid.TRACE:
            return [trace_of(received, facts, self.tracker.ledger, self._traces)]
        return [self.notices.read(received, facts)]

    def _tightening(
        self, received: ReceivedTelegram, facts: SessionFacts
    ) -> ResultRecord | Sequence[Observation]:
        decoded = decode(received.telegram)
        entry = pushed_entry_of(decoded)
        if entry is None:
            # Its id is not known, so the ledger will miss it and ask for the stored copy.
            return self._unread(received, facts, decoded.problem or "no tightening id")
        return ResultRecord(
            entry=entry,
            live=True,
            received=received,
            content=decoded,
            place=place_of(decoded),
            id_is_blank=decoded.number("tightening_id") is None,
        )

    def _operation(
        self, received: ReceivedTelegram, facts: SessionFacts
    ) -> ResultRecord | Sequence[Observation]:
        try:
            operation = self._operations.push(received)
        except MalformedVariable as error:
            return self._unread(received, facts, str(error))
        return [facts.seen(received)] if operation is None else record_of(operation, received, live=True)

    def _unread(self, received: ReceivedTelegram, facts: SessionFacts, problem: str) -> Sequence[Observation]:
        name = received.digest
        if name in self._unreadable:
            return [facts.seen(received)]
        remember = self._unreadable.add(name)
        number = str(self._unreadable.count)
        return [facts.undecodable(received, self.tracker.ledger, problem, name=number, remember=remember)]
