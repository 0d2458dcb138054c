"""Read the journal's Merkle tree from its tiles, nodes and newest records."""

import sqlite3
from typing import Final

from linewitness.base.errors import JournalDamaged
from linewitness.evidence.format.merkle import leaf_hash, node_hash

TILE_LEVEL: Final = 8
TILE_LEAVES: Final = 1 << TILE_LEVEL
HASH_BYTES: Final = 32


class JournalTree:
    """The tree over all records, pruned ones included; `subtree` serves the functions of `merkle`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Read through `connection`; the caller sees to it that reads happen in one snapshot."""
        self._connection = connection
        self._tile_at = -1
        self._tile: list[bytes] = []

    def subtree(self, level: int, index: int) -> bytes:
        """Return the hash of the complete subtree of 2^level leaves at `index`."""
        base = level - level % TILE_LEVEL
        span = level - base
        nodes = self._nodes(base, index << span, (index + 1) << span)
        while len(nodes) > 1:
            nodes = [node_hash(nodes[at], nodes[at + 1]) for at in range(0, len(nodes), 2)]
        return nodes[0]

    def leaves(self, first: int, last: int) -> list[bytes]:
        """Return the leaf hashes [first, last), which lie in one tile."""
        tile, offset = divmod(first, TILE_LEAVES)
        stored = self._full_tile(tile)
        if stored is not None:
            return stored[offset : offset + last - first]
        rows = self._connection.execute(
            "SELECT bytes FROM record WHERE seq >= ? AND seq < ? ORDER BY seq", (first, last)
        ).fetchall()
        self._require(len(rows), last - first, f"records {first} to {last - 1}")
        return [leaf_hash(row[0]) for row in rows]

    def _nodes(self, level: int, first: int, last: int) -> list[bytes]:
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
            blob: bytes = row[0]
            self._tile = [blob[at : at + HASH_BYTES] for at in range(0, len(blob), HASH_BYTES)]
            self._tile_at = index
        return self._tile

    @staticmethod
    def _require(found: int, wanted: int, what: str) -> None:
        if found != wanted:
            raise JournalDamaged(
                f"the journal lacks {wanted - found} of {what}",
                hint="keep the files, and start a new generation with `linewitness init --continue`",
            )
