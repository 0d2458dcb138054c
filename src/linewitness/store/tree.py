"""Read a stream's Merkle tree from the nodes that are stored and the records below them."""

from typing import Final

from sqlalchemy import Connection, select

from linewitness.evidence.format.merkle import leaf_hash, node_hash
from linewitness.store import tables
from linewitness.store.database import StoreError

#: Nodes are stored at each eighth level: one for 256 records, one for 65 536, and so on.
STEP: Final = 8


class StoreTree:
    """The tree over a stream's records; `subtree` serves the functions of `merkle`."""

    def __init__(self, connection: Connection, stream_id: int) -> None:
        """Read through `connection`, in its snapshot."""
        self._connection = connection
        self._stream_id = stream_id

    def subtree(self, level: int, index: int) -> bytes:
        """Return the hash of the complete subtree of 2^level leaves at `index`."""
        base = level - level % STEP
        first, last = index << (level - base), (index + 1) << (level - base)
        hashes = self._nodes(base, first, last) if base else self._leaves(first, last)
        if len(hashes) != last - first:
            raise StoreError(f"nodes of level {base} are missing from {first} to {last - 1}")
        while len(hashes) > 1:
            hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
        return hashes[0]

    def _leaves(self, first: int, last: int) -> list[bytes]:
        records = tables.records
        rows = self._connection.execute(
            select(records.c.data)
            .where(records.c.stream_id == self._stream_id, records.c.seq >= first, records.c.seq < last)
            .order_by(records.c.seq)
        )
        return [leaf_hash(data) for data in rows.scalars()]

    def _nodes(self, level: int, first: int, last: int) -> list[bytes]:
        nodes = tables.nodes
        rows = self._connection.execute(
            select(nodes.c.hash)
            .where(
                nodes.c.stream_id == self._stream_id,
                nodes.c.level == level,
                nodes.c.idx >= first,
                nodes.c.idx < last,
            )
            .order_by(nodes.c.idx)
        )
        return list(rows.scalars())
