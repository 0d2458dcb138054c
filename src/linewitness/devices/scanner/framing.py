"""Cut a reader's bytes into lines, in bounded memory, however the bytes arrive."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from linewitness.base.clock import Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderLine:
    """What stood before a terminator, and when its first and last bytes came.

    `whole` is False where only the start was kept: the line was too long, or the connection ended in it.
    """

    data: bytes
    begun: Stamp
    ended: Stamp
    whole: bool = True


class LineSplitter:
    """Collect bytes until a terminator; holds at most `limit` bytes and one terminator of an unfinished line.

    Empty lines are nobody's code: where CR, LF or both end a line, CR LF gives an empty one.
    """

    def __init__(self, *, terminator: bytes | None, limit: int) -> None:
        """Set what ends a line (None: CR or LF) and the longest one in bytes."""
        self._end = re.compile(re.escape(terminator) if terminator else rb"[\r\n]")
        self._overlap = len(terminator or b"\n") - 1
        self._limit = limit
        self._buffer = bytearray()
        self._begun: Stamp | None = None
        self._skipping = False

    def feed(self, data: bytes, stamp: Stamp) -> Iterator[ReaderLine]:
        """Yield the lines that end in `data`, and the start of a line at the moment it grows too long."""
        seek = max(0, len(self._buffer) - self._overlap)
        if self._begun is None and data:
            self._begun = stamp
        self._buffer += data
        start = 0
        while found := self._end.search(self._buffer, max(start, seek)):
            line = bytes(self._buffer[start : found.start()])
            start = found.end()
            begun, self._begun = self._begun or stamp, stamp
            skipped, self._skipping = self._skipping, False
            if line and not skipped:
                yield self._cut(line, begun, stamp)
        del self._buffer[:start]
        yield from self._bound(stamp)

    def end(self, stamp: Stamp) -> ReaderLine | None:
        """Return what is left when the connection ends, as a line that is not whole."""
        rest, begun, skipped = bytes(self._buffer), self._begun or stamp, self._skipping
        self._buffer.clear()
        self._begun, self._skipping = None, False
        if not rest or skipped:
            return None
        return ReaderLine(data=rest[: self._limit], begun=begun, ended=stamp, whole=False)

    def _cut(self, line: bytes, begun: Stamp, ended: Stamp) -> ReaderLine:
        whole = len(line) <= self._limit
        return ReaderLine(data=line[: self._limit], begun=begun, ended=ended, whole=whole)

    def _bound(self, stamp: Stamp) -> Iterator[ReaderLine]:
        if len(self._buffer) > self._limit + self._overlap:
            if not self._skipping:
                self._skipping = True
                yield self._cut(bytes(self._buffer), self._begun or stamp, stamp)
            # The terminator may be cut between two packets: keep what may be its beginning.
            del self._buffer[: len(self._buffer) - self._overlap]
        if not self._buffer and not self._skipping:
            self._begun = None
