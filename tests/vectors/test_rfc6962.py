"""Trees and proofs that others published: RFC 6962's example, and Certificate Transparency's test tree."""

import pytest

from linewitness.evidence.format import merkle
from linewitness.evidence.format.merkle import BadProof
from support.page_signatures import ask_page

#: The inputs, roots and proofs of Certificate Transparency's reference implementation.
INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
#: Index and size, and the audit path from the leaf upwards.
PATHS = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
#: Old and new size, and the consistency proof.
PROOFS = {
    (1, 1): [],
    (1, 8): PATHS[0, 8],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
LEAVES = [merkle.leaf_hash(data) for data in INPUTS]
#: RFC 6962, 2.1.3: the inner nodes of its tree of seven, by the letters that it gives them.
A, B, C, D, E, F, J = LEAVES[:7]
G, H, I_ = (merkle.node_hash(*pair) for pair in ((A, B), (C, D), (E, F)))
K, L = merkle.node_hash(G, H), merkle.node_hash(I_, J)
HASH0, HASH1, HASH2 = merkle.root_of(LEAVES[:3]), K, merkle.node_hash(K, I_)
HASH = merkle.node_hash(K, L)


def subtree(level: int, index: int) -> bytes:
    return merkle.root_of(LEAVES[index << level : (index + 1) << level])


def unhex(texts: list[str]) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_published_ones(size: int) -> None:
    assert merkle.root_of(LEAVES[:size]).hex() == merkle.root_at(size, subtree).hex() == ROOTS[size]


@pytest.mark.parametrize("place", PATHS)
def test_audit_paths_are_the_published_ones(place: tuple[int, int]) -> None:
    index, size = place
    path = unhex(PATHS[place])
    assert merkle.inclusion_proof(index, size, subtree) == path
    merkle.verify_inclusion(LEAVES[index], index, size, bytes.fromhex(ROOTS[size]), path)


@pytest.mark.parametrize("sizes", PROOFS)
def test_consistency_proofs_are_the_published_ones(sizes: tuple[int, int]) -> None:
    old, new = sizes
    path = unhex(PROOFS[sizes])
    assert merkle.consistency_proof(old, new, subtree) == path
    merkle.verify_consistency(old, bytes.fromhex(ROOTS[old]), new, bytes.fromhex(ROOTS[new]), path)


@pytest.mark.parametrize(
    ("index", "path"), [(0, [B, H, L]), (3, [C, G, L]), (4, [F, J, K]), (6, [I_, K])], ids=str
)
def test_audit_paths_of_the_rfcs_example(index: int, path: list[bytes]) -> None:
    assert merkle.inclusion_proof(index, 7, subtree) == path
    merkle.verify_inclusion(LEAVES[index], index, 7, HASH, path)


@pytest.mark.parametrize(
    ("old", "root", "path"), [(3, HASH0, [C, D, G, L]), (4, HASH1, [L]), (6, HASH2, [I_, J, K])], ids=str
)
def test_consistency_proofs_of_the_rfcs_example(old: int, root: bytes, path: list[bytes]) -> None:
    assert merkle.consistency_proof(old, 7, subtree) == path
    merkle.verify_consistency(old, root, 7, HASH, path)


@pytest.mark.parametrize("place", [place for place in PATHS if PATHS[place]])
def test_an_altered_published_path_proves_nothing(place: tuple[int, int]) -> None:
    index, size = place
    root = bytes.fromhex(ROOTS[size])
    for spoiled in (
        PATHS[place][:-1],
        [*PATHS[place], ROOTS[0]],
        [*PATHS[place][::-1], ROOTS[1]],
        [ROOTS[1]],
    ):
        with pytest.raises(BadProof):
            merkle.verify_inclusion(LEAVES[index], index, size, root, unhex(spoiled))


def test_the_page_says_the_same() -> None:
    question = """([leaf, index, size, root, path]) => {
      const tree = new Tree();
      for (const one of leaf.slice(0, size)) tree.append(bytes(one));
      return [tree.root(), provesInclusion(bytes(leaf[index]), index, size, root, path.map(bytes))];
    }"""
    leaves = [leaf.hex() for leaf in LEAVES]
    good = [(leaves, index, size, ROOTS[size], path) for (index, size), path in PATHS.items()]
    bad = [(leaves, index, size, ROOTS[size], [*path, ROOTS[1]]) for (index, size), path in PATHS.items()]
    assert ask_page(question, good) == [[ROOTS[size], True] for _, size in PATHS]
    assert ask_page(question, bad) == [[ROOTS[size], False] for _, size in PATHS]
