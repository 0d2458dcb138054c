"""Read a stream's Merkle tree from the nodes that are stored and the records below them."""

from sqlalchemy import Connection, select

from linewitness.evidence.format.merkle import leaf_hash
from linewitness.evidence.format.tiles import subtree_of
from linewitness.store.database import tables
from linewitness.store.database.errors import StoreError
from linewitness.store.database.stored_records import StoredRecords


class StoreTree:
    """The tree over a stream's records; `subtree` serves the functions of `merkle`."""

    def __init__(self, connection: Connection, stream_id: int) -> None:
        """Read through `connection`, in its snapshot."""
        self._connection = connection
        self._stream_id = stream_id
        #: Read any complete subtree.
        self.subtree = subtree_of(self._hashes)

    def _hashes(self, level: int, first: int, last: int) -> list[bytes]:
        hashes = self._nodes(level, first, last) if level else self._leaves(first, last)
        if len(hashes) != last - first:
            raise StoreError(f"nodes of level {level} are missing from {first} to {last - 1}")
        return hashes

    def _leaves(self, first: int, last: int) -> list[bytes]:
        records = StoredRecords(self._connection, self._stream_id)
        return [leaf_hash(data) for _, data in records.between(first, last)]

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
