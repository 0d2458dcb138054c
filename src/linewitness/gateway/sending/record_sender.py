"""Send records and checkpoints over one connection, in order, from what the store holds."""

import asyncio
import contextlib
from typing import Final

import structlog

from linewitness.base.clock import monotonic
from linewitness.base.compression.frames import pack
from linewitness.base.errors import UplinkTooLarge
from linewitness.evidence.format.record import is_signed
from linewitness.gateway.broker_link import BrokerLink, UplinkStatusSink, publish
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.receipts import ReceiptJudge
from linewitness.gateway.sending.packet_limit import PacketLimit
from linewitness.gateway.sending.send_window import SendWindow
from linewitness.journal.journal import Journal
from linewitness.uplink.forwarding import ForwardOptions
from linewitness.uplink.reasons import NO_MATCHING_SUBSCRIBERS
from linewitness.uplink.topics import Topics

log = structlog.get_logger()

#: A batch that is not half full leaves so long after the one before: many small ones cost more.
PACE_S: Final = 0.1
#: The store's answer at the beginning of a connection is waited for so long.
ANSWER_S: Final = 2.0
_RECEIPT_RECORD: Final = b'"kind":"custody.received"'


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
        #: What the broker takes of a message.
        self.limit = PacketLimit(int(options.batch_size))
        self._ready = asyncio.Event()
        #: When the rate allows the next batch, when one leaves that is small, and what records last had.
        self._allowed_at = self._next_at = 0.0
        self._record_bytes = 1000

    async def run(self, link: BrokerLink) -> None:
        """Send until cancelled or until the connection breaks.

        Crash or break anywhere here: the cursor is the receipt, so everything after it goes again.
        """
        self._ready.clear()
        await self._judge.continuity.released()
        await self._begin(link)
        self._ready.set()
        async with asyncio.TaskGroup() as group:
            await self._send(link, group)

    async def begun(self) -> None:
        """Wait until the store has said what it holds: a restored journal must not add to a fork."""
        await self._ready.wait()

    async def _begin(self, link: BrokerLink) -> None:
        """Ask the store what it holds of what was sent, so that nothing of it is sent twice.

        The store answers the largest checkpoint whose records it holds: what was on its way when the
        connection broke may have been lost, so that each place where it can stand is asked for. A store that
        is away, or has to ask for records itself, does not answer: all without a receipt goes.
        """
        self._window.heard.clear()
        if self._judge.contradiction is None and await self._ask_all(link, self._window.in_question):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_S):
                    await self._window.heard.wait()

    async def _send(self, link: BrokerLink, group: asyncio.TaskGroup) -> None:
        cursor = self._window.begin()
        while True:
            cursor = await self._window.next_cursor(cursor)
            batch = await self._paced(link, cursor)
            if self._window.empty and self._judge.held < cursor:
                continue
            if self._judge.contradiction is not None:
                await asyncio.Event().wait()
            if self._judge.held > cursor:  # the store has answered meanwhile, and needs nothing from there on
                cursor = self._judge.held
                continue
            if not batch:
                await (self._ask_store(link) if self._window.retained else self._cannot_serve(link, cursor))
                cursor = self._judge.held
                continue
            if cursor + len(batch) >= self._journal.head.size and all(
                _RECEIPT_RECORD in data for data in batch
            ):
                self._window.rest(cursor + len(batch))
                continue
            cursor += await self._leave(link, group, cursor, batch)

    async def _paced(self, link: BrokerLink, cursor: int) -> list[bytes]:
        """Return the next records, some time after the last ones unless there are many by then."""
        if (wait_s := self._allowed_at - monotonic()) > 0:
            await asyncio.sleep(wait_s)
        if self._next_at > monotonic():
            half = self._batch_bytes(link) // 2 // self._record_bytes
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._next_at):
                    await self._journal.wait_beyond(cursor + half)
        return await self._read(link, cursor)

    async def _leave(self, link: BrokerLink, group: asyncio.TaskGroup, first: int, batch: list[bytes]) -> int:
        """Send a batch with the rest of its last commit, and a checkpoint over it; return their number.

        Nothing waits for the broker's acknowledgements: messages leave in this order and arrive in it. The
        store holds no record before the one that vouches for it, so that both go.
        """
        sent = 0
        while batch:
            lines = b"\n".join(batch) + b"\n"
            payload = pack(lines) if self._options.compress else lines
            group.create_task(self._publish(link, payload, len(lines), len(batch)), name="uplink:batch")
            sent += len(batch)
            pause_s = self._options.pause_s(len(payload))
            self._allowed_at = monotonic() + pause_s
            self._next_at = monotonic() + PACE_S
            self._record_bytes = len(lines) // len(batch)
            if is_signed(batch[-1]):
                break
            await asyncio.sleep(pause_s)
            batch = await self._read(link, first + sent)
        self._window.sent(first + sent)
        note = await self._signer.at(first + sent)
        checkpoint = publish(link, self._topics.checkpoint, note.encode(), retain=True)
        group.create_task(checkpoint, name="uplink:checkpoint")
        return sent

    async def _publish(self, link: BrokerLink, payload: bytes, size: int, records: int) -> None:
        """Send a message; `size` is that of its lines, by which the next ones are cut."""
        self.limit.leaves(size, records)
        try:
            reason = await link.publish(self._topics.records, payload)
        except UplinkTooLarge:
            self.limit.refused(size, records)
            self._window.unheard()
            return
        self.limit.taken(size, records)
        if reason == NO_MATCHING_SUBSCRIBERS:
            self._window.unheard()

    async def _read(self, link: BrokerLink, first: int) -> list[bytes]:
        return await self._journal.batch(first, self._batch_bytes(link))

    def _batch_bytes(self, link: BrokerLink) -> int:
        return self.limit.payload(self._topics.records, link.maximum_packet_bytes)

    async def _ask_store(self, link: BrokerLink) -> None:
        """Ask the store what it holds: a broker that was killed retains an older answer of it."""
        while self._window.retained and self._judge.contradiction is None:
            await self._ask(link, self._judge.held)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.receipt_timeout_s):
                    await self._live_answer()

    async def _ask(self, link: BrokerLink, size: int) -> bool:
        """Send a checkpoint that the store answers with its newest receipt; False where no store listens."""
        return await self._question(link, await self._signer.at(size))

    async def _question(self, link: BrokerLink, note: str) -> bool:
        return await link.publish(self._topics.checkpoint, note.encode()) != NO_MATCHING_SUBSCRIBERS

    async def _ask_all(self, link: BrokerLink, sizes: list[int]) -> bool:
        """Send checkpoints in this order, without waiting for each; False where no store listens."""
        notes = [await self._signer.at(size) for size in sizes]
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._question(link, note), name="uplink:question") for note in notes]
        return all(task.result() for task in asked)

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
        await self._ask(link, self._judge.held)
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
