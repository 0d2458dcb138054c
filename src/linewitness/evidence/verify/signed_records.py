"""Remember which records of a stream bear a signature of their own, a bit for each."""

from bisect import bisect_right
from typing import Final

_DIGITS: Final = bytes.maketrans(b"\x00\x01", b"01")


class SignedRecords:
    """Which of consecutive records bear a signature."""

    def __init__(self) -> None:
        """Know of no record."""
        self._firsts: list[int] = []
        self._bits: list[int] = []

    def extend(self, signed: bytes, first: int) -> None:
        """Take a chunk of consecutive records from `first` on: a byte for each, 1 where it is signed."""
        if signed:
            self._firsts.append(first)
            self._bits.append(int(signed[::-1].translate(_DIGITS), 2))

    def bears(self, index: int) -> bool:
        """Return whether a record that was taken bears a signature."""
        chunk = bisect_right(self._firsts, index) - 1
        return bool(self._bits[chunk] >> (index - self._firsts[chunk]) & 1)

    def run_start(self, index: int) -> int:
        """Return the first of the records for which the same signature vouches as for this one."""
        first = self._firsts[0]
        while index > first and not self.bears(index - 1):
            index -= 1
        return index
