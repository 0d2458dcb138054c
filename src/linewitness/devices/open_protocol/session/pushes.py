"""Read what a controller pushes: results for the ledger, everything else straight as observations."""

from collections.abc import Mapping, Sequence
from typing import Final

from linewitness.devices.base import Observation
from linewitness.devices.open_protocol.content.facts import SessionFacts
from linewitness.devices.open_protocol.content.notices import NoticeReader
from linewitness.devices.open_protocol.content.operations import record_of
from linewitness.devices.open_protocol.content.spindles import SpindleResults
from linewitness.devices.open_protocol.content.tightening import entry_of
from linewitness.devices.open_protocol.content.traces import trace_of
from linewitness.devices.open_protocol.ledger.known_names import KnownNames
from linewitness.devices.open_protocol.ledger.state import ResultLedger, ResultRecord
from linewitness.devices.open_protocol.session.operation_collector import OperationCollector
from linewitness.devices.open_protocol.wire.codec import decode
from linewitness.devices.open_protocol.wire.mids import Mid
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram
from linewitness.devices.open_protocol.wire.variable import MalformedVariable

#: Unreadable telegrams and traces whose repeat is recognised.
RETAINED: Final = 400
OPERATIONS: Final = frozenset({Mid.OPERATION_RESULT, Mid.OPERATION_OBJECT})


class PushReader:
    """Tells what each push is. One confirmation answers each push, whatever it was."""

    def __init__(
        self, *, notices: NoticeReader, operations: OperationCollector, remembered: Mapping[str, str]
    ) -> None:
        """Start from what was committed."""
        self._notices = notices
        self._operations = operations
        self._spindles = SpindleResults(remembered)
        self._traces = KnownNames(prefix="trace/", retained=RETAINED, remembered=remembered)
        self._unreadable = KnownNames(prefix="unreadable/", retained=RETAINED, remembered=remembered)

    def read(
        self, received: ReceivedTelegram, facts: SessionFacts, ledger: ResultLedger
    ) -> ResultRecord | Sequence[Observation]:
        """Return the result that the ledger must judge, or observations of which one is to be confirmed."""
        mid = received.telegram.mid
        if mid == Mid.RESULT:
            return self._tightening(received, facts, ledger)
        if mid in OPERATIONS:
            return self._operation(received, facts, ledger)
        if mid == Mid.MULTI_RESULT:
            return self._spindles.read(received, facts, ledger)
        if mid == Mid.TRACE:
            return [trace_of(received, facts, ledger, self._traces)]
        return [self._notices.read(received, facts)]

    def _tightening(
        self, received: ReceivedTelegram, facts: SessionFacts, ledger: ResultLedger
    ) -> ResultRecord | Sequence[Observation]:
        decoded = decode(received.telegram)
        entry = entry_of(decoded)
        if entry is None:
            # Its id is not known, so the ledger will miss it and ask for the stored copy.
            return self._unread(received, facts, ledger, decoded.problem or "no tightening id")
        return ResultRecord(entry=entry, live=True, received=received, content=decoded)

    def _operation(
        self, received: ReceivedTelegram, facts: SessionFacts, ledger: ResultLedger
    ) -> ResultRecord | Sequence[Observation]:
        try:
            operation = self._operations.push(received)
        except MalformedVariable as error:
            return self._unread(received, facts, ledger, str(error))
        return [facts.seen(received)] if operation is None else record_of(operation, received, live=True)

    def _unread(
        self, received: ReceivedTelegram, facts: SessionFacts, ledger: ResultLedger, problem: str
    ) -> Sequence[Observation]:
        name = received.digest
        if name in self._unreadable:
            return [facts.seen(received)]
        return [facts.undecodable(received, ledger, problem, remember=self._unreadable.add(name))]
