"""The edge cases of Ed25519 that C2SP/CCTV publishes, under strict rules: any of its flags is a refusal."""

import hashlib
from typing import Any

import pytest
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from linewitness.evidence.format.note import ED25519, BadNote, Vkey
from support import cctv_ed25519
from support import ed25519_by_hand as hand
from support.page_signatures import judge_signatures

VECTORS = cctv_ed25519.vectors()


def parts(vector: dict[str, Any]) -> tuple[bytes, bytes, bytes]:
    return bytes.fromhex(vector["key"]), bytes.fromhex(vector["sig"]), vector["msg"].encode()


def accepted(vector: dict[str, Any]) -> bool:
    """Take the key as every reader of the product takes it, then the signature."""
    key, signature, message = parts(vector)
    try:
        vkey = Vkey.parse(str(Vkey("signer", ED25519, key)))
    except BadNote:
        return False
    return vkey.verify(message, signature)


def test_the_set_is_the_published_one() -> None:
    """The published file has these many vectors and characters, and these lines at these places."""
    text = cctv_ed25519.text_of(VECTORS)
    assert (len(VECTORS), len(text)) == (914, 351_077)
    for place, published in {
        15_990: '\t\t"msg": "ed25519vectors 11",\n',
        112_000: 'rder_residue"\n\t\t]\n\t},\n\t{\n\t\t"number": 286,\n\t\t"key": "ef75b20e7540',
        127_932: '"sig": "010000000000000000000000000000',
        176_000: '3ddf2005f6ff4c6555c5850313295f5f4507",\n\t\t"msg": "ed25519vectors 25"',
        191_968: '"key": "26e8958fc2b227b045c3f489',
        336_000: 'fff",\n\t\t"sig": "fa9dde274f4820efb19a890f8ba2d8791710a4303ceef4aedf9ddd',
    }.items():
        assert text[place : place + len(published)] == published


@pytest.mark.parametrize(
    ("number", "message", "scalar"),
    [
        (6, "ed25519vectors 10", "c02e2b9e63e385c058bf62b14b3a2b29ccefe8e38ddb536bc3f9865320a3d801"),
        (16, "ed25519vectors 6", "1cb421dfbd92aa6c30d550bff53c81cf650ace6deb96a8ec22d2fef84dbbe20b"),
        (39, "ed25519vectors 27", "1f5fae114eb0c534b5aed0a892d0a0e1d429df6a025c5ae08012e0ffce78310c"),
        (297, "ed25519vectors 19", "944508fdd2e7908fed1b0bbbef3342fd911990128cbaa8714b0d28a617d4b508"),
        (322, "ed25519vectors 6", "f8ee37866245b5ef5bb4863572672809b98d93997190c514ccff477ebcf82f0d"),
        (457, "ed25519vectors 2", "b1daaf7afa2140df3989634cfeb1dd0704b1feab734e6032a97f08ff33650704"),
        (489, "ed25519vectors 41", "c0096ae4cafa9e22026530dc5fd2efd3159c8b1e4bcbfee4bb18049c43a33a03"),
        (896, "ed25519vectors 36", "63ec463daf4a74749995e1bca07d169051630e9cf36860b86536f5c7f6e87405"),
        (911, "ed25519vectors 7", "8fcc9e160cf71f1343cf2a6cc8d51cae1a9dc2e3debc99d97ec1190782406e05"),
    ],
)
def test_single_vectors_are_the_published_ones(number: int, message: str, scalar: str) -> None:
    assert (VECTORS[number]["msg"], VECTORS[number]["sig"][64:]) == (message, scalar)


def test_the_set_would_catch_a_lenient_verifier() -> None:
    """By the formula with the cofactor, all are good: nothing is refused for a mistake in the generator."""
    for vector in VECTORS[::23]:
        assert "reencoded_k" in (vector["flags"] or ()) or passes_with_cofactor(*parts(vector))
    assert any(takes_without_subgroup_check(vector) for vector in VECTORS if vector["flags"])


def passes_with_cofactor(key: bytes, signature: bytes, message: bytes) -> bool:
    a, r = decoded(key), decoded(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little")
    other = hand.add(r, hand.times(challenge % hand.L, a))
    return hand.times(8, hand.times(scalar, hand.BASE)) == hand.times(8, other)


def decoded(encoded: bytes) -> tuple[int, int]:
    number = int.from_bytes(encoded, "little")
    point = hand.recover((number & (1 << 255) - 1) % hand.P, number >> 255)
    assert point is not None
    return point


def takes_without_subgroup_check(vector: dict[str, Any]) -> bool:
    key, signature, message = parts(vector)
    try:
        VerifyKey(key).verify(message, signature)
    except BadSignatureError:
        return False
    return True


def test_only_the_vector_without_a_flag_is_accepted() -> None:
    assert [vector["number"] for vector in VECTORS if accepted(vector)] == [
        vector["number"] for vector in VECTORS if not vector["flags"]
    ]
    assert sum(not vector["flags"] for vector in VECTORS) == 1


#: The vectors whose only flag is low_order_R: R is the neutral element, the nonce of a signer that has none.
NO_NONCE = [vector for vector in VECTORS if vector["flags"] == ["low_order_R"]]


def test_the_page_accepts_only_the_vector_without_a_flag() -> None:
    asked = [vector for vector in VECTORS if vector not in NO_NONCE]
    verdicts = judge_signatures([parts(vector) for vector in asked])
    assert verdicts == [not vector["flags"] for vector in asked]


def test_the_page_refuses_the_neutral_element_as_r() -> None:
    assert len(NO_NONCE) == 1
    assert judge_signatures([parts(vector) for vector in NO_NONCE]) == [False]


def test_a_scalar_beyond_the_order_is_refused_by_both() -> None:
    (good,) = [vector for vector in VECTORS if not vector["flags"]]
    key, signature, message = parts(good)
    scalar = int.from_bytes(signature[32:], "little")
    beyond = [
        (key, signature[:32] + (scalar + times * hand.L).to_bytes(32, "little"), message)
        for times in range(1, 15)
    ]
    vkey = Vkey("signer", ED25519, key)
    assert not any(vkey.verify(message, signature) for _, signature, _ in beyond)
    assert not any(judge_signatures(beyond))
    assert judge_signatures([(key, signature, message)]) == [True]
