"""Cut a byte stream into telegrams by their length field, whatever the network did to it."""

from collections.abc import Iterator
from typing import Final

from linewitness.base.clock import Stamp
from linewitness.devices.open_protocol.wire.telegram import HEADER_LENGTH, MAX_LENGTH

#: Bytes that may stand between telegrams: the end marks of the last one, and stray line ends.
BETWEEN: Final = b"\x00\r\n"
LENGTH_DIGITS: Final = 4
DIGITS: Final = b"0123456789"


class FramingError(ValueError):
    """The stream does not hold a telegram where one must begin; there is no way back into step."""

    def __init__(self, rest: bytes) -> None:
        """Keep the bytes at fault, for the log."""
        super().__init__(f"no telegram length in {rest[:16]!r}")
        self.rest = rest


class Unfinished:
    """Since when something has begun and is not complete; `since` None where nothing has."""

    def __init__(self) -> None:
        """Start with nothing begun."""
        self.since: Stamp | None = None

    def look(self, stamp: Stamp, *, waiting: bool, anew: bool = False) -> None:
        """Note whether something is incomplete now; `anew`: another thing than at the last look."""
        if not waiting:
            self.since = None
        elif self.since is None or anew:
            self.since = stamp


class Framer:
    """Collect bytes and hand out whole telegrams (header and data, without the end mark).

    A telegram ends where its length field says, never at a NUL: binary tails contain NULs, and
    some devices omit the final one.
    """

    def __init__(self) -> None:
        """Start between two telegrams."""
        self._buffer = bytearray()
        self.completed = 0

    @property
    def partial(self) -> bool:
        """Whether a telegram has begun and is not complete."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take `data` and yield the telegrams that it completes, in order.

        `FramingError` comes after those that stood before the place at fault, so that what was received does
        not depend on how the network cut the stream.
        """
        self._buffer += data
        return iter(self._take, None)

    def _take(self) -> bytes | None:
        stripped = self._buffer.lstrip(BETWEEN)
        if len(stripped) != len(self._buffer):
            self._buffer = stripped
        digits = bytes(self._buffer[:LENGTH_DIGITS])
        if any(digit not in DIGITS for digit in digits):
            raise FramingError(bytes(self._buffer))
        if len(digits) < LENGTH_DIGITS:
            return None
        length = int(digits)
        if not HEADER_LENGTH <= length <= MAX_LENGTH:
            raise FramingError(bytes(self._buffer))
        if len(self._buffer) < length:
            return None
        self.completed += 1
        telegram = bytes(self._buffer[:length])
        del self._buffer[:length]
        return telegram
