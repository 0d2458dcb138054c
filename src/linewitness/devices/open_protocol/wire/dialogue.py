"""The dialogue with a controller as a table of states: who may send what when, without a socket."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from linewitness.devices.open_protocol.wire.codec import decode
from linewitness.devices.open_protocol.wire.mids import ACK_OF, Mid
from linewitness.devices.open_protocol.wire.telegram import Telegram

Accept = Callable[[Telegram], bool]
#: How many characters of 0004 and 0005 name the message that they are about.
NAME_WIDTH: Final = 4


class DialogueState(StrEnum):
    """Where a connection stands."""

    NEW = "new"
    STARTING = "starting"
    OPEN = "open"
    ASKING = "asking"
    STOPPING = "stopping"
    ENDED = "ended"


class DialogueMessage(StrEnum):
    """What was sent, by us or by the controller."""

    START = "start"
    STARTED = "started"
    ASK = "ask"
    ANSWER = "answer"
    REFUSAL = "refusal"
    PUSH = "push"
    ALIVE = "alive"
    ACK = "ack"
    STRAY = "stray"
    GIVE_UP = "give up"
    STOP = "stop"
    LOST = "lost"


def _table(
    *rows: tuple[DialogueState, str, DialogueState],
) -> Mapping[DialogueState, Mapping[DialogueMessage, DialogueState]]:
    table: dict[DialogueState, dict[DialogueMessage, DialogueState]] = {state: {} for state in DialogueState}
    for state, messages, following in rows:
        table[state] |= {DialogueMessage(message): following for message in messages.split(", ")}
    return MappingProxyType({state: MappingProxyType(row) for state, row in table.items()})


#: A push may come at any time after the start, between a request and its answer too. What an earlier
#: session left over may come before the start is acknowledged.
TRANSITIONS: Final = _table(
    (DialogueState.NEW, "start", DialogueState.STARTING),
    (DialogueState.NEW, "push, alive, stray", DialogueState.NEW),
    (DialogueState.STARTING, "answer", DialogueState.OPEN),
    (DialogueState.STARTING, "refusal", DialogueState.NEW),
    (DialogueState.STARTING, "push, alive, stray", DialogueState.STARTING),
    (DialogueState.OPEN, "ask", DialogueState.ASKING),
    (DialogueState.OPEN, "push, alive, ack, stray", DialogueState.OPEN),
    (DialogueState.ASKING, "answer, refusal, give up", DialogueState.OPEN),
    (DialogueState.ASKING, "push, alive, ack, stray", DialogueState.ASKING),
    (DialogueState.OPEN, "stop", DialogueState.STOPPING),
    (DialogueState.ASKING, "stop", DialogueState.STOPPING),
    (DialogueState.STARTING, "stop", DialogueState.STOPPING),
    (DialogueState.NEW, "stop", DialogueState.STOPPING),
    (DialogueState.STOPPING, "answer, refusal, give up, push, alive, stray", DialogueState.STOPPING),
    *((state, "lost", DialogueState.ENDED) for state in DialogueState),
)


class OutOfTurn(Exception):
    """Something was sent that the state of the dialogue does not allow."""


def step(state: DialogueState, message: DialogueMessage) -> DialogueState:
    """Return the state after this message. Raises `OutOfTurn` with both names."""
    following = TRANSITIONS[state].get(message)
    if following is None:
        raise OutOfTurn(f"{message} while {state}")
    return following


class ControllerDialogue:
    """One connection's state, and the one question that may be open in it."""

    def __init__(self) -> None:
        """Start before the communication start."""
        self.state = DialogueState.NEW
        self._names: frozenset[int] = frozenset()
        self._answers: frozenset[int] = frozenset()
        self._accept: Accept = lambda _: True
        self._owed = False

    def ask(
        self,
        telegram: Telegram,
        answers: frozenset[int],
        inner: int | None = None,
        accept: Accept = lambda _: True,
    ) -> None:
        """Note that a question goes out.

        `inner` is the MID within a generic request; `accept` tells its answer from a push of the same MID.
        """
        self.state = step(
            self.state, DialogueMessage.START if telegram.mid == Mid.START else DialogueMessage.ASK
        )
        self._names = frozenset({telegram.mid} | ({inner} if inner is not None else set()))
        self._answers = answers
        self._accept = accept

    def sent(self, message: DialogueMessage) -> None:
        """Note anything else that we send, or that the connection is lost."""
        self.state = step(self.state, message)

    def stop(self) -> None:
        """Note that the communication stop goes out; only its answer counts from here on."""
        self.sent(DialogueMessage.STOP)
        self._names, self._answers = frozenset({int(Mid.STOP)}), frozenset({int(Mid.ACCEPTED)})

    def receive(self, telegram: Telegram) -> DialogueMessage:
        """Return what a received telegram is, and follow it. Replies are matched by MID, never by order."""
        message = self._classify(telegram)
        self.state = step(self.state, message)
        if message in {DialogueMessage.ANSWER, DialogueMessage.REFUSAL}:
            self._names = self._answers = frozenset()
        return message

    def give_up(self) -> None:
        """Stop waiting for the open question; its answer would be a stray one."""
        self.state = step(self.state, DialogueMessage.GIVE_UP)
        self._owed = True
        self._names = self._answers = frozenset()

    def _classify(self, telegram: Telegram) -> DialogueMessage:
        mid = telegram.mid
        if mid == Mid.KEEP_ALIVE:
            return DialogueMessage.ALIVE
        if mid in {Mid.REFUSED, Mid.ACCEPTED}:
            return self._reply(telegram)
        if mid in self._answers and self._accept(telegram):
            return DialogueMessage.ANSWER
        return DialogueMessage.PUSH if mid in ACK_OF else DialogueMessage.STRAY

    def _reply(self, telegram: Telegram) -> DialogueMessage:
        """Return what 0004 or 0005 is. One that names nothing is about the only question that is open.

        Where an earlier question was given up, it may as well be about that one.
        """
        decoded = decode(telegram)
        refused = telegram.mid == Mid.REFUSED
        about = decoded.number("failed_mid" if refused else "accepted_mid")
        if about is None and not self._owed and not telegram.data[:NAME_WIDTH].strip(b" \0"):
            about = next(iter(self._names), None)
        if about not in self._names:
            return DialogueMessage.STRAY
        if refused:
            return DialogueMessage.REFUSAL
        return DialogueMessage.ANSWER if Mid.ACCEPTED in self._answers else DialogueMessage.STRAY
