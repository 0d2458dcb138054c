"""Open a journal: find where it ended, and refuse it where its files contradict each other."""

import sqlite3
from dataclasses import dataclass

from linewitness.base.errors import EvidenceError, JournalDamaged
from linewitness.evidence.format import record
from linewitness.evidence.format.merkle import Frontier
from linewitness.evidence.format.note import Vkey
from linewitness.evidence.format.tiles import TILE_LEAVES
from linewitness.journal.attestations import PRUNED, JournalHead
from linewitness.journal.records.reading import read_records
from linewitness.journal.tree import JournalTree
from linewitness.records.builder import StreamIdentity

_HINT = "keep a copy of the folder, run `linewitness verify` on it, then `linewitness init --continue`"


@dataclass(frozen=True, slots=True)
class Tail:
    """What the last commit left behind."""

    identity: StreamIdentity
    event_key: Vkey
    frontier: Frontier
    record_hash: str
    open_tile: list[bytes]


def read_identity(connection: sqlite3.Connection) -> StreamIdentity:
    """Return whose records these are; JournalDamaged where record 0 was never written."""
    row = connection.execute("SELECT origin, tenant, plant, line FROM stream").fetchone()
    if row is None:
        raise JournalDamaged(
            "the journal was never finished by `linewitness init`", hint="remove it and run init again"
        )
    return StreamIdentity(stream=row[0], tenant=row[1], plant=row[2], line=row[3])


def read_head(connection: sqlite3.Connection) -> JournalHead | None:
    """Return where the stream stands, as the last commit left it; None before record 0."""
    row = connection.execute("SELECT size, record_hash, root FROM head").fetchone()
    return JournalHead(*row) if row else None


def check_tail(connection: sqlite3.Connection) -> Tail:
    """Check the records since the last full tile against head, tree and keys, and return where they end."""
    identity = read_identity(connection)
    head = read_head(connection)
    last = connection.execute("SELECT MAX(seq) FROM record").fetchone()[0]
    if head is None or last is None:
        raise JournalDamaged(
            "the journal has no records, not even record 0",
            hint=f"if `linewitness init` was interrupted here, remove it and run it again; else {_HINT}",
        )
    size, record_hash, root = head.size, head.record_hash, head.root
    # Not by what a row says of its run: the journal of an earlier version has no such column.
    *_, (last, _) = read_records(connection, last, max(size, last) + TILE_LEAVES)
    if last + 1 != size:
        raise JournalDamaged(f"the journal ends at record {last}, its head says {size - 1}", hint=_HINT)
    tree = JournalTree(connection)
    frontier = Frontier(size, tree.subtree)
    if frontier.root() != root:
        raise JournalDamaged(f"the tree over {size} records does not have the root of the head", hint=_HINT)
    first_key, vkey = connection.execute(
        "SELECT first_seq, vkey FROM event_key ORDER BY first_seq DESC"
    ).fetchone()
    event_key = Vkey.parse(vkey)
    _check_links(connection, size, record_hash, event_key.key_id, first_key)
    open_tile = tree.leaves(size - size % TILE_LEAVES, size) if size % TILE_LEAVES else []
    return Tail(identity, event_key, frontier, record_hash, open_tile)


def _check_links(
    connection: sqlite3.Connection, size: int, record_hash: str, key_id: str, first_key: int
) -> None:
    pruned = connection.execute("SELECT value FROM state WHERE key = ?", (PRUNED,)).fetchone()
    first = max(0, size - TILE_LEAVES, int(pruned[0]) if pruned else 0)
    previous: str | None = None
    for sequence_no, data in read_records(connection, first, size):
        try:
            integrity = record.parse(data)["integrity"]
        except EvidenceError as error:
            raise JournalDamaged(f"record {sequence_no} is damaged: {error.what}", hint=_HINT) from None
        if previous is not None and integrity["prev_hash"] != previous:
            raise JournalDamaged(f"record {sequence_no} does not follow the one before it", hint=_HINT)
        if sequence_no >= first_key and integrity["key_id"] != key_id:
            raise JournalDamaged(
                f"record {sequence_no} is signed by another key than the active one", hint=_HINT
            )
        previous = integrity["record_hash"]
    if previous != record_hash:
        raise JournalDamaged("the last record is not the one that the head names", hint=_HINT)
