"""Store the records of a commit, compressed, with the devices' own bytes that they name."""

import sqlite3

from linewitness.base.compression.records import record_packer
from linewitness.journal.records.commit import Commit, JournalRow
from linewitness.journal.records.raws import store_raws


def store_records(connection: sqlite3.Connection, commit: Commit) -> list[JournalRow]:
    """Write the records of a commit within the transaction, and return them."""
    rows = commit.rows()
    pack = record_packer()
    stored = [(sequence_no, unit, pack(data)) for sequence_no, unit, data in rows]
    connection.executemany("INSERT INTO record (seq, unit, bytes) VALUES (?, ?, ?)", stored)
    store_raws(connection, commit.raws)
    return rows
