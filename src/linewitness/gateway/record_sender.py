"""Send records and checkpoints over one connection, in order, from what the store holds."""

import asyncio
import contextlib
from typing import Final

import structlog

from linewitness.evidence.format.record import is_signed
from linewitness.gateway.broker_link import BrokerLink, UplinkStatusSink
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.receipts import ReceiptJudge
from linewitness.gateway.send_window import SendWindow
from linewitness.journal.journal import Journal
from linewitness.uplink.forwarding import ForwardOptions
from linewitness.uplink.reasons import NO_MATCHING_SUBSCRIBERS
from linewitness.uplink.topics import Topics

log = structlog.get_logger()

#: A few receipt records alone are not sent for this long: each batch causes another one.
QUIET_S: Final = 60.0
#: A batch that no store received goes again after this long.
STORE_AWAY_S: Final = 1.0
#: The store's last answer is retained at the broker, and comes at once after subscribing, if there is any.
FIRST_ANSWER_S: Final = 1.0
_RECEIPT_RECORD: Final = b'"kind":"custody.received"'
_FEW: Final = 8


class RecordSender:
    """The task that sends the stream's records."""

    def __init__(
        self,
        window: SendWindow,
        judge: ReceiptJudge,
        *,
        journal: Journal,
        signer: CheckpointSigner,
        topics: Topics,
        options: ForwardOptions,
        health: UplinkStatusSink,
    ) -> None:
        """Take where records come from, who signs checkpoints, and what limits the sending."""
        self._window = window
        self._judge = judge
        self._journal = journal
        self._signer = signer
        self._topics = topics
        self._options = options
        self._health = health

    async def run(self, link: BrokerLink) -> None:
        """Send until cancelled or until the connection breaks.

        Crash or break anywhere here: the cursor is the receipt, so everything after it goes again.
        """
        await self.first_answer()
        cursor = self._window.begin()
        while True:
            cursor = await self._window.next_cursor(cursor)
            batch = await self._batch(cursor)
            if self._window.empty and self._judge.held < cursor:
                continue
            if self._judge.contradiction is not None:
                await asyncio.Event().wait()
            if not batch:
                await (self._ask_store(link) if self._window.retained else self._cannot_serve(link, cursor))
                cursor = self._judge.held
                continue
            taken = await self._publish(link, cursor, batch)
            if not taken:
                await asyncio.sleep(STORE_AWAY_S)
                continue
            cursor += taken
            self._window.sent(cursor)
            note = await self._signer.at(cursor)
            await link.publish(self._topics.checkpoint, note.encode(), retain=True)
            await asyncio.sleep(self._options.pause_s(sum(len(data) + 1 for data in batch)))

    async def _publish(self, link: BrokerLink, first: int, batch: list[bytes]) -> int:
        """Send a batch, and the rest of its last commit; return the number of records, 0 without a store.

        The store holds no record before the one that vouches for it.
        """
        sent = 0
        while batch:
            if await link.publish(self._topics.records, b"\n".join(batch) + b"\n") == NO_MATCHING_SUBSCRIBERS:
                return 0
            sent += len(batch)
            if is_signed(batch[-1]):
                break
            batch = await self._read(first + sent)
        return sent

    async def first_answer(self) -> None:
        """Wait for the store's last answer before sending: a restored journal must not add to a fork."""
        if self._judge.verified:
            return
        with contextlib.suppress(TimeoutError):  # a store that never answered for this stream retains nothing
            async with asyncio.timeout(FIRST_ANSWER_S):
                await self._window.heard.wait()

    async def _ask_store(self, link: BrokerLink) -> None:
        """Ask the store what it holds: a broker that was killed retains an older answer of it."""
        while self._window.retained and self._judge.contradiction is None:
            await self._ask(link)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.receipt_timeout_s):
                    await self._live_answer()

    async def _ask(self, link: BrokerLink) -> None:
        """Send a checkpoint that the store answers with its newest receipt."""
        note = await self._signer.at(self._judge.held)
        await link.publish(self._topics.checkpoint, note.encode())

    async def _live_answer(self) -> None:
        while self._window.retained:
            await self._window.changed()

    async def _cannot_serve(self, link: BrokerLink, cursor: int) -> None:
        """Raise an alarm where the store needs records that were pruned; wait for another answer.

        The store is asked first, and again and again: an answer that covers less than the one before may
        be an old receipt, or the empty message, that somebody else has sent.
        """
        held = self._judge.held
        if await self._asked_in_vain(link, held):
            await self._alarmed(link, cursor, held)

    async def _asked_in_vain(self, link: BrokerLink, held: int) -> bool:
        """Ask the store once, and return whether it stays with what it holds."""
        if self._judge.contradiction is not None:
            await asyncio.Event().wait()
        await self._ask(link)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._options.receipt_timeout_s):
                while self._judge.held == held:
                    await self._window.changed()
        return self._judge.held == held

    async def _alarmed(self, link: BrokerLink, cursor: int, held: int) -> None:
        why = f"the store holds {held} records and needs those from {cursor} on, which were pruned"
        hint = "restore the store from a newer backup, or from the exports and anchors that cover them"
        self._health.uplink("conflict", f"{why} ({hint})")
        log.error("the store lost records that are no longer here", why=why, hint=hint)
        while await self._asked_in_vain(link, held):
            pass
        if self._judge.contradiction is None:
            self._health.uplink("up", "")
            log.info("the store can be served again", held=self._judge.held)

    async def _batch(self, cursor: int) -> list[bytes]:
        """Return the next records; a few receipt records alone wait, because sending them causes more."""
        batch = await self._read(cursor)
        if len(batch) < _FEW and all(_RECEIPT_RECORD in data for data in batch):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(QUIET_S):
                    await self._more_than(cursor + len(batch), cursor)
            batch = await self._read(cursor)
        return batch

    async def _read(self, first: int) -> list[bytes]:
        size = int(self._options.batch_size)
        return await self._journal.read(lambda reader: reader.batch(first, size))

    async def _more_than(self, size: int, cursor: int) -> None:
        """Wait until there are more than `size` records, or the store asks for something before `cursor`."""
        while self._journal.head.size <= size and self._judge.held >= cursor:
            await self._window.changed()
