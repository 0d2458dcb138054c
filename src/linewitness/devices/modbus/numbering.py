"""Follow a counter of results through outages, wrap-arounds and resets. Pure: no I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

#: A counter that is lower than before has wrapped if that few results explain it; otherwise it was reset.
WRAP_TOLERANCE: Final = 16


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """One result's number, and the epoch in which the number means it: 0, and one more after each restart."""

    epoch: int
    number: int

    def __str__(self) -> str:
        """Return the form that is remembered."""
        return f"{self.epoch}:{self.number}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Return what `str` wrote."""
        epoch, _, number = text.partition(":")
        return cls(int(epoch), int(number))


@dataclass(frozen=True, slots=True)
class Advance:
    """What a new value of the counter means.

    `lost` are results that the device does not hold any more, `fresh` those that are to be read;
    `reset` says that the device began to count anew.
    """

    lost: Sequence[Position] = ()
    fresh: Sequence[Position] = ()
    reset: bool = False


def advance(last: Position | None, newest: int, *, held: int, modulus: int) -> Advance:
    """Return what happened since `last`, of a device that holds its `held` newest results.

    Without a last position all that the device holds is fresh, and nothing is lost: it was not ours yet.
    """
    if last is None:
        return Advance(fresh=[Position(0, number) for number in range(max(1, newest - held + 1), newest + 1)])
    distance = (newest - last.number) % modulus
    if newest < last.number and distance > max(held, WRAP_TOLERANCE):
        passed = [Position(last.epoch + 1, number) for number in range(1, newest + 1)]
        return _cut(passed, held, reset=True)
    passed = [_after(last, step, modulus) for step in range(1, distance + 1)]
    return _cut(passed, held, reset=False)


def _after(last: Position, step: int, modulus: int) -> Position:
    wraps, number = divmod(last.number + step, modulus)
    return Position(last.epoch + wraps, number)


def _cut(passed: list[Position], held: int, *, reset: bool) -> Advance:
    gone = max(0, len(passed) - held)
    return Advance(lost=passed[:gone], fresh=passed[gone:], reset=reset)
