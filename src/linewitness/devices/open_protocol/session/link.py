"""One TCP connection to a controller: the protocol on a socket, with time limits and a sign of life."""

import asyncio
import contextlib
from typing import Final

import structlog

from linewitness.base.clock import Clock, monotonic
from linewitness.base.errors import DeviceError, DeviceUnavailable
from linewitness.base.segments import lost_segments
from linewitness.devices.open_protocol.options import LinkTiming
from linewitness.devices.open_protocol.session import failures
from linewitness.devices.open_protocol.session.operation_collector import OperationCollector
from linewitness.devices.open_protocol.session.queues import MAX_PUSHED_BYTES, MAX_PUSHES, BoundedQueue
from linewitness.devices.open_protocol.wire.dialogue import Accept
from linewitness.devices.open_protocol.wire.mids import Refusal
from linewitness.devices.open_protocol.wire.protocol import (
    AnswerReceived,
    ControllerProtocol,
    ProtocolEvent,
    ProtocolFailed,
    PushReceived,
    QuestionRefused,
    StopAnswered,
    UnexpectedTelegram,
    UnreadableBytes,
)
from linewitness.devices.open_protocol.wire.refusals import (
    ClosedByController,
    Unanswered,
)
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram, Telegram

log = structlog.get_logger(__name__)

READ_SIZE: Final = 65536
#: A telegram that has begun must be complete within this time.
PARTIAL_TIMEOUT_S: Final = 10.0
#: How often the timers are looked at.
TICK_S: Final = 0.25
STOP_TIMEOUT_S: Final = 1.0


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
        self._protocol = ControllerProtocol(name)
        self._turn = asyncio.Lock()
        self._answer: asyncio.Future[ReceivedTelegram] | None = None
        self._last_sent = self._last_received = monotonic()
        self._stopped, self._heard = asyncio.Event(), asyncio.Event()
        self.pushes: BoundedQueue[ReceivedTelegram | None] = BoundedQueue(
            most=MAX_PUSHES, most_bytes=MAX_PUSHED_BYTES, bytes_of=lambda each: len(each.raw) if each else 0
        )
        self.operations = OperationCollector()
        self.failure: DeviceError | None = None

    @property
    def lost_segments(self) -> int | None:
        """How many segments were lost so far, as far as the kernel knows; None once closed."""
        return lost_segments(self._writer.get_extra_info("socket"))

    async def ask(
        self,
        telegram: Telegram,
        *answers: int,
        inner: int | None = None,
        accept: Accept = lambda _: True,
        optional: bool = False,
        ignorable: bool = False,
    ) -> ReceivedTelegram:
        """Send a question and return its answer; one at a time.

        Raises `RefusedByController`, and `NoAnswer` where no answer comes; `Unanswered` where the question
        is `optional`, because some controllers ignore what they do not know, and where it is `ignorable` and
        the controller says other things meanwhile: its silence is an answer then.
        """
        async with self._turn:
            self._check()
            answer: asyncio.Future[ReceivedTelegram] = asyncio.get_running_loop().create_future()
            self._protocol.ask(telegram, frozenset(answers), inner, accept)
            self._answer = answer
            asked = monotonic()
            try:
                async with asyncio.timeout(self._timing.optional_s if optional else self._timing.request_s):
                    await self._send()
                    return await asyncio.shield(answer)
            except TimeoutError:
                if answer.done():  # both at once, as after a process that stood still
                    return answer.result()
                if optional or (ignorable and await self._lives(asked)):
                    self._protocol.give_up()
                    raise Unanswered(telegram, Refusal.UNKNOWN_MID) from None
                self.fail(failures.silent(self._name, telegram, self._timing.request_s))
                raise self._failed() from None
            finally:
                self._answer = None
                _forget(answer)

    async def acknowledge(self, mid: int, data: bytes = b"") -> None:
        """Confirm the oldest push, which is of this MID: it is durable. `data` is what we say with it."""
        self._check()
        self._protocol.acknowledge(mid, data)
        await self._send()

    def number_telegrams(self) -> None:
        """Confirm on the link level from here on; to be called after the start."""
        self._protocol.number_telegrams()

    def ended_by_silence(self, mid: int) -> DeviceError:
        """End the connection with a controller that left out this answer, and return the reason."""
        self.fail(failures.left_out(self._name, mid))
        return self._failed()

    async def _lives(self, since: float) -> bool:
        """Whether anything came since then; where nothing did, the sign of life asks for it."""
        if self._last_received <= since:
            self._protocol.keep_alive()
            await self._send()
            self._heard.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timing.optional_s):
                    await self._heard.wait()
        self._check()
        return self._last_received > since

    async def stop(self) -> None:
        """Send the stop if the connection still stands, wait a moment for the answer, and close it."""
        if self.failure is None and not self._protocol.has_ended:
            self._protocol.stop()
            with contextlib.suppress(OSError, TimeoutError, DeviceError):
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await self._send()
                    # Closed with something unread, the connection is reset, and a reset may overtake this.
                    await self._stopped.wait()
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._writer.wait_closed()

    def fail(self, error: DeviceError) -> None:
        """End the connection for this reason; only the first one counts, and none after the stop was sent."""
        if self.failure is not None or self._protocol.is_stopping:
            return
        self.failure = error
        self._protocol.lost()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self.pushes.put(None)
        self._writer.close()

    def fail_overrun(self, waiting: int, what: str) -> None:
        """End the connection with a controller that does not wait until what it pushed is confirmed.

        What waits is still committed. It is not confirmed, so the controller has it and pushes it again.
        """
        self.fail(failures.overrun(self._name, waiting, what))

    async def read_forever(self) -> None:
        """Read until the connection ends; how it ended is in `failure`."""
        try:
            while data := await self._reader.read(READ_SIZE):
                self._last_received = monotonic()
                self._heard.set()
                self._receive(data)
                if self.failure is not None:
                    return
            self.fail(ClosedByController(f"{self._name} closed the connection"))
        except OSError as error:
            self.fail(failures.broke(self._name, error))
        finally:
            self._heard.set()
            self._stopped.set()

    async def keep_alive_forever(self) -> None:
        """Send the sign of life when idle, and end the connection when nothing comes any more."""
        timing = self._timing
        while self.failure is None:
            await asyncio.sleep(min(TICK_S, timing.keepalive_s / 4))
            now = monotonic()
            silent = now - self._last_received
            if self._protocol.telegram_age_s(self._clock.stamp()) > PARTIAL_TIMEOUT_S:
                self.fail(failures.unfinished(self._name, PARTIAL_TIMEOUT_S))
            elif silent > timing.dead_after_s:
                self.fail(DeviceUnavailable(f"nothing came from {self._name} for {timing.dead_after_s:g} s"))
            elif now - self._last_sent >= timing.keepalive_s and self._protocol.is_talking:
                self._protocol.keep_alive()
                with contextlib.suppress(DeviceError):  # that it broke is in `failure`
                    await self._send()

    def _receive(self, data: bytes) -> None:
        for event in self._protocol.receive(data, self._clock.stamp()):
            self._write()
            self._handle(event)
            if self.failure is not None:
                return
        self._write()

    def _handle(self, event: ProtocolEvent) -> None:
        match event:
            case PushReceived(received):
                self._push(received)
            case AnswerReceived() | QuestionRefused():
                self._settle(event)
            case UnexpectedTelegram(received):
                log.info(
                    "unexpected telegram",
                    device=self._name,
                    mid=received.telegram.mid,
                    raw=received.raw[:64],
                )
            case UnreadableBytes(raw, ""):
                log.warning("not a telegram", device=self._name, raw=raw[:64])
            case UnreadableBytes(raw, why):
                log.warning("telegram without a meaning", device=self._name, raw=raw[:64], why=why)
            case StopAnswered():
                self._stopped.set()
            case ProtocolFailed(failure):
                self.fail(failure)

    def _settle(self, event: AnswerReceived | QuestionRefused) -> None:
        if self._answer is None or self._answer.done():
            return
        if isinstance(event, AnswerReceived):
            self._answer.set_result(event.received)
        else:
            self._answer.set_exception(event.error)

    def _push(self, received: ReceivedTelegram) -> None:
        if self.operations.belongs_to_asked(received):
            self._protocol.release()
        elif self.pushes.is_full:
            self.fail_overrun(len(self.pushes), "telegrams")
        else:
            self.pushes.put(received)

    async def _send(self) -> None:
        """Send what the protocol has to send. Raises `DeviceUnavailable` where the connection broke."""
        self._last_sent = monotonic()
        try:
            self._write()
            await self._writer.drain()
        except OSError as error:
            self.fail(failures.broke(self._name, error))
            raise self._failed() from error

    def _write(self) -> None:
        data = self._protocol.data_to_send()
        if data:
            self._writer.write(data)

    def _check(self) -> None:
        # Who still wants to send something after the stop is told that the connection is closed.
        if self.failure is not None or self._protocol.is_stopping:
            raise self._failed()

    def _failed(self) -> DeviceError:
        return self.failure or DeviceUnavailable(f"the connection to {self._name} is closed")


def _forget(answer: asyncio.Future[ReceivedTelegram]) -> None:
    """Let go of an answer that nobody waits for any more: asyncio would log one that ends in an error."""
    if not answer.cancel() and not answer.cancelled():
        answer.exception()
