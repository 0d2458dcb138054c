"""Find the records that a plant wants to know of at once, where others wait to be sent before them."""

import asyncio
import functools
from collections import deque
from typing import Final

import orjson
import structlog

from linewitness.gateway.receipts import ReceiptJudge
from linewitness.journal.journal import Journal
from linewitness.journal.reader import JournalReader
from linewitness.status.health import NoticeCounts

log = structlog.get_logger()

#: Notices that may wait; then the oldest gives way to the newest, and is counted.
MOST_WAITING: Final = 1000
#: Fewer records without a receipt are no backlog: they are sent as soon as a notice would be.
BACKLOG: Final = 256
#: Of the backlog that a start finds, so many of the newest records are looked through.
LOOK_BACK: Final = 5000
#: The journal's reader is asked for so many records at once, and at most this often.
PAGE: Final = 500
LOOK_S: Final = 0.2

#: Kinds that are an alarm in themselves.
ALARMS: Final = frozenset({"alarm.raised", "gate.closed", "source.conflict", "source.gap"})
#: Kinds that are one if a value, the result or the confirmation in them is not ok.
IF_NOT_OK: Final = frozenset({"tightening.result", "measurement.result", "unit.left", "gate.opened"})
_NOT_OK: Final = frozenset({"low", "high", "nok"})
#: A record without any of these is not parsed. Inside of a text the quotes would be escaped.
_MARKS: Final = (
    *(f'"kind":"{kind}"'.encode() for kind in sorted(ALARMS)),
    *(f'"status":"{status}"'.encode() for status in sorted(_NOT_OK)),
)


def is_alarm(data: bytes) -> bool:
    """Return whether a record, given as its exact bytes, is one that cannot wait."""
    if not any(mark in data for mark in _MARKS):
        return False
    members = orjson.loads(data)
    kind = members["kind"]
    if kind in ALARMS:
        return True
    return kind in IF_NOT_OK and any(change.get("status") in _NOT_OK for change in members["changes"])


class AlarmWatch:
    """The numbers of the alarms that wait for their notice, the newest first; bounded.

    It follows the journal also while there is no connection. Where there is no backlog it reads nothing.
    """

    def __init__(self, journal: Journal, judge: ReceiptJudge, *, counts: NoticeCounts) -> None:
        """Begin without any; `counts` shows what came of them."""
        self._journal = journal
        self._judge = judge
        self.counts = counts
        self._waiting: deque[int] = deque()
        self._found = asyncio.Event()

    async def run(self) -> None:
        """Look through what the journal gets while records wait to be sent."""
        newest = await self._journal.read(lambda reader: reader.newest_receipt())
        receipted = newest[0] if newest else 0
        looked = max(0, self._journal.head.size - LOOK_BACK)
        size = 0
        while True:
            size = await self._journal.wait_beyond(size)
            receipted = max(receipted, self._judge.receipted)
            looked = max(looked, receipted)
            while looked < size and size - receipted > BACKLOG:
                last = min(looked + PAGE, size)
                for sequence_no in await self._journal.read(functools.partial(_alarms, looked, last)):
                    self._add(sequence_no)
                looked = last
            await asyncio.sleep(LOOK_S)

    async def newest(self) -> int:
        """Wait until an alarm waits for its notice, and return the number of the newest."""
        while not self._waiting:
            self._found.clear()
            await self._found.wait()
        return self._waiting[-1]

    def done(self, sequence_no: int, *, sent: bool) -> None:
        """Take an alarm out: its notice was sent, or its record goes as soon."""
        if sequence_no in self._waiting:
            self._waiting.remove(sequence_no)
        self.counts.sent += sent
        self.counts.waiting = len(self._waiting)

    def _add(self, sequence_no: int) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            if not self.counts.dropped:
                hint = "the oldest alarms reach the store with their records, in order"
                log.warning("more alarms than notices can wait: the oldest give way", hint=hint)
            self.counts.dropped += 1
        self._waiting.append(sequence_no)
        self.counts.waiting = len(self._waiting)
        self._found.set()


def _alarms(first: int, last: int, reader: JournalReader) -> list[int]:
    return [sequence_no for sequence_no, data in reader.records(first, last) if is_alarm(data)]
