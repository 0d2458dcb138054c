"""Take in what a controller pushes: results into the book, everything else straight into observations."""

from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Final

from linewitness.devices.base import Observation
from linewitness.devices.open_protocol import recovery
from linewitness.devices.open_protocol.book import Book, Record
from linewitness.devices.open_protocol.codec import decode
from linewitness.devices.open_protocol.ledger import Verdict
from linewitness.devices.open_protocol.link import Received
from linewitness.devices.open_protocol.mids import Mid
from linewitness.devices.open_protocol.operations import Collector
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness.devices.open_protocol.pushed import Pushed
from linewitness.devices.open_protocol.recent import Recent
from linewitness.devices.open_protocol.recovery import Answer
from linewitness.devices.open_protocol.reporting import Reporter
from linewitness.devices.open_protocol.spindles import Spindles
from linewitness.devices.open_protocol.telling import Telling, digest
from linewitness.devices.open_protocol.tightening import entry_of
from linewitness.devices.open_protocol.traces import trace_of
from linewitness.devices.open_protocol.variable import MalformedVariable

#: Unreadable telegrams and traces whose repeat is recognised.
RETAINED: Final = 400
OPERATIONS: Final = frozenset({Mid.OPERATION_RESULT, Mid.OPERATION_OBJECT})

Drive = Callable[[Generator[int, Answer, None]], Awaitable[None]]


class Intake:
    """What is done with each push, in the order in which they come."""

    def __init__(
        self,
        *,
        options: OpenProtocolOptions,
        reporter: Reporter,
        pushed: Pushed,
        book: Book,
        collector: Collector,
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
        self._spindles = Spindles(options=options, reporter=reporter, remembered=remembered)
        self._traces = Recent(prefix="trace/", retained=RETAINED, remembered=remembered)
        self._unreadable = Recent(prefix="unreadable/", retained=RETAINED, remembered=remembered)

    async def take(self, received: Received) -> None:
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

    async def _tightening(self, received: Received) -> None:
        decoded = decode(received.telegram)
        entry = entry_of(decoded)
        if entry is None:
            # Its id is not known, so the ledger will miss it and ask for the stored copy.
            self._unread(received, decoded.problem or "no tightening id")
            return
        await self._record(Record(entry=entry, live=True, telegram=Telling(received, decoded)))

    async def _operation(self, received: Received) -> None:
        try:
            operation = self._collector.push(received)
        except MalformedVariable as error:
            self._unread(received, str(error))
            return
        if operation is None:
            self._put(self._reporter.seen(received))
            return
        await self._record(operation.record(live=True))

    async def _record(self, record: Record) -> None:
        if self._book.take(record) in {Verdict.CONFLICT, Verdict.SUSPECT}:
            await self._drive(recovery.resolve(self._book, record))

    def _unread(self, received: Received, problem: str) -> None:
        name = digest(received.raw)
        if name in self._unreadable:
            self._put(self._reporter.seen(received))
            return
        self._put(
            self._reporter.undecodable(
                received, self._book.ledger, problem, live=True, remember=self._unreadable.add(name)
            )
        )
