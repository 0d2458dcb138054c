import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from linewitness.evidence.format import merkle
from linewitness.evidence.format.merkle import BadProof, Frontier, Grove

LEAVES = [merkle.leaf_hash(bytes([number])) for number in range(70)]
SIZES = st.integers(1, 70)


def naive(leaves: list[bytes]) -> bytes:
    """Return the tree hash by RFC 6962's definition, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return hashlib.sha256(b"\1" + naive(leaves[:half]) + naive(leaves[half:])).digest()


def subtree(level: int, index: int) -> bytes:
    return naive(LEAVES[index << level : (index + 1) << level])


@given(st.integers(0, 70))
def test_roots_are_those_of_the_definition(size: int) -> None:
    assert merkle.root_of(LEAVES[:size]) == naive(LEAVES[:size]) == merkle.root_at(size, subtree)


@given(st.integers(0, 70), st.integers(0, 70))
def test_a_frontier_goes_on_from_any_size(first: int, last: int) -> None:
    frontier = Frontier(min(first, last), subtree)
    completed = []
    for leaf in LEAVES[frontier.size : max(first, last)]:
        completed += frontier.append(leaf)
    assert frontier.root() == naive(LEAVES[: frontier.size])
    assert all(node == subtree(level, index) for level, index, node in completed)


@given(st.integers(0, 70), st.lists(st.integers(0, 40), max_size=5))
def test_leaves_added_together_are_those_added_one_by_one(first: int, counts: list[int]) -> None:
    together, single = Frontier(first, subtree), Frontier(first, subtree)
    for count in counts:
        leaves = LEAVES[single.size : single.size + count]
        completed = [node for leaf in leaves for node in single.append(leaf)]
        rows = together.extend(leaves)
        at_once = [
            (level, index, node) for level, begin, row in rows for index, node in enumerate(row, begin)
        ]
        assert sorted(at_once) == sorted(completed)
        assert (together.size, together.nodes) == (single.size, single.nodes)


def test_a_frontier_that_is_not_empty_needs_the_tree() -> None:
    with pytest.raises(ValueError, match="needs the tree"):
        Frontier(3)


@given(st.data())
def test_every_leaf_is_proved_in_every_tree_and_in_no_other_way(data: DataObject) -> None:
    size = data.draw(SIZES)
    index = data.draw(st.integers(0, size - 1))
    root = naive(LEAVES[:size])
    path = merkle.inclusion_proof(index, size, subtree)
    merkle.verify_inclusion(LEAVES[index], index, size, root, path)
    for leaf, at, root_, steps in [
        (LEAVES[index], index, merkle.leaf_hash(b"other"), path),
        (merkle.leaf_hash(b"other"), index, root, path),
        (LEAVES[index], index, root, [*path, bytes(32)]),
        (LEAVES[index], index, root, [bytes(32), *path]),
        (LEAVES[index], size, root, path),
        (LEAVES[index], -1, root, path),
    ]:
        with pytest.raises(BadProof):
            merkle.verify_inclusion(leaf, at, size, root_, steps)
    if path:
        with pytest.raises(BadProof):
            merkle.verify_inclusion(LEAVES[index], index, size, root, path[:-1])


@given(SIZES, SIZES)
def test_an_older_tree_is_proved_to_be_a_prefix_and_no_other_tree_is(first: int, second: int) -> None:
    old, new = sorted((first, second))
    roots = naive(LEAVES[:old]), naive(LEAVES[:new])
    path = merkle.consistency_proof(old, new, subtree)
    merkle.verify_consistency(old, roots[0], new, roots[1], path)
    other = merkle.leaf_hash(b"other")
    for wrong in [
        (old, other, new, roots[1], path),
        (old, roots[0], new, other, path),
        (old, roots[0], new, roots[1], [*path, other]),
        (0, roots[0], new, roots[1], path),
        (new + 1, roots[0], new, roots[1], path),
    ]:
        with pytest.raises(BadProof):
            merkle.verify_consistency(*wrong)
    if path:
        with pytest.raises(BadProof):
            merkle.verify_consistency(old, roots[0], new, roots[1], path[:-1])


def test_a_rewritten_prefix_has_no_proof() -> None:
    forged = [merkle.leaf_hash(b"forged"), *LEAVES[1:8]]
    path = merkle.consistency_proof(4, 8, subtree)
    with pytest.raises(BadProof, match="not a prefix"):
        merkle.verify_consistency(4, naive(forged[:4]), 8, naive(LEAVES[:8]), path)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5)])
def test_there_is_no_proof_of_what_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="not in a tree"):
        merkle.inclusion_proof(index, size, subtree)
    with pytest.raises(ValueError, match="no consistency proof"):
        merkle.consistency_proof(size + 1, size, subtree)


def test_a_path_has_the_length_that_the_size_asks_for() -> None:
    """Else a root could be passed off as that of a tree of another size."""
    leaf, other = LEAVES[:2]
    pair = merkle.node_hash(leaf, other)
    with pytest.raises(BadProof, match="too short"):
        merkle.verify_inclusion(leaf, 0, 2, leaf, [])
    with pytest.raises(BadProof, match="too long"):
        merkle.verify_inclusion(leaf, 0, 1, pair, [other])
    with pytest.raises(BadProof, match="too short"):
        merkle.verify_consistency(1, leaf, 2, leaf, [])
    with pytest.raises(BadProof, match="too short"):
        merkle.verify_consistency(3, leaf, 4, leaf, [])
    with pytest.raises(BadProof, match="too long"):
        merkle.verify_consistency(1, leaf, 2, merkle.node_hash(pair, other), [other, other])


@given(st.integers(0, 70), st.integers(0, 70))
def test_a_grove_knows_the_edge_of_every_size(count: int, size: int) -> None:
    frontier = Frontier()
    for leaf in LEAVES[: min(size, count)]:
        frontier.append(leaf)
    assert Grove(LEAVES[:count]).edge(min(size, count)) == tuple(frontier.nodes)
