"""The protocol with one controller: bytes in, events out, and what is to be sent; without a socket."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from linewitness.base.clock import Stamp
from linewitness.base.errors import DeviceError, DeviceRefused, DeviceUnavailable
from linewitness.devices.open_protocol.wire.codec import decode
from linewitness.devices.open_protocol.wire.dialogue import (
    Accept,
    ControllerDialogue,
    DialogueMessage,
    DialogueState,
)
from linewitness.devices.open_protocol.wire.framing import Framer, FramingError, Unfinished
from linewitness.devices.open_protocol.wire.link_level import (
    WRONG_PARTS,
    WRONG_SEQUENCE,
    LinkLevel,
    SequenceCheck,
)
from linewitness.devices.open_protocol.wire.mids import ACK_OF, Mid
from linewitness.devices.open_protocol.wire.refusals import RefusedByController
from linewitness.devices.open_protocol.wire.telegram import (
    MAX_PARTS,
    MalformedTelegram,
    PartCollector,
    ReceivedTelegram,
    Telegram,
    parse,
)

REPLIES: Final = frozenset({DialogueMessage.ANSWER, DialogueMessage.REFUSAL})
TALKING: Final = frozenset({DialogueState.OPEN, DialogueState.ASKING})


@dataclass(frozen=True, slots=True)
class PushReceived:
    """The controller sent something by itself, and waits until that is acknowledged."""

    received: ReceivedTelegram


@dataclass(frozen=True, slots=True)
class AnswerReceived:
    """The open question was answered."""

    received: ReceivedTelegram


@dataclass(frozen=True, slots=True)
class QuestionRefused:
    """The open question was refused (0004)."""

    error: RefusedByController


@dataclass(frozen=True, slots=True)
class UnexpectedTelegram:
    """A telegram that answers nothing and that nobody acknowledges."""

    received: ReceivedTelegram


@dataclass(frozen=True, slots=True)
class UnreadableBytes:
    """A telegram without a meaning, and why; bytes that are no telegram where no reason is given."""

    raw: bytes
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StopAnswered:
    """The communication stop was answered: the connection may be closed."""


@dataclass(frozen=True, slots=True)
class ProtocolFailed:
    """The connection must end for this reason."""

    error: DeviceError


ProtocolEvent = (
    PushReceived
    | AnswerReceived
    | QuestionRefused
    | UnexpectedTelegram
    | UnreadableBytes
    | StopAnswered
    | ProtocolFailed
)


class ControllerProtocol:
    """One connection's side of the protocol. After each call, `data_to_send` holds what must go out."""

    def __init__(self, name: str) -> None:
        """Start before the communication start; `name` is what messages call the controller."""
        self._name = name
        self._dialogue = ControllerDialogue()
        self._framer = Framer()
        self._parts = PartCollector()
        self._raw_parts: list[bytes] = []
        self._bytes_begun, self._parts_begun = Unfinished(), Unfinished()
        self._asked = Telegram(mid=Mid.START)
        self._received_any = False
        self._level: LinkLevel | None = None
        self._out = bytearray()

    def telegram_age_s(self, now: Stamp) -> float:
        """Return how long ago the telegram began that is not complete, parts included; 0 where none is."""
        begun = [each.since.boottime_ns for each in (self._bytes_begun, self._parts_begun) if each.since]
        return (now.boottime_ns - min(begun)) / 1e9 if begun else 0.0

    @property
    def is_talking(self) -> bool:
        """Whether the start was acknowledged and no stop was sent: a sign of life may be sent."""
        return self._dialogue.state in TALKING

    @property
    def is_stopping(self) -> bool:
        """Whether the communication stop was sent."""
        return self._dialogue.state is DialogueState.STOPPING

    @property
    def has_ended(self) -> bool:
        """Whether the connection was lost."""
        return self._dialogue.state is DialogueState.ENDED

    def receive(self, data: bytes, stamp: Stamp) -> Iterator[ProtocolEvent]:
        """Take bytes that came at this moment, and yield what they mean, one event at a time.

        A caller that ends the connection at an event takes no further one.
        """
        completed = self._framer.completed
        try:
            for raw in self._framer.feed(data):
                yield from self._telegram(raw, stamp)
        except FramingError as error:
            yield UnreadableBytes(error.rest)
            yield ProtocolFailed(self._not_a_telegram(error))
        # What other bytes follow does not make it younger: a length that is too long swallows them.
        anew = self._framer.completed != completed
        self._bytes_begun.look(stamp, waiting=self._framer.partial, anew=anew)

    def data_to_send(self) -> bytes:
        """Return the bytes to send, once."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def ask(
        self,
        telegram: Telegram,
        answers: frozenset[int],
        inner: int | None = None,
        accept: Accept = lambda _: True,
    ) -> None:
        """Send a question; see `ControllerDialogue.ask`."""
        self._dialogue.ask(telegram, answers, inner, accept)
        self._asked = telegram
        self._send(telegram)

    def give_up(self) -> None:
        """Wait no longer for the answer."""
        self._dialogue.give_up()

    def acknowledge(self, mid: int, data: bytes = b"") -> None:
        """Confirm the oldest push, which is of this MID: it is durable. `data` is what we say with it."""
        self._dialogue.sent(DialogueMessage.ACK)
        ack = self._level.durable() if self._level is not None else None
        if ack is None:
            own = ACK_OF.get(Mid(mid), Mid.ACCEPTED)
            data = f"{mid:04d}".encode("ascii") if own is Mid.ACCEPTED else data
            ack = Telegram(mid=own, data=data)
        self._send(ack)

    def release(self) -> None:
        """Confirm the newest push on the link level at once: it belongs to an answer, and needs no commit."""
        self._send_some(self._level.release() if self._level is not None else None)

    def keep_alive(self) -> None:
        """Send the sign of life."""
        self._dialogue.sent(DialogueMessage.ALIVE)
        self._send(Telegram(mid=Mid.KEEP_ALIVE))

    def stop(self) -> None:
        """Send the communication stop; only its answer counts from here on."""
        self._dialogue.stop()
        self._send(Telegram(mid=Mid.STOP))

    def lost(self) -> None:
        """Note that the connection is over."""
        self._dialogue.sent(DialogueMessage.LOST)

    def number_telegrams(self) -> None:
        """Begin to number and confirm telegrams on the link level; to be called after the start."""
        self._level = LinkLevel()

    def _telegram(self, raw: bytes, stamp: Stamp) -> Iterator[ProtocolEvent]:
        try:
            telegram = parse(raw)
            skipped = self._skipped(self._level, telegram) if self._level is not None else None
            if skipped is not None:
                yield from skipped
                return
            whole = self._join(telegram, raw)
            self._parts_begun.look(stamp, waiting=self._parts.waiting > 0)
        except MalformedTelegram as error:
            self._parts_begun.look(stamp, waiting=False)
            yield UnreadableBytes(raw, str(error))
            yield from self._restart_after(error)
            return
        if whole is None:
            self._confirm(telegram)
            return
        self._received_any = True
        received = ReceivedTelegram(whole, b"".join(self._raw_parts), stamp)
        self._raw_parts = []
        yield from self._follow(received, telegram)

    def _follow(self, received: ReceivedTelegram, last: Telegram) -> Iterator[ProtocolEvent]:
        """Yield what a whole telegram means; `last` is the part that completed it."""
        message = self._dialogue.receive(received.telegram)
        if self.is_stopping:
            if message in REPLIES:
                yield StopAnswered()
            return
        if message is DialogueMessage.PUSH:
            if self._level is not None:
                self._level.wait(last)
            yield PushReceived(received)
            return
        self._confirm(last)
        if message is DialogueMessage.ANSWER:
            yield AnswerReceived(received)
        elif message is DialogueMessage.REFUSAL:
            code = decode(received.telegram).number("error_code") or 0
            yield QuestionRefused(RefusedByController(self._asked, code))
        elif message is DialogueMessage.STRAY:
            yield UnexpectedTelegram(received)

    def _skipped(self, level: LinkLevel, telegram: Telegram) -> tuple[ProtocolEvent, ...] | None:
        """Follow the link level, and return what comes of a telegram that is not to be processed."""
        if telegram.mid == Mid.LINK_ACK:
            return ()
        if telegram.mid == Mid.LINK_NACK:
            reason = f"{self._name} refused a telegram as such (9998): {telegram.data!r}"
            return (ProtocolFailed(DeviceUnavailable(reason)),)
        check = level.check(telegram)
        if check is SequenceCheck.NEW:
            return None
        if check is SequenceCheck.REPEATED:
            self._send_some(level.again())
            return ()
        self._send(level.refusal(telegram, WRONG_SEQUENCE))
        reason = f"{self._name} is out of step: MID {telegram.mid:04d}, {telegram.sequence}"
        return (ProtocolFailed(DeviceUnavailable(reason)),)

    def _restart_after(self, error: MalformedTelegram) -> Iterator[ProtocolEvent]:
        if self._level is None:
            return
        # Without a confirmation it would come again and again: begin anew, nothing is lost by that.
        self._send(self._level.refusal(Telegram(mid=0), WRONG_PARTS))
        yield ProtocolFailed(DeviceUnavailable(f"{self._name} sent a telegram without a meaning: {error}"))

    def _join(self, telegram: Telegram, raw: bytes) -> Telegram | None:
        if telegram.parts <= 1 or telegram.part == 1:
            self._raw_parts = []
        # A part that no first part came before is refused below; its bytes must not pile up meanwhile.
        self._raw_parts = [*self._raw_parts[-MAX_PARTS:], raw]
        return self._parts.add(telegram)

    def _confirm(self, telegram: Telegram) -> None:
        """Confirm on the link level what needs no commit."""
        if self._level is not None:
            self._send_some(self._level.taken(telegram))

    def _send_some(self, telegram: Telegram | None) -> None:
        if telegram is not None:
            self._send(telegram)

    def _send(self, telegram: Telegram) -> None:
        numbered = telegram if self._level is None else self._level.number(telegram)
        self._out += numbered.wire()

    def _not_a_telegram(self, error: FramingError) -> DeviceError:
        if not self._received_any:
            return DeviceRefused(
                f"what answers at {self._name} does not speak Open Protocol: it sent {error.rest[:16]!r}",
                hint="set port to the controller's Open Protocol port (usually 4545)",
            )
        return DeviceUnavailable(f"{self._name} sent bytes that are no telegram: {error.rest[:16]!r}")
