"""Store the devices' own bytes of records: each once, and for each record the salt of its hash."""

import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

from linewitness.records.commit import NamedRaw

_STORE: Final = "INSERT INTO raw VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET last_seq = excluded.last_seq"


def store_raws(connection: sqlite3.Connection, raws: Sequence[NamedRaw]) -> None:
    """Write the devices' own bytes of some records within the transaction."""
    names = [hashlib.sha256(raw.data).hexdigest() for raw in raws]
    named = list(zip(names, raws, strict=True))
    connection.executemany(_STORE, [(name, raw.data, raw.sequence_no) for name, raw in named])
    connection.executemany(
        "INSERT INTO raw_of_record VALUES (?, ?, ?)",
        [(raw.sequence_no, raw.salt, name) for name, raw in named],
    )


def store_unrecorded(connection: sqlite3.Connection, raws: Mapping[str, bytes], last: int) -> None:
    """Write bytes that no record names, by their hex SHA-256; they go with the record `last`."""
    connection.executemany(_STORE, [(name, data, last) for name, data in raws.items()])
