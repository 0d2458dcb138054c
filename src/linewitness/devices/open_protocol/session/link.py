"""One TCP connection to a controller: questions, answers, pushes and the sign of life."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from linewitness.base.clock import Clock, Stamp, monotonic
from linewitness.base.errors import DeviceError, DeviceRefused, DeviceUnavailable
from linewitness.devices.open_protocol.session.queues import MAX_PUSHED_BYTES, MAX_PUSHES, BoundedQueue
from linewitness.devices.open_protocol.wire.codec import decode
from linewitness.devices.open_protocol.wire.dialogue import (
    Accept,
    ControllerDialogue,
    DialogueMessage,
    DialogueState,
)
from linewitness.devices.open_protocol.wire.framing import Framer, FramingError
from linewitness.devices.open_protocol.wire.link_level import (
    WRONG_PARTS,
    WRONG_SEQUENCE,
    LinkLevel,
    SequenceCheck,
)
from linewitness.devices.open_protocol.wire.mids import ACK_OF, Mid, Refusal
from linewitness.devices.open_protocol.wire.refusals import (
    ClosedByController,
    RefusedByController,
    Unanswered,
)
from linewitness.devices.open_protocol.wire.telegram import (
    MAX_PARTS,
    MalformedTelegram,
    PartCollector,
    Telegram,
    parse,
)

log = structlog.get_logger(__name__)

READ_SIZE: Final = 65536
#: A telegram that has begun must be complete within this time.
PARTIAL_TIMEOUT_S: Final = 10.0
#: How often the timers are looked at.
TICK_S: Final = 0.25
STOP_TIMEOUT_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTiming:
    """How long to wait for what, in seconds."""

    request_s: float
    optional_s: float
    keepalive_s: float
    dead_after_s: float


@dataclass(frozen=True, slots=True)
class ReceivedTelegram:
    """A telegram with its bytes and the moment at which it was complete."""

    telegram: Telegram
    raw: bytes
    stamp: Stamp


class ControllerLink:
    """A connection that is open. Its two loops run in a task group of the caller."""

    def __init__(
        self,
        *,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        name: str,
        timing: LinkTiming,
        clock: Clock,
    ) -> None:
        """Take over a connected pair of streams; `name` is what messages call the other side."""
        self._reader, self._writer = streams
        self._name = name
        self._timing = timing
        self._clock = clock
        self._dialogue = ControllerDialogue()
        self._framer = Framer()
        self._parts = PartCollector()
        self._raw_parts: list[bytes] = []
        self._turn = asyncio.Lock()
        self._answer: asyncio.Future[ReceivedTelegram] | None = None
        self._asked = Telegram(mid=Mid.START)
        self._last_sent = self._last_received = monotonic()
        self._heard_anything = False
        self._parted = asyncio.Event()
        self.pushes: BoundedQueue[ReceivedTelegram | None] = BoundedQueue(
            most=MAX_PUSHES, most_bytes=MAX_PUSHED_BYTES, bytes_of=lambda each: len(each.raw) if each else 0
        )
        self.failure: DeviceError | None = None
        #: Looks at each push as it comes; True where it belongs to the answer of a question.
        self.intercept: Callable[[ReceivedTelegram], bool] = lambda _: False
        #: Set after the start where telegrams are confirmed on the link level.
        self.level: LinkLevel | None = None

    async def ask(
        self,
        telegram: Telegram,
        *answers: int,
        inner: int | None = None,
        accept: Accept = lambda _: True,
        optional: bool = False,
    ) -> ReceivedTelegram:
        """Send a question and return its answer; one at a time.

        Raises `RefusedByController`, and `DeviceUnavailable` where no answer comes; `Unanswered` where the
        question is `optional`, because some controllers ignore what they do not know.
        """
        async with self._turn:
            self._check()
            self._dialogue.ask(telegram, frozenset(answers), inner, accept)
            self._asked = telegram
            answer: asyncio.Future[ReceivedTelegram] = asyncio.get_running_loop().create_future()
            self._answer = answer
            try:
                async with asyncio.timeout(self._timing.optional_s if optional else self._timing.request_s):
                    await self._write(telegram)
                    return await asyncio.shield(answer)
            except TimeoutError:
                if answer.done():  # both at once, as after a process that stood still
                    return answer.result()
                if optional:
                    self._dialogue.give_up()
                    raise Unanswered(telegram, Refusal.UNKNOWN_MID) from None
                self.fail(self._silent(telegram))
                raise self._failed() from None
            finally:
                self._answer = None

    async def acknowledge(self, mid: int) -> None:
        """Confirm the oldest push, which is of this MID: it is durable."""
        self._check()
        self._dialogue.said(DialogueMessage.ACK)
        ack = self.level.durable() if self.level is not None else None
        if ack is None:
            own = ACK_OF.get(Mid(mid), Mid.ACCEPTED)
            data = f"{mid:04d}".encode("ascii") if own is Mid.ACCEPTED else b""
            ack = Telegram(mid=own, data=data)
        await self._write(ack)

    async def stop(self) -> None:
        """Say goodbye if the connection still stands, wait a moment for the answer, and close it."""
        if self.failure is None and self._dialogue.state is not DialogueState.ENDED:
            self._dialogue.stop()
            with contextlib.suppress(OSError, TimeoutError, DeviceError):
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await self._write(Telegram(mid=Mid.STOP))
                    # Closed with something unread, the connection is reset, and a reset may overtake this.
                    await self._parted.wait()
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._writer.wait_closed()

    def fail(self, error: DeviceError) -> None:
        """End the connection for this reason; only the first one counts, and none during the goodbye."""
        if self.failure is not None or self._is_stopping:
            return
        self.failure = error
        self._dialogue.said(DialogueMessage.LOST)
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self.pushes.put(None)
        self._writer.close()

    def fail_overrun(self, waiting: int, what: str) -> None:
        """End the connection with a controller that does not wait until what it pushed is confirmed.

        What waits is still committed. It is not confirmed, so the controller has it and pushes it again.
        """
        self.fail(
            DeviceUnavailable(
                f"{self._name} pushes without waiting for confirmations: {waiting} {what} wait here",
                hint="see whether the journal can commit; if it can, the controller breaks the protocol",
            )
        )

    async def read_forever(self) -> None:
        """Read until the connection ends; how it ended is in `failure`."""
        try:
            while data := await self._reader.read(READ_SIZE):
                self._last_received = monotonic()
                for raw in self._framer.feed(data):
                    self._hear(raw)
                if self.failure is not None:
                    return
            self.fail(ClosedByController(f"{self._name} closed the connection"))
        except FramingError as error:
            self.fail(self._not_a_telegram(error))
        except OSError as error:
            self.fail(DeviceUnavailable(f"the connection to {self._name} broke: {error}"))
        finally:
            self._parted.set()

    async def keep_alive_forever(self) -> None:
        """Send the sign of life when idle, and end the connection when nothing comes any more."""
        timing = self._timing
        while self.failure is None:
            await asyncio.sleep(min(TICK_S, timing.keepalive_s / 4))
            now = monotonic()
            silent = now - self._last_received
            if self._framer.partial and silent > PARTIAL_TIMEOUT_S:
                self.fail(DeviceUnavailable(f"{self._name} stopped in the middle of a telegram"))
            elif silent > timing.dead_after_s:
                self.fail(DeviceUnavailable(f"nothing came from {self._name} for {timing.dead_after_s:g} s"))
            elif now - self._last_sent >= timing.keepalive_s and self._dialogue.state in {
                DialogueState.OPEN,
                DialogueState.ASKING,
            }:
                await self._sign_of_life()

    async def _sign_of_life(self) -> None:
        try:
            self._dialogue.said(DialogueMessage.ALIVE)
            await self._write(Telegram(mid=Mid.KEEP_ALIVE))
        except OSError as error:
            self.fail(DeviceUnavailable(f"the connection to {self._name} broke: {error}"))

    async def _write(self, telegram: Telegram) -> None:
        self._last_sent = monotonic()
        try:
            self._put(telegram)
            await self._writer.drain()
        except OSError as error:
            self.fail(DeviceUnavailable(f"the connection to {self._name} broke: {error}"))
            raise self._failed() from error

    def _put(self, telegram: Telegram) -> None:
        numbered = telegram if self.level is None else self.level.number(telegram)
        self._writer.write(numbered.wire())

    def _hear(self, raw: bytes) -> None:
        if self.failure is not None:
            return
        stamp = self._clock.stamp()
        try:
            telegram = parse(raw)
            if self.level is not None and not self._in_step(self.level, telegram):
                return
            whole = self._join(telegram, raw)
        except MalformedTelegram as error:
            self._malformed(raw, error)
            return
        if whole is None:
            self._taken(telegram)
            return
        self._heard_anything = True
        received = ReceivedTelegram(whole, b"".join(self._raw_parts), stamp)
        self._raw_parts = []
        self._follow(received, telegram)

    def _follow(self, received: ReceivedTelegram, last: Telegram) -> None:
        """Hand on a whole telegram; `last` is the part that completed it."""
        message = self._dialogue.hear(received.telegram)
        if self._is_stopping:
            if message in {DialogueMessage.ANSWER, DialogueMessage.REFUSAL}:
                self._parted.set()
            return
        if message is DialogueMessage.PUSH and not self.intercept(received):
            if self.pushes.is_full:
                self.fail_overrun(len(self.pushes), "telegrams")
                return
            if self.level is not None:
                self.level.wait(last)
            self.pushes.put(received)
            return
        self._taken(last)
        if message in {DialogueMessage.ANSWER, DialogueMessage.REFUSAL}:
            self._settle(received, message)
        elif message is DialogueMessage.STRAY:
            log.info("unexpected telegram", device=self._name, mid=last.mid, raw=received.raw[:64])

    def _in_step(self, level: LinkLevel, telegram: Telegram) -> bool:
        """Follow the link level; False where the telegram is not to be processed."""
        if telegram.mid == Mid.LINK_ACK:
            return False
        if telegram.mid == Mid.LINK_NACK:
            self.fail(DeviceUnavailable(f"{self._name} refused a telegram as such (9998): {telegram.data!r}"))
            return False
        heard = level.hear(telegram)
        if heard is SequenceCheck.AGAIN:
            ack = level.again()
            if ack is not None:
                self._put(ack)
        elif heard is SequenceCheck.OUT_OF_STEP:
            self._put(level.refusal(telegram, WRONG_SEQUENCE))
            self.fail(
                DeviceUnavailable(f"{self._name} is out of step: MID {telegram.mid:04d}, {telegram.sequence}")
            )
        return heard is SequenceCheck.NEW

    def _taken(self, telegram: Telegram) -> None:
        """Confirm on the link level what needs no commit."""
        ack = self.level.taken(telegram) if self.level is not None else None
        if ack is not None:
            self._put(ack)

    def _malformed(self, raw: bytes, error: MalformedTelegram) -> None:
        log.warning("telegram without a meaning", device=self._name, raw=raw[:64], why=str(error))
        if self.level is not None:
            # Without a confirmation it would come again and again: begin anew, nothing is lost by that.
            self._put(self.level.refusal(Telegram(mid=0), WRONG_PARTS))
            self.fail(DeviceUnavailable(f"{self._name} sent a telegram without a meaning: {error}"))

    def _join(self, telegram: Telegram, raw: bytes) -> Telegram | None:
        if telegram.parts <= 1 or telegram.part == 1:
            self._raw_parts = []
        # A part that no first part came before is refused below; its bytes must not pile up meanwhile.
        self._raw_parts = [*self._raw_parts[-MAX_PARTS:], raw]
        return self._parts.add(telegram)

    def _settle(self, received: ReceivedTelegram, message: DialogueMessage) -> None:
        if self._answer is None or self._answer.done():
            return
        if message is DialogueMessage.ANSWER:
            self._answer.set_result(received)
            return
        code = decode(received.telegram).number("error_code") or 0
        self._answer.set_exception(RefusedByController(self._asked, code))

    def _not_a_telegram(self, error: FramingError) -> DeviceError:
        log.warning("not a telegram", device=self._name, raw=error.rest[:64])
        if not self._heard_anything:
            return DeviceRefused(
                f"what answers at {self._name} does not speak Open Protocol: it sent {error.rest[:16]!r}",
                hint="set port to the controller's Open Protocol port (usually 4545)",
            )
        return DeviceUnavailable(f"{self._name} sent bytes that are no telegram: {error.rest[:16]!r}")

    def _silent(self, telegram: Telegram) -> DeviceUnavailable:
        return DeviceUnavailable(
            f"{self._name} did not answer MID {telegram.mid:04d} within {self._timing.request_s:g} s",
            hint="check that this port is its Open Protocol port (usually 4545)",
        )

    @property
    def _is_stopping(self) -> bool:
        return self._dialogue.state is DialogueState.STOPPING

    def _check(self) -> None:
        # Who still wants to say something while we say goodbye is told that it is over.
        if self.failure is not None or self._is_stopping:
            raise self._failed()

    def _failed(self) -> DeviceError:
        return self.failure or DeviceUnavailable(f"the connection to {self._name} is closed")
