"""Read records in their order from the rows of the journal, each of which is a run of them."""

import sqlite3
from collections.abc import Iterator
from typing import Final

from linewitness.base.compression.records import unpack_rows
from linewitness.journal import database

#: Rows, and bytes of them, that one query of an iteration returns at most, so that memory stays bounded.
PAGE: Final = 1000
_PAGE_BYTES: Final = 1024 * 1024
#: The first query returns few rows, for who wants few records, and each further one so many times as many.
_FIRST_PAGE: Final = 8
_GROWTH: Final = 8


def read_records(connection: sqlite3.Connection, first: int, last: int) -> Iterator[tuple[int, bytes]]:
    """Yield (sequence number, exact bytes) of the records [first, last) that are here.

    A page is read at a time, so that a slow consumer does not hold the log.
    """
    at, most = _row_of(connection, first), _FIRST_PAGE
    while rows := _page(connection, at, last, most):
        for sequence_no, data in unpack_rows(rows):
            if sequence_no >= last:
                return
            if sequence_no >= first:
                yield sequence_no, data
        at, most = rows[-1][0] + 1, min(PAGE, most * _GROWTH)


def read_runs(connection: sqlite3.Connection, first: int, last: int) -> Iterator[tuple[int, int, int]]:
    """Yield of each row that begins in [first, last): its number, how many records it states and holds."""
    stated = "count" if database.has_counts(connection) else "1"
    rows = connection.execute(
        f"SELECT seq, {stated}, bytes FROM record WHERE seq >= ? AND seq < ? ORDER BY seq",  # noqa: S608 (ours)
        (first, last),
    )
    for sequence_no, count, stored in rows:
        yield sequence_no, count, sum(1 for _ in unpack_rows([(sequence_no, stored)]))


def _row_of(connection: sqlite3.Connection, sequence_no: int) -> int:
    """Return where the row begins that holds a record, or would."""
    row = connection.execute("SELECT MAX(seq) FROM record WHERE seq <= ?", (sequence_no,)).fetchone()
    return sequence_no if row[0] is None else int(row[0])


def _page(connection: sqlite3.Connection, first: int, last: int, most: int) -> list[tuple[int, bytes]]:
    rows: list[tuple[int, bytes]] = []
    room = _PAGE_BYTES
    found = connection.execute(
        "SELECT seq, bytes FROM record WHERE seq >= ? AND seq < ? ORDER BY seq LIMIT ?", (first, last, most)
    )
    for row in found:
        rows.append(row)
        room -= len(row[1])
        if room < 0:
            break
    found.close()
    return rows
