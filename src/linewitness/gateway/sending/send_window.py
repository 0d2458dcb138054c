"""Which records go to the store next: the cursor, the batches without a receipt, and what is sent again."""

import asyncio
from typing import Final

import structlog

from linewitness.base.clock import monotonic
from linewitness.gateway.receipts import ReceiptJudge
from linewitness.journal.journal import Journal
from linewitness.uplink.forwarding import ForwardOptions

log = structlog.get_logger()

#: What the store asks for again is sent again at most this often.
REPEAT_S: Final = 1.0
#: A batch that no store received goes again after this long.
STORE_AWAY_S: Final = 1.0
#: After so many repetitions without any receipt a warning is logged.
IN_VAIN: Final = 5


class SendWindow:
    """The batches that were sent and have no receipt, and the answers of the store that move them on.

    `answered` and `grown` come from the tasks that listen; `next_cursor` and `changed` are for the one
    task that sends.
    """

    def __init__(self, judge: ReceiptJudge, *, journal: Journal, options: ForwardOptions) -> None:
        """Begin with nothing sent."""
        self._judge = judge
        self._journal = journal
        self._options = options
        self._wake = asyncio.Event()
        self._asked_again = False
        self._repeated_at = float("-inf")
        self._in_vain = 0
        self._sent: list[int] = []
        self._repeat_expected = False
        self._resting = 0
        self._unheard = False
        #: The newest answer is one that the broker retained: it may be older than the store's state.
        self.retained = False
        #: The store has answered what it was asked last.
        self.heard = asyncio.Event()

    @property
    def empty(self) -> bool:
        """Return whether nothing waits for a receipt."""
        return not self._sent

    @property
    def reached(self) -> int:
        """The number of records that were sent over this connection or have a receipt."""
        return self._sent[-1] if self._sent else self._judge.held

    @property
    def in_question(self) -> list[int]:
        """Return where the store can stand: at each batch that was sent without a receipt, largest first."""
        held = self._judge.held
        return [*(size for size in reversed(self._sent) if size > held), held]

    def begin(self) -> int:
        """Return the cursor of a new connection: all that has no receipt goes again."""
        self._sent = []
        self._resting = 0
        self._unheard = self._asked_again = False
        return self._judge.held

    def rest(self, size: int) -> None:
        """Send nothing below `size` for its own sake: it goes with the next record."""
        self._resting = size

    def unheard(self) -> None:
        """Learn that no store was there to take a batch: what has no receipt goes again."""
        self._unheard = True
        self._wake.set()

    def sent(self, cursor: int) -> None:
        """Record that everything up to `cursor` was sent."""
        self._sent.append(cursor)

    def announced(self) -> None:
        """Record that a checkpoint was sent whose records are not: the store may repeat its receipt."""
        self._repeat_expected = True

    def answered(self, *, asks: bool, held_before: int, retained: bool) -> None:
        """Take an answer of the store that the judge has verified; `asks` where it covers nothing new.

        The store repeats its newest receipt where it started anew or found a hole: it lacks something.
        An older one means that it was restored from a backup. One repetition after an announced head says
        only what we know: a store of version 0.1 repeats its receipt for each.
        """
        self.retained = retained
        repeated = self._judge.held == held_before and not retained
        self._asked_again = asks and not retained and not (repeated and self._repeat_expected)
        if repeated:
            self._repeat_expected = False
        self._wake.set()

    def grown(self) -> None:
        """Learn that the journal has new records."""
        self._wake.set()

    async def changed(self) -> None:
        """Wait for the next answer of the store or new records."""
        self._wake.clear()
        await self._wake.wait()

    async def next_cursor(self, cursor: int) -> int:
        """Wait until another batch may go, and return its first record; what must be repeated comes first."""
        deadline = monotonic() + self._options.receipt_timeout_s
        while True:
            if self._unheard:
                await asyncio.sleep(STORE_AWAY_S)
                self._unheard, self._sent = False, []
            held = self._judge.held
            if self._sent and held >= self._sent[0]:
                deadline = monotonic() + self._options.receipt_timeout_s
                self._sent = [size for size in self._sent if size > held]
                self._in_vain = 0
            cursor = max(cursor, held) if self._sent else held
            if len(self._sent) < self._options.in_flight and self._journal.head.size > max(
                cursor, self._resting
            ):
                return cursor
            try:
                async with asyncio.timeout_at(deadline if self._sent else None):
                    await self._wake.wait()
                self._wake.clear()
                repeat = self._must_repeat()
            except TimeoutError:
                repeat = True
            if repeat:
                self._log_repetition(cursor)
                self._sent = []
                self._repeated_at = monotonic()
                deadline = self._repeated_at + self._options.receipt_timeout_s

    def _must_repeat(self) -> bool:
        """Return whether the store asked for what was sent already; at most once in `REPEAT_S`."""
        asked, self._asked_again = self._asked_again, False
        return asked and bool(self._sent) and monotonic() - self._repeated_at > REPEAT_S

    def _log_repetition(self, cursor: int) -> None:
        """Log what is sent again; a warning, once, where the store takes nothing for a while."""
        held = self._judge.held
        self._in_vain += 1
        if self._in_vain == IN_VAIN:
            hint = (
                f"check the store's log: it does not run, does not know this gateway (`linewitness store "
                f"enroll`), or refuses record {held}"
            )
            log.warning("the store gives no receipt for what is sent", since=held, sent=cursor, hint=hint)
        else:
            log.info("sending again what has no receipt", since=held, sent=cursor)
