"""Make event ids: ULIDs, of which each record has its own."""

import os
from base64 import b32encode
from typing import Final

from linewitness.base.clock import NS_PER_MS

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: Two digits for ten bits.
_PAIRS: Final = [high + low for high in _ALPHABET for low in _ALPHABET]
_RANDOM_BYTES: Final = 10
_RANDOM_DIGITS: Final = 16
_MS_BITS: Final = 48
#: From the digits of RFC 4648 to Crockford's.
_CROCKFORD: Final = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", _ALPHABET.encode())


#: Random digits are made for so many ids at a time: that costs a tenth.
_AHEAD: Final = 256


class EventIds:
    """Make ULIDs: 48 bits of Unix milliseconds, 80 random ones, as 26 digits of Crockford's base 32.

    A generator of our own, because it is called for each record: the library's takes ten times as long.
    """

    def __init__(self) -> None:
        """Begin without random digits."""
        self._digits = ""
        self._at = 0
        self._time: tuple[int, str] = (-1, "")

    def new(self, realtime_ns: int) -> str:
        """Return an id of this time."""
        milliseconds = (realtime_ns // NS_PER_MS) & (1 << _MS_BITS) - 1
        if milliseconds != self._time[0]:
            digits = "".join([_PAIRS[milliseconds >> shift & 1023] for shift in range(_MS_BITS - 8, -1, -10)])
            self._time = (milliseconds, digits)
        if self._at == len(self._digits):
            self._digits = b32encode(os.urandom(_RANDOM_BYTES * _AHEAD)).translate(_CROCKFORD).decode()
            self._at = 0
        at, self._at = self._at, self._at + _RANDOM_DIGITS
        return self._time[1] + self._digits[at : self._at]
