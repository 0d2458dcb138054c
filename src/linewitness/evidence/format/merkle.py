"""The Merkle tree of RFC 6962: roots, inclusion proofs and consistency proofs.

A tree is read through a function from (level, index) to the hash of the complete subtree over the
leaves [index * 2^level, (index + 1) * 2^level), so that a journal may keep as few inner nodes as it likes.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from linewitness.base.errors import EvidenceError

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
MAX_PROOF: Final = 64

Subtree = Callable[[int, int], bytes]


class BadProof(EvidenceError):
    """A proof does not lead to the root that it should."""


def leaf_hash(data: bytes) -> bytes:
    """Return SHA-256(0x00, data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def leaf_hashes(records: Iterable[bytes]) -> list[bytes]:
    """Return the `leaf_hash` of each, without a call for each."""
    sha256 = hashlib.sha256
    return [sha256(b"\x00" + data).digest() for data in records]


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01, left, right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: all that is needed to append a leaf and to know the root.

    `nodes[k]` is the hash of the complete subtree of 2^k leaves at the edge, or None.
    """

    def __init__(self, size: int = 0, subtree: Subtree | None = None) -> None:
        """Begin empty, or at `size` leaves of a tree that `subtree` can read."""
        self.size = size
        self.nodes: list[bytes | None] = []
        if size and subtree is None:
            raise ValueError("a frontier that is not empty needs the tree")
        for level in range(size.bit_length()):
            present = size >> level & 1
            self.nodes.append(subtree(level, (size >> level) - 1) if present and subtree else None)

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add a leaf hash; return the inner nodes that it completed as (level, index, hash)."""
        completed: list[tuple[int, int, bytes]] = []
        node, level = leaf, 0
        while level < len(self.nodes) and (left := self.nodes[level]) is not None:
            node = node_hash(left, node)
            self.nodes[level] = None
            level += 1
            completed.append((level, self.size >> level, node))
        if level == len(self.nodes):
            self.nodes.append(None)
        self.nodes[level] = node
        self.size += 1
        return completed

    def extend(self, leaves: Iterable[bytes]) -> list[tuple[int, int, list[bytes]]]:
        """Add leaf hashes; return the inner nodes that they completed as (level, first index, hashes)."""
        sha256 = hashlib.sha256
        completed: list[tuple[int, int, list[bytes]]] = []
        row, index, level = list(leaves), self.size, 0
        self.size += len(row)
        while row:
            if level == len(self.nodes):
                self.nodes.append(None)
            if (left := self.nodes[level]) is not None:
                row, index = [left, *row], index - 1
            self.nodes[level] = row[-1] if len(row) % 2 else None
            pairs = zip(row[::2], row[1::2], strict=False)
            row = [sha256(b"\x01" + left + right).digest() for left, right in pairs]  # as `node_hash`
            index, level = index >> 1, level + 1
            if row:
                completed.append((level, index, row))
        return completed

    def join(self, other: Sequence[bytes | None]) -> None:
        """Add the leaves of another tree, given its `nodes`; ours are a multiple of its width."""
        for level in reversed(range(len(other))):
            node = other[level]
            if node is not None:
                self._carry(node, level)

    def _carry(self, node: bytes, level: int) -> None:
        width = 1 << level
        while level < len(self.nodes) and (left := self.nodes[level]) is not None:
            node = node_hash(left, node)
            self.nodes[level] = None
            level += 1
        self.nodes.extend([None] * (level + 1 - len(self.nodes)))
        self.nodes[level] = node
        self.size += width

    def copy(self) -> "Frontier":
        """Return another one that stands at the same place."""
        other = Frontier()
        other.size, other.nodes = self.size, list(self.nodes)
        return other

    def root(self) -> bytes:
        """Return the Merkle tree hash over all leaves so far."""
        root: bytes | None = None
        for node in self.nodes:
            if node is not None:
                root = node if root is None else node_hash(node, root)
        return EMPTY_ROOT if root is None else root


class Grove:
    """All complete subtrees over some leaves that are at hand."""

    def __init__(self, leaves: list[bytes]) -> None:
        """Hash pairs until there are none."""
        self._levels = [leaves]
        while len(below := self._levels[-1]) > 1:
            pairs = zip(below[::2], below[1::2], strict=False)
            self._levels.append([node_hash(left, right) for left, right in pairs])

    def edge(self, size: int) -> tuple[bytes | None, ...]:
        """Return the nodes that a frontier has after the first `size` leaves."""
        return tuple(
            self._levels[level][(size >> level) - 1] if size >> level & 1 else None
            for level in range(size.bit_length())
        )


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def range_hash(first: int, last: int, subtree: Subtree) -> bytes:
    """Return the tree hash over the leaves [first, last), as RFC 6962 splits it."""
    width = last - first
    if width & (width - 1) == 0 and first % width == 0:
        return subtree(width.bit_length() - 1, first // width)
    split = first + _split(width)
    return node_hash(range_hash(first, split, subtree), range_hash(split, last, subtree))


def root_at(size: int, subtree: Subtree) -> bytes:
    """Return the root of the first `size` leaves."""
    return range_hash(0, size, subtree) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """Return the audit path of a leaf in the tree of `size` leaves (RFC 6962, 2.1.1)."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    path: list[bytes] = []
    first, last = 0, size
    while last - first > 1:
        split = first + _split(last - first)
        if index < split:
            path.append(range_hash(split, last, subtree))
            last = split
        else:
            path.append(range_hash(first, split, subtree))
            first = split
    return path[::-1]


def consistency_proof(old: int, new: int, subtree: Subtree) -> list[bytes]:
    """Return the proof that the tree of `old` leaves is a prefix of that of `new` (RFC 6962, 2.1.2)."""
    if not 0 < old <= new:
        raise ValueError(f"no consistency proof from {old} to {new}")
    path: list[bytes] = []
    first, last, known = 0, new, True
    while old != last:
        split = first + _split(last - first)
        if old <= split:
            path.append(range_hash(split, last, subtree))
            last = split
        else:
            path.append(range_hash(first, split, subtree))
            first, known = split, False
    if not known:
        path.append(range_hash(first, last, subtree))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, root: bytes, path: Sequence[bytes]) -> None:
    """Raise BadProof unless `path` proves the leaf at `index` in the tree (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size or len(path) > MAX_PROOF:
        raise BadProof(f"leaf {index} cannot be in a tree of {size}")
    node, position, last = leaf, index, size - 1
    for sibling in path:
        if last == 0:
            raise BadProof("the inclusion proof is too long")
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            node = node_hash(node, sibling)
        position >>= 1
        last >>= 1
    if last != 0:
        raise BadProof("the inclusion proof is too short")
    if node != root:
        raise BadProof(f"the inclusion proof of leaf {index} does not lead to the root")


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]) -> None:
    """Raise BadProof unless `path` proves that the old tree is a prefix of the new (RFC 9162, 2.1.4.2)."""
    if not 0 < old <= new or len(path) > MAX_PROOF:
        raise BadProof(f"no consistency from {old} to {new}")
    if old == new:
        if path or old_root != new_root:
            raise BadProof("two trees of one size have different roots")
        return
    # A tree of 2^k leaves is itself a node of the larger tree, so the path leaves it out.
    nodes = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not nodes:
        raise BadProof("the consistency proof is too short")
    first_node, second_node = _climb(nodes, old - 1, new - 1)
    if first_node != old_root or second_node != new_root:
        raise BadProof(f"the tree of {old} is not a prefix of the tree of {new}")


def _climb(nodes: Sequence[bytes], position: int, last: int) -> tuple[bytes, bytes]:
    """Return the old and the new root that a consistency path leads to."""
    while position & 1:
        position >>= 1
        last >>= 1
    old_node = new_node = nodes[0]
    for sibling in nodes[1:]:
        if last == 0:
            raise BadProof("the consistency proof is too long")
        if position & 1 or position == last:
            old_node = node_hash(sibling, old_node)
            new_node = node_hash(sibling, new_node)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            new_node = node_hash(new_node, sibling)
        position >>= 1
        last >>= 1
    if last != 0:
        raise BadProof("the consistency proof is too short")
    return old_node, new_node


def _split(width: int) -> int:
    """Return the largest power of two smaller than `width`."""
    return 1 << ((width - 1).bit_length() - 1)
