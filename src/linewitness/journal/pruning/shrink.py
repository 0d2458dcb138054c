"""Delete a few old records in one transaction, and give their pages back to the disk."""

import sqlite3
from itertools import accumulate
from typing import Final

from linewitness.evidence.format.record import parse
from linewitness.journal.records.reading import read_records

#: Pages that one transaction gives back.
PAGES: Final = 500
#: Bytes of records that one transaction deletes, and what the last row has beyond them.
BYTES: Final = 512 * 1024


def delete_some(connection: sqlite3.Connection, boundary: int, *, most: int) -> bool:
    """Delete up to `most` rows below `boundary`, of records, raw bytes and receipts, and give pages back.

    Record 0 and the rotations stay. Returns whether nothing is left to delete or to give back.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        records = _delete_records(connection, boundary, most=most)
        raw = connection.execute(
            "DELETE FROM raw WHERE sha256 IN (SELECT sha256 FROM raw WHERE last_seq < ? LIMIT ?)",
            (boundary, most),
        ).rowcount
        salts = connection.execute(
            "DELETE FROM raw_of_record WHERE seq IN (SELECT seq FROM raw_of_record WHERE seq < ? LIMIT ?)",
            (boundary, most),
        ).rowcount
        receipts = _delete_receipts(connection, boundary, most=most)
        # Crash here: nothing of this step happened; the boundary is on record, the next start goes on.
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.rollback()
        raise
    if records or raw or salts or receipts:
        return False
    # executescript, because execute takes one step of a statement without columns: one page.
    connection.executescript(f"PRAGMA incremental_vacuum({PAGES});")
    free: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    if free and connection.execute("PRAGMA auto_vacuum").fetchone()[0]:
        return False
    # The log of a large deletion would stay as large as it became; a reader in between makes this wait
    # for the next time.
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return True


def _delete_records(connection: sqlite3.Connection, boundary: int, *, most: int) -> int:
    """Delete rows of records that are neither record 0 nor a rotation; return how many."""
    rows = connection.execute(
        "SELECT seq, length(bytes) FROM record WHERE seq > 0 AND seq < ? "
        "AND NOT EXISTS (SELECT 1 FROM event_key WHERE first_seq = record.seq + 1) ORDER BY seq LIMIT ?",
        (boundary, most),
    ).fetchall()
    before = accumulate((size for _, size in rows), initial=0)
    chosen = [(seq,) for (seq, _), deleted in zip(rows, before, strict=False) if deleted <= BYTES]
    connection.executemany("DELETE FROM record WHERE seq = ?", chosen)
    return len(chosen)


def _delete_receipts(connection: sqlite3.Connection, boundary: int, *, most: int) -> int:
    """Delete receipts that cover only what is gone and that came before what is left; return how many.

    A receipt can come long after the records that it covers, and newer records cite it for its time: so it
    goes with the records of its own time. The first that covers record 0, and each rotation, stays.
    """
    first_left = next(read_records(connection, boundary, boundary + 1), None)
    if first_left is None:
        return 0
    return connection.execute(
        "DELETE FROM receipt WHERE size IN (SELECT size FROM receipt WHERE size < ? AND received_at < ? "
        "AND size NOT IN (SELECT COALESCE((SELECT MIN(size) FROM receipt "
        "WHERE size >= MAX(first_seq, 1)), 0) FROM event_key) LIMIT ?)",
        (boundary, parse(first_left[1])["ingested_at"], most),
    ).rowcount
