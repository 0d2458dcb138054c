"""Read the journal's Merkle tree from its tiles, nodes and newest records."""

import sqlite3

from linewitness.base.errors import JournalDamaged
from linewitness.evidence.format.merkle import leaf_hash
from linewitness.evidence.format.tiles import TILE_LEAVES, split, subtree_of
from linewitness.journal.records.reading import read_records


class JournalTree:
    """The tree over all records, pruned ones included; `subtree` serves the functions of `merkle`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Read through `connection`; the caller sees to it that reads happen in one snapshot."""
        self._connection = connection
        #: Read any complete subtree.
        self.subtree = subtree_of(self._hashes)
        self._tile_at = -1
        self._tile: list[bytes] = []

    def leaves(self, first: int, last: int) -> list[bytes]:
        """Return the leaf hashes [first, last), which lie in one tile."""
        tile, offset = divmod(first, TILE_LEAVES)
        stored = self._full_tile(tile)
        if stored is not None:
            return stored[offset : offset + last - first]
        found = [leaf_hash(data) for _, data in read_records(self._connection, first, last)]
        self._require(len(found), last - first, f"records {first} to {last - 1}")
        return found

    def _hashes(self, level: int, first: int, last: int) -> list[bytes]:
        if level == 0:
            return self.leaves(first, last)
        rows = self._connection.execute(
            "SELECT hash FROM node WHERE level = ? AND idx >= ? AND idx < ? ORDER BY idx",
            (level, first, last),
        ).fetchall()
        self._require(len(rows), last - first, f"nodes {first} to {last - 1} of level {level}")
        return [row[0] for row in rows]

    def _full_tile(self, index: int) -> list[bytes] | None:
        if index != self._tile_at:
            row = self._connection.execute("SELECT leaves FROM tile WHERE idx = ?", (index,)).fetchone()
            if row is None:
                return None
            self._tile = split(row[0])
            self._tile_at = index
        return self._tile

    @staticmethod
    def _require(found: int, wanted: int, what: str) -> None:
        if found != wanted:
            raise JournalDamaged(
                f"the journal lacks {wanted - found} of {what}",
                hint="keep the files, and start a new generation with `linewitness init --continue`",
            )
