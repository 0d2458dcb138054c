"""A Merkle tree that is kept at each eighth level only: tiles of 256 hashes, and what lies between them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from linewitness.evidence.format.merkle import Subtree, node_hash

#: Nodes are stored at each eighth level: one for 256 records, one for 65 536, and so on.
TILE_LEVEL: Final = 8
#: Leaves under one of the lowest nodes that are stored.
TILE_LEAVES: Final = 1 << TILE_LEVEL
HASH_BYTES: Final = 32

#: Return the hashes [first, last) of a level that is stored, which is 0 for the leaves.
StoredHashes = Callable[[int, int, int], Sequence[bytes]]


def kept_nodes(completed: Iterable[tuple[int, int, list[bytes]]]) -> list[tuple[int, int, bytes]]:
    """Return (level, index, hash) of the nodes that are stored, out of what `Frontier.extend` completed."""
    return [
        (level, index, node)
        for level, first, nodes in completed
        if level % TILE_LEVEL == 0
        for index, node in enumerate(nodes, first)
    ]


def subtree_of(stored: StoredHashes) -> Subtree:
    """Return a function that reads any complete subtree from the hashes that are stored."""

    def subtree(level: int, index: int) -> bytes:
        """Return the hash of the complete subtree of 2^level leaves at `index`."""
        base = level - level % TILE_LEVEL
        span = level - base
        return folded(stored(base, index << span, (index + 1) << span))

    return subtree


def folded(hashes: Sequence[bytes]) -> bytes:
    """Return the node over a power of two of neighbours of one level."""
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


def split(tile: bytes) -> list[bytes]:
    """Return the hashes of a tile that is stored as one text of bytes."""
    return [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]
