"""The dialogue with a controller as a table of states: who may say what when, without a socket."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from linewitness.devices.open_protocol.codec import decode
from linewitness.devices.open_protocol.mids import ACK_OF, Mid
from linewitness.devices.open_protocol.telegram import Telegram

Accept = Callable[[Telegram], bool]


class State(StrEnum):
    """Where a connection stands."""

    NEW = "new"
    STARTING = "starting"
    OPEN = "open"
    ASKING = "asking"
    STOPPING = "stopping"
    ENDED = "ended"


class Message(StrEnum):
    """What was said, by us or by the controller."""

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


def _table(*rows: tuple[State, str, State]) -> Mapping[State, Mapping[Message, State]]:
    table: dict[State, dict[Message, State]] = {state: {} for state in State}
    for state, messages, following in rows:
        table[state] |= {Message(message): following for message in messages.split(", ")}
    return MappingProxyType({state: MappingProxyType(row) for state, row in table.items()})


#: A push may come at any time after the start, between a request and its answer too. What an earlier
#: session left over may come before the start is acknowledged.
TRANSITIONS: Final = _table(
    (State.NEW, "start", State.STARTING),
    (State.NEW, "push, alive, stray", State.NEW),
    (State.STARTING, "answer", State.OPEN),
    (State.STARTING, "refusal", State.NEW),
    (State.STARTING, "push, alive, stray", State.STARTING),
    (State.OPEN, "ask", State.ASKING),
    (State.OPEN, "push, alive, ack, stray", State.OPEN),
    (State.ASKING, "answer, refusal, give up", State.OPEN),
    (State.ASKING, "push, alive, ack, stray", State.ASKING),
    (State.OPEN, "stop", State.STOPPING),
    (State.ASKING, "stop", State.STOPPING),
    (State.STARTING, "stop", State.STOPPING),
    (State.NEW, "stop", State.STOPPING),
    (State.STOPPING, "answer, refusal, give up, push, alive, stray", State.STOPPING),
    *((state, "lost", State.ENDED) for state in State),
)


class OutOfTurn(Exception):
    """Something was said that the state of the dialogue does not allow."""


def step(state: State, message: Message) -> State:
    """Return the state after this message. Raises `OutOfTurn` with both names."""
    following = TRANSITIONS[state].get(message)
    if following is None:
        raise OutOfTurn(f"{message} while {state}")
    return following


class Dialogue:
    """One connection's state, and the one question that may be open in it."""

    def __init__(self) -> None:
        """Start before the communication start."""
        self.state = State.NEW
        self._names: frozenset[int] = frozenset()
        self._answers: frozenset[int] = frozenset()
        self._accept: Accept = lambda _: True

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
        self.state = step(self.state, Message.START if telegram.mid == Mid.START else Message.ASK)
        self._names = frozenset({telegram.mid} | ({inner} if inner is not None else set()))
        self._answers = answers
        self._accept = accept

    def said(self, message: Message) -> None:
        """Note anything else that we say, or that the connection is lost."""
        self.state = step(self.state, message)

    def stop(self) -> None:
        """Note that the communication stop goes out; only its answer counts from here on."""
        self.said(Message.STOP)
        self._names, self._answers = frozenset({int(Mid.STOP)}), frozenset({int(Mid.ACCEPTED)})

    def hear(self, telegram: Telegram) -> Message:
        """Say what a received telegram is, and follow it. Replies are matched by MID, never by order."""
        message = self._classify(telegram)
        self.state = step(self.state, message)
        if message in {Message.ANSWER, Message.REFUSAL}:
            self._names = self._answers = frozenset()
        return message

    def give_up(self) -> None:
        """Stop waiting for the open question; its answer would be a stray one."""
        self.state = step(self.state, Message.GIVE_UP)
        self._names = self._answers = frozenset()

    def _classify(self, telegram: Telegram) -> Message:
        mid = telegram.mid
        if mid == Mid.KEEP_ALIVE:
            return Message.ALIVE
        if mid in {Mid.REFUSED, Mid.ACCEPTED}:
            return self._reply(telegram)
        if mid in self._answers and self._accept(telegram):
            return Message.ANSWER
        return Message.PUSH if mid in ACK_OF else Message.STRAY

    def _reply(self, telegram: Telegram) -> Message:
        decoded = decode(telegram)
        refused = telegram.mid == Mid.REFUSED
        about = decoded.number("failed_mid" if refused else "accepted_mid")
        if about not in self._names:
            return Message.STRAY
        if refused:
            return Message.REFUSAL
        return Message.ANSWER if Mid.ACCEPTED in self._answers else Message.STRAY
