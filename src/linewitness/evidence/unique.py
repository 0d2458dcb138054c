"""Find an `event_id` that is there twice, among any number of records, in bounded memory."""

import heapq
import tempfile
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import IO, Final, Self

RUN: Final = 200_000
_ID_BYTES: Final = 26
_ENTRY_BYTES: Final = _ID_BYTES + 8
_ENTRIES_PER_READ: Final = 1024


class UniqueIds:
    """Collect ids with their positions in sorted runs on disk; duplicates meet when the runs are merged."""

    def __init__(self, *, run: int = RUN) -> None:
        """Keep at most `run` ids in memory."""
        self._run = run
        self._open: list[bytes] = []
        self._spilled: list[IO[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for run in self._spilled:
            run.close()

    def add(self, event_id: bytes, index: int) -> None:
        """Take the id (26 bytes) of the record at `index`."""
        self.extend(event_id, index)

    def extend(self, event_ids: bytes, first: int) -> None:
        """Take the ids (26 bytes each) of consecutive records from `first` on."""
        places = range(first, first + len(event_ids) // _ID_BYTES)
        self._open += [
            event_ids[at : at + _ID_BYTES] + index.to_bytes(8, "big")
            for at, index in zip(range(0, len(event_ids), _ID_BYTES), places, strict=True)
        ]
        if len(self._open) >= self._run:
            self._spill()

    def first_duplicate(self) -> tuple[int, int] | None:
        """Return (the later, the earlier) position of the duplicate that comes first in the stream."""
        self._open.sort()
        runs: list[Iterable[bytes]] = [self._open, *(_read(run) for run in self._spilled)]
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


def _position(entry: bytes) -> int:
    return int.from_bytes(entry[_ID_BYTES:], "big")


def _read(run: IO[bytes]) -> Iterator[bytes]:
    run.seek(0)
    while block := run.read(_ENTRY_BYTES * _ENTRIES_PER_READ):
        for at in range(0, len(block), _ENTRY_BYTES):
            yield block[at : at + _ENTRY_BYTES]
