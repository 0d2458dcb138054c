"""What outsiders do: verify what a journal or a store holds, and forge."""

import sqlite3
from pathlib import Path

from sqlalchemy import make_url

from linewitness.base.compression.records import unpack_record
from linewitness.evidence.policy.policy import Policy
from linewitness.evidence.verify.statements import Statement
from linewitness.evidence.verify.stream import verify
from linewitness.evidence.verify.verdict import Verdict
from linewitness.journal.reader import JournalReader
from linewitness.store.database.database import Database
from linewitness.store.reports import read_receipts, read_records


def verdict_on_journal(journal: JournalReader, policy: Policy) -> Verdict:
    """Verify all records that a journal holds."""
    statements = [Statement(f"receipt over {size}", note) for size, note in journal.receipts()]
    return verify((data for _, data in journal.records()), policy=policy, statements=statements)


def verdict_on_store(store_file: Path, policy: Policy) -> Verdict:
    """Verify all records that a store's database holds."""
    database = Database(make_url(f"sqlite:///{store_file}"))
    try:
        notes = read_receipts(database, policy.origin)
        statements = [Statement(f"receipt {number}", note) for number, note in enumerate(notes)]
        records = (held.data for held in read_records(database, origin=policy.origin))
        return verify(records, policy=policy, statements=statements)
    finally:
        database.close()


def alter_one_byte(database: Path) -> int:
    """Raise a torque by a little in the newest tightening's record, as a forger with the disk would."""
    connection = sqlite3.connect(database)
    try:
        connection.execute("DROP TRIGGER record_is_final")
        connection.create_function("plain", 1, unpack_record, deterministic=True)
        number, data = connection.execute(
            "SELECT seq, plain(bytes) FROM record "
            "WHERE instr(plain(bytes), CAST('tightening.result' AS BLOB)) ORDER BY seq DESC"
        ).fetchone()
        at = data.index(b'"field":"torque"') - 3
        digit = data[:at].rstrip(b'",').rfind(b".") + 1
        altered = data[:digit] + (b"9" if data[digit : digit + 1] != b"9" else b"8") + data[digit + 1 :]
        connection.execute("UPDATE record SET bytes = ? WHERE seq = ?", (altered, number))
        connection.commit()
    finally:
        connection.close()
    return int(number)
