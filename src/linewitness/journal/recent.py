"""The newest commits in memory: what is sent a moment after it was written need not be read again."""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from linewitness.base.mappings import EMPTY
from linewitness.evidence.format.record import is_signed
from linewitness.journal.attestations import JournalHead

#: So many bytes of records at most are kept, and so many roots: of commits, and at signatures within them.
MOST_BYTES: Final = 1024 * 1024
MOST_ROOTS: Final = 1024


class _Written(NamedTuple):
    first: int
    records: list[bytes]
    size: int


class RecentCommits:
    """Records and tree heads of the newest commits, all of them durable. For several threads."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._lock = threading.Lock()
        self._written: deque[_Written] = deque()
        self._bytes = 0
        self._roots: dict[int, bytes] = {}

    def add(self, records: list[bytes], head: JournalHead, roots: Mapping[int, bytes] = EMPTY) -> None:
        """Take a commit that is durable: its records, the head that it led to, and roots on the way there."""
        size = sum(map(len, records))
        first = head.size - len(records)
        with self._lock:
            if self._written and self._written[-1].first + len(self._written[-1].records) != first:
                self._written.clear()  # a commit came to be durable although it ended with an error
                self._bytes = 0
            self._written.append(_Written(first, records, size))
            self._bytes += size
            while self._bytes > MOST_BYTES:
                self._bytes -= self._written.popleft().size
            self._roots.update(roots)
            self._roots[head.size] = head.root
            while len(self._roots) > MOST_ROOTS:
                del self._roots[next(iter(self._roots))]

    def root(self, size: int) -> bytes | None:
        """Return the Merkle root over `size` records, None where none of late is known."""
        with self._lock:
            return self._roots.get(size)

    def batch(self, first: int, max_bytes: int) -> list[bytes] | None:
        """Return what `JournalReader.batch` returns, None where `first` is older or not written yet."""
        with self._lock:
            if not self._written or first < self._written[0].first:
                return None
            written = [one for one in self._written if one.first + len(one.records) > first]
        batch: list[bytes] = []
        room = max_bytes
        for one in written:
            for record in one.records[max(0, first - one.first) :]:
                room -= len(record) + 1
                if batch and room < 0:
                    return up_to_commit(batch)
                batch.append(record)
        return up_to_commit(batch) if batch else None


def up_to_commit(batch: Sequence[bytes]) -> list[bytes]:
    """Return the records up to the last one that is signed, all of them where none is."""
    signed = (number for number in range(len(batch), 0, -1) if is_signed(batch[number - 1]))
    return list(batch[: next(signed, len(batch))])
