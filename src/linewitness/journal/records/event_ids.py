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


def new_event_id(realtime_ns: int) -> str:
    """Return a ULID: 48 bits of Unix milliseconds, 80 random ones, as 26 digits of Crockford's base 32.

    A generator of our own, because it is called for each record: the library's takes ten times as long.
    """
    return new_event_ids(realtime_ns, 1)[0]


def new_event_ids(realtime_ns: int, count: int) -> list[str]:
    """Return so many ULIDs of one time."""
    milliseconds = (realtime_ns // NS_PER_MS) & (1 << _MS_BITS) - 1
    time = "".join([_PAIRS[milliseconds >> shift & 1023] for shift in range(_MS_BITS - 8, -1, -10)])
    digits = b32encode(os.urandom(_RANDOM_BYTES * count)).translate(_CROCKFORD).decode()
    return [time + digits[at : at + _RANDOM_DIGITS] for at in range(0, len(digits), _RANDOM_DIGITS)]
