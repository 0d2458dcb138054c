"""Bring the journal of an earlier version to this one."""

import sqlite3
from typing import Final

from linewitness.journal.database import SCHEMA_VERSION, has_counts, script

#: How the table of records ended, and how it ends now.
_LAST_COLUMN: Final = "bytes BLOB NOT NULL\n)"
_WITH_COUNT: Final = "bytes BLOB NOT NULL,\n    count INTEGER NOT NULL DEFAULT 1\n)"


def upgrade(connection: sqlite3.Connection) -> None:
    """Let a journal of an earlier version, whose tail was checked, take runs; its rows stay as they are."""
    if has_counts(connection):
        return
    # Not ALTER TABLE: newer versions of SQLite read a whole strict table for it, and refuse what is damaged
    # far back. What it would write is the same.
    connection.execute("PRAGMA writable_schema = ON")
    try:
        connection.execute("BEGIN IMMEDIATE")
        _rewrite(connection)
        # Crash here: the journal is that of the earlier version, and the next start begins again.
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.rollback()
        raise
    finally:
        connection.execute("PRAGMA writable_schema = RESET")


def _rewrite(connection: sqlite3.Connection) -> None:
    changed = connection.execute(
        "UPDATE sqlite_master SET sql = replace(sql, ?, ?) "
        "WHERE type = 'table' AND name = 'record' AND instr(sql, ?)",
        (_LAST_COLUMN, _WITH_COUNT, _LAST_COLUMN),
    ).rowcount
    if changed != 1:
        raise sqlite3.DatabaseError("the table of records is not that of an earlier version")
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    for trigger in script("triggers.sql").split("END;")[:-1]:
        connection.execute(f"{trigger}END;")
    schema_version = connection.execute("PRAGMA schema_version").fetchone()[0]
    connection.execute(f"PRAGMA schema_version = {schema_version + 1}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
