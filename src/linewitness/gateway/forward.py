"""Hand records to the audit store in order, from the last receipt on, again after every reconnect."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

import orjson
import structlog

from linewitness.base.clock import Clock, monotonic, to_rfc3339
from linewitness.base.errors import LinewitnessError, UplinkRefused, UplinkUnavailable
from linewitness.base.retry import Backoff
from linewitness.base.stopping import attempted
from linewitness.evidence.format.note import BadNote
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.receipts import ReceiptJudge, StoreContradiction
from linewitness.journal.journal import Journal
from linewitness.journal.telemetry import TelemetryBuffer
from linewitness.uplink.forwarding import ForwardOptions
from linewitness.uplink.mqtt import MqttMessage
from linewitness.uplink.topics import Topics

log = structlog.get_logger()

#: Records of custody alone are not worth a batch of their own for this long: each batch makes one.
QUIET_S: Final = 60.0
#: The broker's reason code (MQTT 5) where no store is subscribed: the batch went nowhere, and goes again.
NOBODY_LISTENS: Final = 0x10
STORE_AWAY_S: Final = 1.0
#: What the store asks for again is sent again at most this often.
REPEAT_S: Final = 1.0
#: After so many repetitions without any receipt a person should look.
IN_VAIN: Final = 5
#: What the store last said is retained at the broker, and comes at once after subscribing, if there is any.
FIRST_WORD_S: Final = 1.0
#: A broker that refused us is asked again after this long.
REFUSED_S: Final = 30.0
_CUSTODY: Final = b'"kind":"custody.received"'
_FEW: Final = 8


class BrokerLink(Protocol):
    """A connection to the broker, as far as forwarding needs one."""

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Send one message and wait for the broker's acknowledgement."""

    async def subscribe(self, topic: str) -> None:
        """Ask for a topic."""

    def messages(self) -> AsyncIterator[MqttMessage]:
        """Yield what arrives until the connection ends."""


class Dial(Protocol):
    """Open a connection to the broker."""

    def __call__(self) -> AbstractAsyncContextManager[BrokerLink]:
        """Connect for the time of a block."""


class UplinkStatusSink(Protocol):
    """Who wants to know how the uplink is doing."""

    def uplink(self, state: str, why: str) -> None:
        """Take note: `state` is up, away, refused or conflict."""

    def receipt(self, size: int) -> None:
        """Take note of the size that the store has custody of."""


class Forwarder:
    """The one task that talks to the broker."""

    def __init__(
        self,
        dial: Dial,
        *,
        journal: Journal,
        telemetry: TelemetryBuffer,
        sealer: CheckpointSigner,
        custodian: ReceiptJudge,
        topics: Topics,
        options: ForwardOptions,
        clock: Clock,
        health: UplinkStatusSink,
    ) -> None:
        """Take where records come from, who signs, who judges, and where everything goes."""
        self._dial = dial
        self._journal = journal
        self._telemetry = telemetry
        self._sealer = sealer
        self._custodian = custodian
        self._topics = topics
        self._options = options
        self._clock = clock
        self._health = health
        self._wake = asyncio.Event()
        self._said = ""
        self._asked_again = False
        self._repeated_at = float("-inf")
        self._in_vain = 0
        self._sent: list[int] = []
        self._heard = asyncio.Event()
        #: The newest word comes from the broker's memory, and may be older than the store.
        self._retained = False

    async def run(self) -> None:
        """Work until cancelled. A contradiction ends the sending, not the process."""
        await self._custodian.recall()
        self._health.receipt(self._custodian.receipted)
        if self._custodian.contradiction is not None:
            self._say_contradicted(self._custodian.contradiction)
        backoff = Backoff()
        while True:
            wait_s = REFUSED_S
            try:
                await attempted(self._connection(backoff), retried=LinewitnessError)
            except UplinkUnavailable as error:
                wait_s = backoff.next_s()
                self._away("away", error)
            except UplinkRefused as error:
                self._away("refused", error)
            await asyncio.sleep(wait_s)

    async def _connection(self, backoff: Backoff) -> None:
        """Connect, and serve until that ends; raises what ended it."""
        async with self._dial() as link:
            backoff.succeeded()
            if self._custodian.contradiction is None:
                self._health.uplink("up", "")
            self._said = "up"
            log.info("uplink connected", receipted=self._custodian.receipted)
            await self._session(link)

    def _away(self, state: str, error: UplinkUnavailable | UplinkRefused) -> None:
        self._health.uplink(state, str(error))
        if self._said == state:
            return
        self._said = state
        log.warning("uplink lost: records wait in the journal", state=state, why=error.what, hint=error.hint)

    async def _session(self, link: BrokerLink) -> None:
        """Serve one connection; raises what ended it, as itself."""
        try:
            async with asyncio.TaskGroup() as group:
                await link.subscribe(self._topics.receipt)
                await self._announce(link)
                group.create_task(self._listen(link), name="uplink:receipts")
                group.create_task(self._watch_growth(), name="uplink:growth")
                group.create_task(self._send(link), name="uplink:records")
                group.create_task(self._send_telemetry(link), name="uplink:telemetry")
        except* (UplinkUnavailable, UplinkRefused) as several:
            ended = _first(several)
        raise ended

    async def _announce(self, link: BrokerLink) -> None:
        status = {
            "state": "online",
            "since": to_rfc3339(self._clock.stamp().realtime_ns),
            "stream": self._journal.identity.stream,
            "size": self._journal.head.size,
        }
        await link.publish(self._topics.status, orjson.dumps(status), retain=True)

    async def _listen(self, link: BrokerLink) -> None:
        async for message in link.messages():
            if message.topic != self._topics.receipt:
                continue
            known = self._custodian.held
            try:
                size = await self._judge(message.payload)
            except BadNote as error:
                log.warning("an answer that is not the store's was ignored", why=error.what)
                continue
            except StoreContradiction as error:
                self._say_contradicted(error)
                continue
            finally:
                self._heard.set()
            self._retained = message.retained
            self._health.receipt(size)
            # The store repeats its newest receipt where it started anew or found a hole: it lacks something.
            # An older one says that it was restored from a backup.
            self._asked_again = self._custodian.held <= known
            self._wake.set()

    async def _judge(self, answer: bytes) -> int:
        if not answer:  # the store found a hole and has no receipt to name: it begins anew
            self._custodian.held = 0
            return self._custodian.receipted
        return await self._custodian.judge(answer)

    def _say_contradicted(self, contradiction: StoreContradiction) -> None:
        self._health.uplink("conflict", str(contradiction))
        log.error(
            "the store contradicts this journal: nothing is sent any more",
            why=contradiction.what,
            hint=contradiction.hint,
        )

    async def _first_word(self) -> None:
        """Hear what the store knows before anything is sent: a restored journal must not add to a fork."""
        if self._custodian.verified:
            return
        try:
            async with asyncio.timeout(FIRST_WORD_S):
                await self._heard.wait()
        except TimeoutError:
            pass  # the store has not said anything about this stream yet

    async def _send(self, link: BrokerLink) -> None:
        # Crash or break anywhere here: the cursor is the receipt, so everything after it goes again.
        await self._first_word()
        cursor = self._custodian.held
        self._sent = []
        while True:
            cursor = await self._next_cursor(cursor)
            batch = await self._batch(cursor)
            if not self._sent and self._custodian.held < cursor:
                continue
            if self._custodian.contradiction is not None:
                await asyncio.Event().wait()
            if not batch:
                await (self._ask_again(link) if self._retained else self._cannot_serve(cursor))
                cursor = self._custodian.held
                continue
            if await link.publish(self._topics.records, b"\n".join(batch) + b"\n") == NOBODY_LISTENS:
                await asyncio.sleep(STORE_AWAY_S)
                continue
            cursor += len(batch)
            self._sent.append(cursor)
            note = await self._sealer.at(cursor)
            await link.publish(self._topics.checkpoint, note.encode(), retain=True)
            await self._keep_rate(sum(len(data) + 1 for data in batch))

    async def _ask_again(self, link: BrokerLink) -> None:
        """Let the store say itself what it holds: a broker that was killed remembers an older word of it."""
        note = await self._sealer.at(self._custodian.held)
        while self._retained and self._custodian.contradiction is None:
            await link.publish(self._topics.checkpoint, note.encode())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.receipt_timeout_s):
                    await self._live_word()

    async def _live_word(self) -> None:
        while self._retained:
            self._wake.clear()
            await self._wake.wait()

    async def _cannot_serve(self, cursor: int) -> None:
        """Say that the store needs records that were pruned on its own receipt; wait for another word."""
        held = self._custodian.held
        why = f"the store holds {held} records and needs those from {cursor} on, which were pruned"
        hint = "restore the store from a newer backup, or from the exports and anchors that cover them"
        self._health.uplink("conflict", f"{why} ({hint})")
        log.error("the store lost records that are no longer here", why=why, hint=hint)
        while self._custodian.held == held:
            self._wake.clear()
            await self._wake.wait()
        if self._custodian.contradiction is None:
            self._health.uplink("up", "")
            log.info("the store can be served again", held=self._custodian.held)

    async def _next_cursor(self, cursor: int) -> int:
        """Wait until another batch may go; return from where: again from what the store holds if need be."""
        deadline = monotonic() + self._options.receipt_timeout_s
        while True:
            held = self._custodian.held
            if self._sent and held >= self._sent[0]:
                deadline = monotonic() + self._options.receipt_timeout_s
                self._sent = [size for size in self._sent if size > held]
                self._in_vain = 0
            cursor = max(cursor, held) if self._sent else held
            if len(self._sent) < self._options.in_flight and self._journal.head.size > cursor:
                return cursor
            try:
                async with asyncio.timeout_at(deadline if self._sent else None):
                    await self._wake.wait()
                self._wake.clear()
                repeat = self._must_repeat()
            except TimeoutError:
                repeat = True
            if repeat:
                self._say_repeated(cursor)
                self._sent = []
                self._repeated_at = monotonic()
                deadline = self._repeated_at + self._options.receipt_timeout_s

    def _say_repeated(self, cursor: int) -> None:
        """Say what is sent again, and once, as an alarm, that a store within reach takes nothing."""
        held = self._custodian.held
        self._in_vain += 1
        if self._in_vain == IN_VAIN:
            hint = "look at the store's log: it is away, or it refuses record " + str(held)
            log.warning("the store gives no receipt for what is sent", since=held, sent=cursor, hint=hint)
        else:
            log.info("sending again what has no receipt", since=held, sent=cursor)

    def _must_repeat(self) -> bool:
        """Say whether the store asked for what was sent already; at most once in a while, lest it loops."""
        asked, self._asked_again = self._asked_again, False
        return asked and bool(self._sent) and monotonic() - self._repeated_at > REPEAT_S

    async def _watch_growth(self) -> None:
        size = 0
        while True:
            size = await self._journal.wait_beyond(size)
            self._wake.set()

    async def _batch(self, cursor: int) -> list[bytes]:
        """Return the next records; custody alone waits for company, because sending it makes more of it."""
        size = int(self._options.batch_size)
        batch = await self._journal.read(lambda reader: reader.batch(cursor, size))
        if len(batch) < _FEW and all(_CUSTODY in data for data in batch):
            try:
                async with asyncio.timeout(QUIET_S):
                    await self._news(cursor, cursor + len(batch))
            except TimeoutError:
                pass
            batch = await self._journal.read(lambda reader: reader.batch(cursor, size))
        return batch

    async def _news(self, cursor: int, size: int) -> None:
        """Wait until there are more than `size` records, or the store asks for something before `cursor`."""
        while True:
            self._wake.clear()
            if self._journal.head.size > size or self._custodian.held < cursor:
                return
            await self._wake.wait()

    async def _keep_rate(self, sent_bytes: int) -> None:
        if self._options.max_rate is not None:
            await asyncio.sleep(sent_bytes / int(self._options.max_rate))

    async def _send_telemetry(self, link: BrokerLink) -> None:
        size = int(self._options.batch_size)
        while True:
            stored = self._telemetry.stored
            blocks = await self._telemetry.oldest(size)
            if not blocks:
                await self._telemetry.wait_for(stored)
                continue
            for block in blocks:
                await link.publish(self._topics.telemetry(block.device), block.payload)
            await self._telemetry.remove(blocks)
            await self._keep_rate(sum(len(block.payload) for block in blocks))


def _first(several: BaseExceptionGroup[LinewitnessError]) -> LinewitnessError:
    error: BaseException = several
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, LinewitnessError):
        raise error
    return error
