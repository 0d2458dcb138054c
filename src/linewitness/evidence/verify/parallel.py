"""Verify records in chunks, on as many cores as there are, with the same result as one after the other.

Each chunk is checked from a state that is only assumed, read off the end of the chunk before. A chunk's
result counts when that assumption is what the chunk before really ended in; otherwise the chunk is checked
again from there. So a wrong guess costs time and nothing else.
"""

import json
from bisect import bisect_right
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from itertools import accumulate, islice, pairwise
from multiprocessing import get_context
from typing import Any, Final

from linewitness.base.errors import EvidenceError
from linewitness.evidence.format import keys
from linewitness.evidence.format.note import Vkey
from linewitness.evidence.format.record import is_signed
from linewitness.evidence.verify.chain import ROTATED
from linewitness.evidence.verify.chunk import ChainState, CheckedChunk, check_chunk
from linewitness.evidence.verify.clock_rules import stamp_of

#: A power of two, so that the trees over the chunks are subtrees of the stream's.
CHUNK: Final = 2048
#: Starting processes takes longer than checking this many chunks.
INLINE_CHUNKS: Final = 4
_CHANGES_KEY: Final = f'"kind":"{ROTATED}"'.encode()


def check_all(
    stream: str,
    records: Iterable[bytes],
    *,
    workers: int,
    wanted: Iterable[int] = (),
    start: ChainState | None = None,
) -> Iterator[CheckedChunk]:
    """Yield the checked chunks in order; the last one is the first that is broken.

    `start` is the state in which the records begin, `wanted` are the sizes at which roots will be needed.
    With `workers` of 0 or 1 no processes are started. At most two chunks a worker are in memory, and the few
    that this process checks itself.
    """
    state = start or ChainState()
    chunks = _chunks(iter(records), state.head.size if state.head else 0)
    sizes = sorted(wanted)
    if workers > 1:
        yield from _Parallel(stream, workers, sizes, state).check(chunks)
        return
    for chunk in chunks:
        checked = check_chunk(stream, state, chunk, _within(sizes, state, chunk))
        yield checked
        if checked.broken:
            return
        state = checked.end


class _Parallel:
    """One run over one stream in several processes, which start while this one checks the first chunks."""

    def __init__(self, stream: str, workers: int, sizes: list[int], start: ChainState) -> None:
        self._stream = stream
        self._workers = workers
        self._sizes = sizes
        self._state = self._assumed = start
        self._pool: ProcessPoolExecutor | None = None
        self._pending: deque[tuple[list[bytes], Future[CheckedChunk]]] = deque()

    def check(self, chunks: Iterator[list[bytes]]) -> Iterator[CheckedChunk]:
        for chunk in islice(chunks, 1):  # without it nobody could say what the second is checked against
            if (yield from self._take(self._here(chunk))):
                return
        near = list(islice(chunks, INLINE_CHUNKS - 1))
        self._assumed = self._state
        for chunk in near:
            self._assumed = _assume(self._assumed, chunk)
        try:
            self._submit(chunks)
            for chunk in near:
                if (yield from self._take(self._here(chunk))):
                    return
            while self._pending:
                chunk, future = self._pending.popleft()
                checked = future.result()
                if checked.start != self._state:
                    checked = self._here(chunk)
                if (yield from self._take(checked)):
                    return
                self._submit(chunks)
        finally:
            if self._pool:
                self._pool.shutdown(cancel_futures=True)

    def _here(self, chunk: list[bytes]) -> CheckedChunk:
        return check_chunk(self._stream, self._state, chunk, _within(self._sizes, self._state, chunk))

    def _take(self, checked: CheckedChunk) -> Generator[CheckedChunk, None, bool]:
        """Yield what was checked; return whether it is the last."""
        yield checked
        self._state = checked.end
        return checked.broken is not None

    def _submit(self, chunks: Iterator[list[bytes]]) -> None:
        for chunk in islice(chunks, 2 * self._workers - len(self._pending)):
            if self._pool is None:
                self._pool = ProcessPoolExecutor(self._workers, mp_context=get_context("spawn"))
            inside = _within(self._sizes, self._assumed, chunk)
            # One object travels faster than two thousand.
            ends = list(accumulate(map(len, chunk)))
            packed = b"".join(chunk)
            future = self._pool.submit(_check_packed, self._stream, self._assumed, packed, ends, inside)
            self._pending.append((chunk, future))
            self._assumed = _assume(self._assumed, chunk)


def _check_packed(
    stream: str, start: ChainState, packed: bytes, ends: list[int], wanted: frozenset[int]
) -> CheckedChunk:
    records = [packed[first:last] for first, last in pairwise((0, *ends))]
    return check_chunk(stream, start, records, wanted)


def _chunks(source: Iterator[bytes], start: int) -> Iterator[list[bytes]]:
    """Yield chunks each of which stands in the tree where a subtree of its width does."""
    while chunk := list(islice(source, CHUNK if start % CHUNK == 0 else start & -start)):
        yield chunk
        start += len(chunk)


def _within(sizes: list[int], start: ChainState, chunk: list[bytes]) -> frozenset[int]:
    """Return the sizes that the stream has at some record of the chunk."""
    size = start.head.size if start.head else 0
    return frozenset(sizes[bisect_right(sizes, size) : bisect_right(sizes, size + len(chunk))])


def _assume(start: ChainState, chunk: list[bytes]) -> ChainState:
    """Return the state in which a good chunk ends, without checking it; any state for a bad one."""
    if start.head is None:
        return start
    try:
        event_key = start.head.event_key
        last: dict[str, Any] = json.loads(chunk[-1])
        if last["kind"] == ROTATED or last["integrity"]["key_id"] != Vkey.parse(event_key).key_id:
            for data in (data for data in chunk if _CHANGES_KEY in data):
                event_key = str(keys.read_rotation(json.loads(data)).new)
        head = replace(
            start.head,
            size=start.head.size + len(chunk),
            last_hash=last["integrity"]["record_hash"],
            event_key=event_key,
            unsigned=_unsigned(start.head.unsigned, chunk),
        )
        return ChainState(head, stamp_of(last))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, EvidenceError):
        return start


def _unsigned(before: int, chunk: list[bytes]) -> int:
    """Return how many records at the end of a chunk bear no signature."""
    for number, data in enumerate(reversed(chunk)):
        if is_signed(data):
            return number
    return before + len(chunk)
