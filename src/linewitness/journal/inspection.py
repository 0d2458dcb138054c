"""Read the whole journal once a day, a little at a time, so that damage is known before it is needed.

Opening checks the newest records only, so that a start takes no longer when the journal grows. A disk that
forgets does so further back as well; what it forgot is still with the audit store then, if somebody looks.
"""

import functools
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final, NoReturn

import structlog

from linewitness.base.inspection import InspectionThread, daily, damage_in
from linewitness.evidence.format.merkle import leaf_hash
from linewitness.evidence.format.record import parse, unit_of
from linewitness.evidence.format.tiles import TILE_LEAVES, TILE_LEVEL, folded
from linewitness.journal.reader import JournalReader

log = structlog.get_logger()

#: Between two looks of some hundred KiB: a full journal takes less than an hour, and the disk serves others.
PAUSE_S: Final = 0.2
#: Raw telegrams that are compared in one look.
RAWS: Final = 256
_HINT: Final = (
    "capture goes on; `linewitness verify` says more. Export what is good, look at the disk (dmesg, SMART), "
    "then replace it and begin the next generation with `linewitness init --continue`"
)

Look = Callable[[JournalReader], str]
Read = Callable[[Look], Awaitable[str]]


async def inspect_daily(directory: Path, *, tell: Callable[[str], object]) -> NoReturn:
    """Inspect for ever; `tell` gets what is damaged after each round, or the empty string.

    It has a connection and a thread of its own: a slow disk holds up neither commits nor sending.
    """

    def report(damage: list[str]) -> None:
        tell(damage[0] if damage else "")
        if damage:
            log.error("damage found in the journal", first=damage[0], places=len(damage), hint=_HINT)

    await daily(functools.partial(_inspect_in_thread, directory), tell=report)


async def _inspect_in_thread(directory: Path) -> list[str]:
    reader = JournalReader(directory)
    with InspectionThread(close=reader.close) as thread:
        reader.guard_with(thread)

        async def read(look: Look) -> str:
            return await thread.run(functools.partial(reader.ask, look))

        return await inspect(read)


async def inspect(read: Read) -> list[str]:
    """Look at everything once, and return what is damaged, a sentence each."""
    return await damage_in(_looks(read), pause_s=PAUSE_S)


async def _looks(read: Read) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    async for look in _looks_at_parts(read):
        yield functools.partial(read, look)


async def _looks_at_parts(read: Read) -> AsyncIterator[Look]:
    yield _read_through
    tiles = int(await read(lambda reader: str(reader.size()))) // TILE_LEAVES
    for index in range(tiles):
        yield functools.partial(_look_at_tile, index=index)
    raws = _Raws()
    while not raws.finished:
        yield raws.look


def _read_through(reader: JournalReader) -> str:
    reader.read_through()
    return ""


def _look_at_tile(reader: JournalReader, index: int) -> str:
    """Compare the records that are still here with their leaves, and the leaves with their node."""
    first = index * TILE_LEAVES
    tree = reader.tree()
    leaves = tree.leaves(first, first + TILE_LEAVES)
    units = reader.units(first, first + TILE_LEAVES)
    for sequence_no, data in reader.records(first, first + TILE_LEAVES):
        if leaf_hash(data) != leaves[sequence_no - first]:
            return f"record {sequence_no} is not the one that was written"
        if unit_of(parse(data)) != units.get(sequence_no):
            return f"record {sequence_no} is not found by its unit"
    if wrong := _rows_of_tile(reader, first):
        return wrong
    if folded(leaves) != tree.subtree(TILE_LEVEL, index):
        return f"the tree over records {first} to {first + TILE_LEAVES - 1} is not the one that was written"
    return ""


def _rows_of_tile(reader: JournalReader, first: int) -> str:
    """Say if the rows of a tile that is not pruned leave a record out, or have one twice."""
    if first < reader.pruned:
        return ""
    expected, end = first, first + TILE_LEAVES
    for sequence_no, stated, held in reader.runs(first, end):
        if sequence_no != expected:
            return f"record {min(sequence_no, expected)} is missing, or there twice"
        if stated != held:
            return f"the row of record {sequence_no} states {stated} records and holds {held}"
        expected += held
    return "" if expected == end else f"record {min(expected, end)} is missing, or there twice"


class _Raws:
    """Compare the devices' own bytes with their hashes, some at a look."""

    def __init__(self) -> None:
        self._after = ""
        self.finished = False

    def look(self, reader: JournalReader) -> str:
        # Whatever this look meets: the next one goes on behind it, or there is none.
        self.finished = True
        rows = reader.raws(self._after, RAWS)
        if len(rows) == RAWS:
            self._after, self.finished = rows[-1][0], False
        for sha256, data in rows:
            if hashlib.sha256(data).hexdigest() != sha256:
                return f"the raw telegram {sha256} is not the one that was written"
        return ""
