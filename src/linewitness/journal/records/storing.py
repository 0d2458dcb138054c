"""Store the records of a commit, compressed in runs, with the devices' own bytes that they name."""

import sqlite3
from collections.abc import Iterable, Iterator

from linewitness.base.compression.records import MOST_IN_RUN, pack_run, record_packer
from linewitness.evidence.format.tiles import TILE_LEAVES
from linewitness.journal.records.raws import store_raws
from linewitness.records.commit import Commit, CommittedRecord

#: First record, unit, frame, number of records.
_Stored = tuple[int, str | None, bytes, int]


def store_records(connection: sqlite3.Connection, commit: Commit) -> list[CommittedRecord]:
    """Write the records of a commit within the transaction, and return them."""
    rows = commit.rows()
    connection.executemany("INSERT INTO record (seq, unit, bytes, count) VALUES (?, ?, ?, ?)", _packed(rows))
    store_raws(connection, commit.raws)
    return rows


def _packed(rows: Iterable[CommittedRecord]) -> Iterator[_Stored]:
    """Yield what is stored of records: runs within a tile, for whole tiles are pruned.

    What is found by its unit, and what is never pruned, is a run of one.
    """
    pack = record_packer()
    run: list[bytes] = []
    first = size = 0
    for sequence_no, unit, data, of_keys in rows:
        alone = of_keys or unit is not None
        size += len(data) + 1
        if run and (alone or size > MOST_IN_RUN or sequence_no % TILE_LEAVES == 0):
            yield first, None, _frame(run), len(run)
            run = []
        if alone:
            yield sequence_no, unit, pack(data), 1
            continue
        if not run:
            first, size = sequence_no, len(data) + 1
        run.append(data)
    if run:
        yield first, None, _frame(run), len(run)


def _frame(run: list[bytes]) -> bytes:
    return pack_run(run) if len(run) > 1 else record_packer()(run[0])
