"""The Merkle tree at its growing edge: what a commit adds to it, and what of that is stored."""

import sqlite3
from collections.abc import Sequence

from linewitness.evidence.format.merkle import Frontier, leaf_hashes
from linewitness.evidence.format.tiles import TILE_LEAVES, kept_nodes
from linewitness.records.commit import CommittedRecords


class GrowingTree:
    """The right edge of the tree, with the leaves of the tile that is not full."""

    def __init__(self, frontier: Frontier, open_tile: Sequence[bytes] = ()) -> None:
        """Begin empty, or with what the journal holds."""
        self._frontier = frontier
        self._tile = list(open_tile)

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self._frontier.size

    def root(self) -> bytes:
        """Return the root over all leaves."""
        return self._frontier.root()

    def extend(self, connection: sqlite3.Connection, rows: CommittedRecords) -> dict[int, bytes]:
        """Add the records of a commit within the transaction; return the root at each signature.

        A batch that is sent ends where a signature is, and needs the root up to there.
        """
        leaves = leaf_hashes(rows.data)
        self._store_tiles(connection, leaves)
        roots: dict[int, bytes] = {}
        begin = 0
        for position in rows.signed:
            nodes = kept_nodes(self._frontier.extend(leaves[begin : position + 1]))
            connection.executemany("INSERT INTO node VALUES (?, ?, ?)", nodes)
            roots[self._frontier.size] = self._frontier.root()
            begin = position + 1
        return roots

    def _store_tiles(self, connection: sqlite3.Connection, leaves: list[bytes]) -> None:
        index = (self._frontier.size - len(self._tile)) // TILE_LEAVES
        tile = self._tile + leaves
        while len(tile) >= TILE_LEAVES:
            connection.execute("INSERT INTO tile VALUES (?, ?)", (index, b"".join(tile[:TILE_LEAVES])))
            tile, index = tile[TILE_LEAVES:], index + 1
        self._tile = tile
