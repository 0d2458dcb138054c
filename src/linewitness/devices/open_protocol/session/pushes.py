"""Take in what a controller pushes: results into the book, everything else straight into observations."""

from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Final

from linewitness.devices.base import Observation
from linewitness.devices.open_protocol.content.notices import NoticeReader
from linewitness.devices.open_protocol.content.spindles import SpindleResults
from linewitness.devices.open_protocol.content.telling import Telling, digest
from linewitness.devices.open_protocol.content.tightening import entry_of
from linewitness.devices.open_protocol.content.traces import trace_of
from linewitness.devices.open_protocol.ledger.known_names import KnownNames
from linewitness.devices.open_protocol.ledger.rules import ResultComparison
from linewitness.devices.open_protocol.ledger.tracker import ResultRecord, ResultTracker
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness.devices.open_protocol.session import recovery
from linewitness.devices.open_protocol.session.observations import Reporter
from linewitness.devices.open_protocol.session.operation_collector import OperationCollector
from linewitness.devices.open_protocol.session.recovery import Answer
from linewitness.devices.open_protocol.wire.codec import decode
from linewitness.devices.open_protocol.wire.mids import Mid
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram
from linewitness.devices.open_protocol.wire.variable import MalformedVariable

#: Unreadable telegrams and traces whose repeat is recognised.
RETAINED: Final = 400
OPERATIONS: Final = frozenset({Mid.OPERATION_RESULT, Mid.OPERATION_OBJECT})

Drive = Callable[[Generator[int, Answer, None]], Awaitable[None]]


class PushReader:
    """What is done with each push, in the order in which they come."""

    def __init__(
        self,
        *,
        options: OpenProtocolOptions,
        reporter: Reporter,
        pushed: NoticeReader,
        book: ResultTracker,
        collector: OperationCollector,
        drive: Drive,
        put: Callable[[Observation], None],
        remembered: Mapping[str, str],
    ) -> None:
        """`drive` runs a dialogue of questions, `put` hands an observation out."""
        self._reporter = reporter
        self._pushed = pushed
        self._book = book
        self._collector = collector
        self._drive = drive
        self._put = put
        self._spindles = SpindleResults(options=options, reporter=reporter, remembered=remembered)
        self._traces = KnownNames(prefix="trace/", retained=RETAINED, remembered=remembered)
        self._unreadable = KnownNames(prefix="unreadable/", retained=RETAINED, remembered=remembered)

    async def take(self, received: ReceivedTelegram) -> None:
        """Take in one push; each is handed out once, to be confirmed when it is durable."""
        mid = received.telegram.mid
        if mid == Mid.RESULT:
            await self._tightening(received)
        elif mid in OPERATIONS:
            await self._operation(received)
        elif mid == Mid.MULTI_RESULT:
            for observation in self._spindles.take(received, self._book.ledger):
                self._put(observation)
        elif mid == Mid.TRACE:
            self._put(trace_of(received, self._reporter, self._book.ledger, self._traces))
        else:
            self._put(self._pushed.take(received))

    async def _tightening(self, received: ReceivedTelegram) -> None:
        decoded = decode(received.telegram)
        entry = entry_of(decoded)
        if entry is None:
            # Its id is not known, so the ledger will miss it and ask for the stored copy.
            self._unread(received, decoded.problem or "no tightening id")
            return
        await self._record(ResultRecord(entry=entry, live=True, telegram=Telling(received, decoded)))

    async def _operation(self, received: ReceivedTelegram) -> None:
        try:
            operation = self._collector.push(received)
        except MalformedVariable as error:
            self._unread(received, str(error))
            return
        if operation is None:
            self._put(self._reporter.seen(received))
            return
        await self._record(operation.record(live=True))

    async def _record(self, record: ResultRecord) -> None:
        if self._book.take(record) in {ResultComparison.CONFLICT, ResultComparison.SUSPECT}:
            await self._drive(recovery.resolve(self._book, record))

    def _unread(self, received: ReceivedTelegram, problem: str) -> None:
        name = digest(received.raw)
        if name in self._unreadable:
            self._put(self._reporter.seen(received))
            return
        self._put(
            self._reporter.undecodable(
                received, self._book.ledger, problem, live=True, remember=self._unreadable.add(name)
            )
        )
