"""Store the records of a commit, compressed in runs, with the devices' own bytes that they name."""

import sqlite3
from collections.abc import Iterator

from linewitness.base.compression.records import MOST_IN_RUN, pack_run, record_packer
from linewitness.evidence.format.tiles import TILE_LEAVES
from linewitness.journal.records.raws import store_raws
from linewitness.records.commit import Commit, CommittedRecords

#: First record, unit, frame, number of records.
_Stored = tuple[int, str | None, bytes, int]


def store_records(connection: sqlite3.Connection, commit: Commit) -> CommittedRecords:
    """Write the records of a commit within the transaction, and return them."""
    rows = commit.rows()
    connection.executemany("INSERT INTO record (seq, unit, bytes, count) VALUES (?, ?, ?, ?)", _packed(rows))
    store_raws(connection, commit.raws)
    return rows


def _packed(rows: CommittedRecords) -> Iterator[_Stored]:
    """Yield what is stored of records: runs within a tile, for whole tiles are pruned.

    What is found by its unit, and what is never pruned, is a run of one.
    """
    pack = record_packer()
    first, data, alone, _ = rows
    ends = {*range(-first % TILE_LEAVES, len(data), TILE_LEAVES), len(data)}
    for position in alone:
        ends.add(position)
        ends.add(position + 1)
    begin = 0
    for end in sorted(ends):
        if begin in alone and end > begin:
            yield first + begin, alone[begin], pack(data[begin]), 1
        elif end > begin:
            yield from _runs(first + begin, data[begin:end])
        begin = end


def _runs(first: int, records: list[bytes]) -> Iterator[_Stored]:
    """Yield records as one run, or as several where one would be too large."""
    begin = size = 0
    if sum(map(len, records)) + len(records) > MOST_IN_RUN:
        for position, data in enumerate(records):
            size += len(data) + 1
            if position > begin and size > MOST_IN_RUN:
                yield first + begin, None, _frame(records[begin:position]), position - begin
                begin, size = position, len(data) + 1
    yield first + begin, None, _frame(records[begin:]), len(records) - begin


def _frame(run: list[bytes]) -> bytes:
    return pack_run(run) if len(run) > 1 else record_packer()(run[0])
