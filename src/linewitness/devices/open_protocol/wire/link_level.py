"""Number telegrams and confirm each on the link level (9997, 9998), where that was chosen; without a socket.

A confirmation on the link level lets the controller release a result, so that of a push waits for the commit.
"""

from collections import deque
from dataclasses import replace
from enum import Enum, auto
from typing import Final

from linewitness.devices.open_protocol.wire.mids import Mid
from linewitness.devices.open_protocol.wire.telegram import Telegram

LAST: Final = 99
#: Codes of 9998.
WRONG_SEQUENCE: Final = 3
WRONG_PARTS: Final = 4
UNNUMBERED: Final = frozenset({Mid.LINK_ACK, Mid.LINK_NACK})


class SequenceCheck(Enum):
    """What a telegram's number says about it."""

    NEW = auto()
    REPEATED = auto()
    OUT_OF_SEQUENCE = auto()


def following(sequence: int) -> int:
    """Return the number after this one: 99 wraps to 01."""
    return sequence % LAST + 1


class LinkLevel:
    """The counters of one connection in both directions, and what waits for its confirmation."""

    def __init__(self) -> None:
        """Begin after the start was acknowledged: both directions count from 01."""
        self._next = 1
        self._expected = 1
        self._waiting: deque[Telegram] = deque()
        self._last_ack: Telegram | None = None

    def number(self, telegram: Telegram) -> Telegram:
        """Return the telegram as it goes out."""
        if telegram.mid in UNNUMBERED:
            return telegram
        numbered = replace(telegram, sequence=self._next)
        self._next = following(self._next)
        return numbered

    def check(self, telegram: Telegram) -> SequenceCheck:
        """Check a telegram's number: a repeated one is not to be processed again."""
        if not telegram.sequence:
            return SequenceCheck.NEW
        if telegram.sequence == self._expected:
            self._expected = following(self._expected)
            self._last_ack = None
            return SequenceCheck.NEW
        return (
            SequenceCheck.REPEATED
            if following(telegram.sequence) == self._expected
            else SequenceCheck.OUT_OF_SEQUENCE
        )

    def again(self) -> Telegram | None:
        """Return the confirmation to repeat; None while what it confirms is not durable yet."""
        return self._last_ack

    def taken(self, telegram: Telegram) -> Telegram | None:
        """Return the confirmation of what needs no commit; None where the telegram has no number."""
        return self._ack(telegram)

    def wait(self, telegram: Telegram) -> None:
        """Keep a push until it is durable."""
        self._waiting.append(telegram)

    def durable(self) -> Telegram | None:
        """Return the confirmation of the oldest push; None where it has no number."""
        return self._ack(self._waiting.popleft())

    def release(self) -> Telegram | None:
        """Return the confirmation of the newest push, which needs no commit after all."""
        return self._ack(self._waiting.pop())

    def refusal(self, telegram: Telegram, code: int) -> Telegram:
        """Return the formal refusal (9998) of a telegram; its number is the one that was expected."""
        data = f"{telegram.mid:04d}{code:04d}".encode("ascii")
        return Telegram(mid=Mid.LINK_NACK, sequence=self._expected, data=data)

    def _ack(self, telegram: Telegram) -> Telegram | None:
        if not telegram.sequence:
            return None
        data = f"{telegram.mid:04d}".encode("ascii")
        ack = Telegram(mid=Mid.LINK_ACK, sequence=following(telegram.sequence), data=data)
        if following(telegram.sequence) == self._expected:
            self._last_ack = ack
        return ack
