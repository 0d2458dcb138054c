"""Find an `event_id` that is there twice, among any number of records, in bounded memory."""

import heapq
import tempfile
from collections.abc import Iterable, Iterator
from operator import lt
from types import TracebackType
from typing import IO, Final, Self

RUN: Final = 200_000
_ID_BYTES: Final = 26
_ENTRY_BYTES: Final = _ID_BYTES + 8
_ENTRIES_PER_READ: Final = 1024


class UniqueIds:
    """Collect ids with their positions; duplicates meet when all are merged in the order of the ids.

    Ids begin with the time, so nearly always all of a chunk are greater than all before. Such chunks go
    to disk as they are, and while there are no others nothing needs to be merged. The others are kept in
    sorted runs.
    """

    def __init__(self, *, run: int = RUN) -> None:
        """Keep at most `run` ids in memory."""
        self._run = run
        self._open: list[bytes] = []
        self._spilled: list[IO[bytes]] = []
        self._rising: IO[bytes] | None = None
        self._chunks: list[tuple[int, int]] = []
        self._highest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for run in self._spilled:
            run.close()
        if self._rising:
            self._rising.close()

    def add(self, event_id: bytes, index: int) -> None:
        """Take the id (26 bytes) of the record at `index`."""
        self.extend(event_id, index)

    def extend(self, event_ids: bytes, first: int) -> None:
        """Take the ids (26 bytes each) of a chunk of consecutive records from `first` on."""
        ids = sorted(event_ids[at : at + _ID_BYTES] for at in range(0, len(event_ids), _ID_BYTES))
        if not ids:
            return
        if ids[0] > self._highest and all(map(lt, ids, ids[1:])):
            self._rising = self._rising or tempfile.TemporaryFile()  # noqa: SIM115 (closed by __exit__)
            self._rising.write(event_ids)
            self._chunks.append((first, len(event_ids)))
            self._highest = ids[-1]
            return
        self._open += _entries(event_ids, first)
        if len(self._open) >= self._run:
            self._spill()

    def first_duplicate(self) -> tuple[int, int] | None:
        """Return (the later, the earlier) position of the duplicate that comes first in the stream."""
        if not self._open and not self._spilled:
            return None
        self._open.sort()
        runs: list[Iterable[bytes]] = [
            self._open,
            self._read_rising(),
            *(_read(run) for run in self._spilled),
        ]
        found: tuple[int, int] | None = None
        before = b""
        for entry in heapq.merge(*runs):
            if entry[:_ID_BYTES] == before[:_ID_BYTES]:
                pair = (_position(entry), _position(before))
                found = pair if found is None else min(found, pair)
            before = entry
        return found

    def _spill(self) -> None:
        self._open.sort()
        run = tempfile.TemporaryFile()  # noqa: SIM115 (closed by __exit__)
        run.write(b"".join(self._open))
        self._spilled.append(run)
        self._open = []

    def _read_rising(self) -> Iterator[bytes]:
        if self._rising is None:
            return
        self._rising.seek(0)
        for first, size in self._chunks:
            yield from sorted(_entries(self._rising.read(size), first))


def _entries(event_ids: bytes, first: int) -> list[bytes]:
    """Return each id followed by its position, so that they sort by both."""
    places = range(first, first + len(event_ids) // _ID_BYTES)
    return [
        event_ids[at : at + _ID_BYTES] + index.to_bytes(8, "big")
        for at, index in zip(range(0, len(event_ids), _ID_BYTES), places, strict=True)
    ]


def _position(entry: bytes) -> int:
    return int.from_bytes(entry[_ID_BYTES:], "big")


def _read(run: IO[bytes]) -> Iterator[bytes]:
    run.seek(0)
    while block := run.read(_ENTRY_BYTES * _ENTRIES_PER_READ):
        for at in range(0, len(block), _ENTRY_BYTES):
            yield block[at : at + _ENTRY_BYTES]
