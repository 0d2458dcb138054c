"""Make event ids: ULIDs, of which each record has its own."""

import os
from typing import Final

from linewitness.base.clock import NS_PER_MS

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: Two digits for ten bits.
_PAIRS: Final = [high + low for high in _ALPHABET for low in _ALPHABET]
_RANDOM_DIGITS: Final = 16
_MS_BITS: Final = 48
#: A digit for each byte: as many bytes lead to one digit as to any other, so that it is as random as they.
_DIGIT_OF: Final = bytes(ord(_ALPHABET[byte % len(_ALPHABET)]) for byte in range(256))
#: Random digits are made for so many ids at a time: that costs a tenth.
_AHEAD: Final = 256


class EventIds:
    """Make ULIDs: 48 bits of Unix milliseconds, 80 random ones, as 26 digits of Crockford's base 32.

    A generator of our own, because it is called for each record: the library's takes ten times as long.
    """

    def __init__(self) -> None:
        """Begin without random digits."""
        self._digits = b""
        self._at = 0
        self._time: tuple[int, bytes] = (-1, b"")

    def new(self, realtime_ns: int) -> str:
        """Return an id of this time."""
        begin = self._begin(realtime_ns)
        if self._at == len(self._digits):
            self._digits, self._at = _random_digits(_AHEAD), 0
        at, self._at = self._at, self._at + _RANDOM_DIGITS
        return (begin + self._digits[at : self._at]).decode()

    def many(self, realtime_ns: int, count: int) -> list[bytes]:
        """Return so many ids of this time, as they stand in records."""
        begin, digits = self._begin(realtime_ns), _random_digits(count)
        return [begin + digits[at : at + _RANDOM_DIGITS] for at in range(0, len(digits), _RANDOM_DIGITS)]

    def _begin(self, realtime_ns: int) -> bytes:
        """Return the digits of the time, which the ids of a millisecond share."""
        milliseconds = (realtime_ns // NS_PER_MS) & (1 << _MS_BITS) - 1
        if milliseconds != self._time[0]:
            digits = "".join([_PAIRS[milliseconds >> shift & 1023] for shift in range(_MS_BITS - 8, -1, -10)])
            self._time = (milliseconds, digits.encode())
        return self._time[1]


def _random_digits(ids: int) -> bytes:
    return os.urandom(ids * _RANDOM_DIGITS).translate(_DIGIT_OF)
