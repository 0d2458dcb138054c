"""Store the records of a commit, compressed, with the devices' own bytes that they name."""

import sqlite3

from linewitness.base.compression.records import pack_record
from linewitness.journal.records.commit import Commit, JournalRow
from linewitness.journal.records.raws import store_raws


def store_records(connection: sqlite3.Connection, commit: Commit) -> list[JournalRow]:
    """Write the records of a commit within the transaction, and return them."""
    rows = commit.rows()
    stored = ((row.sequence_no, row.unit, pack_record(row.data)) for row in rows)
    connection.executemany("INSERT INTO record (seq, unit, bytes) VALUES (?, ?, ?)", stored)
    store_raws(connection, commit.raws)
    return rows
