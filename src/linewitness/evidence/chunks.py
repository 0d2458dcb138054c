"""Verify records in chunks, on as many cores as there are, with the same result as one after the other.

Each chunk is checked from a state that is only assumed, read off the end of the chunk before. A chunk's
result counts when that assumption is what the chunk before really ended in; otherwise the chunk is checked
again from there. So a wrong guess costs time and nothing else.
"""

import json
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing import get_context
from typing import Any, Final

from linewitness.errors import EvidenceError
from linewitness.evidence import keys
from linewitness.evidence.chain import CREATED, ROTATED, Broken, ChainVerifier, Head
from linewitness.evidence.clock_rules import ClockHead, ClockRules, stamp_of
from linewitness.evidence.merkle import Frontier, leaf_hash
from linewitness.evidence.verdict import Remark

#: A power of two, so that the trees over the chunks are subtrees of the stream's.
CHUNK: Final = 2048
#: Starting processes takes longer than checking this many chunks.
INLINE_CHUNKS: Final = 4
_CHANGES_KEY: Final = (f'"kind":"{ROTATED}"'.encode(), f'"kind":"{CREATED}"'.encode())


@dataclass(frozen=True, slots=True)
class State:
    """Everything that the next record is checked against."""

    head: Head | None = None
    clock: ClockHead | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """What checking one chunk gave: the tree's nodes and the ids (26 bytes each) of good records.

    `trees` holds the frontiers at the sizes that were asked for; `keys` lists each event key that took over
    in the chunk, with the first record that it signs.
    """

    start: State
    end: State
    count: int
    record_0: str | None
    tree: tuple[bytes | None, ...]
    trees: tuple[tuple[int, tuple[bytes | None, ...]], ...]
    ids: bytes
    keys: tuple[tuple[int, str], ...]
    remarks: tuple[Remark, ...]
    broken: Broken | None


def check_chunk(
    stream: str, start: State, records: list[bytes], wanted: frozenset[int] = frozenset()
) -> Checked:
    """Check consecutive records from a state; stop at the first that is broken.

    `wanted` are sizes of the whole stream at which its root will be needed.
    """
    verifier = ChainVerifier(stream=stream, head=start.head)
    clock = ClockRules(start.clock)
    tree = Frontier()
    trees: list[tuple[int, tuple[bytes | None, ...]]] = []
    ids: list[str] = []
    taken_over: list[tuple[int, str]] = []
    record_0: str | None = None
    broken: Broken | None = None
    for data in records:
        try:
            passed = verifier.pass_over(data)
            clock.pass_over(passed)
        except Broken as error:
            broken = error
            break
        tree.append(leaf_hash(data))
        if verifier.size in wanted:
            trees.append((verifier.size, tuple(tree.nodes)))
        ids.append(passed.event_id)
        if passed.sequence_no == 0:
            record_0 = passed.record_hash
            taken_over.append((0, verifier.head.event_key))
        elif passed.kind == ROTATED:
            taken_over.append((verifier.size, verifier.head.event_key))
    return Checked(
        start=start,
        end=State(verifier.head if verifier.size else None, clock.head),
        count=len(ids),
        record_0=record_0,
        tree=tuple(tree.nodes),
        trees=tuple(trees),
        ids="".join(ids).encode(),
        keys=tuple(taken_over),
        remarks=tuple(clock.remarks),
        broken=broken,
    )


def check_all(
    stream: str, records: Iterable[bytes], *, workers: int, wanted: Iterable[int] = ()
) -> Iterator[Checked]:
    """Yield the checked chunks in order; the last one is the first that is broken.

    `wanted` are the sizes at which roots will be needed. With `workers` of 0 or 1 no processes are started.
    At most two chunks a worker are in memory.
    """
    source = iter(records)
    state = State()
    sizes = sorted(wanted)
    for number, chunk in enumerate(_chunks(source)):
        checked = check_chunk(stream, state, chunk, _within(sizes, state, chunk))
        yield checked
        if checked.broken:
            return
        state = checked.end
        if workers > 1 and number + 1 >= INLINE_CHUNKS:
            break
    else:
        return
    yield from _in_parallel(stream, source, state, workers, sizes)


def _in_parallel(
    stream: str, source: Iterator[bytes], state: State, workers: int, sizes: list[int]
) -> Iterator[Checked]:
    pending: deque[tuple[list[bytes], Future[Checked]]] = deque()
    chunks = _chunks(source)
    assumed = state
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        while True:
            for chunk in islice(chunks, 2 * workers - len(pending)):
                inside = _within(sizes, assumed, chunk)
                pending.append((chunk, pool.submit(check_chunk, stream, assumed, chunk, inside)))
                assumed = _assume(assumed, chunk)
            if not pending:
                return
            chunk, future = pending.popleft()
            checked = future.result()
            if checked.start != state:
                checked = check_chunk(stream, state, chunk, _within(sizes, state, chunk))
            yield checked
            if checked.broken:
                return
            state = checked.end
    finally:
        pool.shutdown(cancel_futures=True)


def _chunks(source: Iterator[bytes]) -> Iterator[list[bytes]]:
    while chunk := list(islice(source, CHUNK)):
        yield chunk


def _within(sizes: list[int], start: State, chunk: list[bytes]) -> frozenset[int]:
    """Return the sizes that the stream has at some record of the chunk."""
    size = start.head.size if start.head else 0
    return frozenset(sizes[bisect_right(sizes, size) : bisect_right(sizes, size + len(chunk))])


def _assume(start: State, chunk: list[bytes]) -> State:
    """Return the state in which a good chunk ends, without checking it; any state for a bad one."""
    if start.head is None:
        return start
    try:
        event_key = start.head.event_key
        together = b"".join(chunk)
        for data in chunk if any(mark in together for mark in _CHANGES_KEY) else ():
            if any(mark in data for mark in _CHANGES_KEY):
                event_key = str(keys.read_rotation(json.loads(data)).new)
        last: dict[str, Any] = json.loads(chunk[-1])
        head = replace(
            start.head,
            size=start.head.size + len(chunk),
            last_hash=last["integrity"]["record_hash"],
            event_key=event_key,
        )
        return State(head, stamp_of(last))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, EvidenceError):
        return start
