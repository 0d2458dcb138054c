"""What one line gives to all of its drivers: the clock, and what drivers of one kind share."""

from typing import TypeVar

from linewitness.base.clock import Clock

T = TypeVar("T")


class DriverContext:
    """The surroundings of the drivers of one line.

    Who composes a line makes one and hands it to each driver: two lines in one process share nothing.
    """

    def __init__(self, *, clock: Clock) -> None:
        """Begin with a clock, and with nothing shared."""
        self._clock = clock
        self._shared: dict[type[object], object] = {}

    @property
    def clock(self) -> Clock:
        """The clock by which observations are stamped."""
        return self._clock

    def shared(self, kind: type[T]) -> T:
        """Return the line's only object of this class; the first driver that asks for it makes it."""
        found = self._shared.get(kind)
        if not isinstance(found, kind):
            found = self._shared[kind] = kind()
        return found
