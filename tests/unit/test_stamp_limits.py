"""A time stamp beyond the limits of what is read is refused before anything is computed with it."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from linewitness.anchors.signatures import verifies
from linewitness.evidence.timestamps import der
from linewitness.evidence.timestamps.algorithms import PublicKey
from linewitness.evidence.timestamps.certificate import MAX_CERTIFICATES
from linewitness.evidence.timestamps.der import BadDer
from linewitness.evidence.timestamps.timestamp import MAX_BYTES, Authorities

VECTORS = Path(__file__).parents[2] / "vectors"
NOTE = (VECTORS / "checkpoint/7.checkpoint").read_bytes()
TOKEN = (VECTORS / "stamp/rsa.tsr").read_bytes()
NOBODY = Authorities((), verifies)
UNKNOWN = "does not lead to a root"


def value(tag: int, content: bytes) -> bytes:
    """Return a DER value with a length of two bytes, for large contents."""
    return bytes([tag, 0x82]) + len(content).to_bytes(2, "big") + content


def with_certificates(count: int) -> bytes:
    """Return the token with so many certificates: its own, and the first one again and again."""
    status, token = der.elements(der.read(TOKEN, "it").content, "it")
    kind, wrapped = der.elements(token.content, "it")
    members = der.elements(der.read(wrapped.content, "it").content, "it")
    at = next(number for number, one in enumerate(members) if one.tag == der.context(0))
    own = der.elements(members[at].content, "it")
    more = b"".join(one.raw for one in own) + own[0].raw * (count - len(own))
    raws = [one.raw for one in members]
    raws[at] = value(der.context(0), more)
    data = value(der.context(0), value(der.SEQUENCE, b"".join(raws)))
    return value(der.SEQUENCE, status.raw + value(der.SEQUENCE, kind.raw + data))


@pytest.mark.heavy
def test_a_token_of_many_bytes_is_refused() -> None:
    with pytest.raises(BadDer, match="larger than 100000 bytes"):
        NOBODY.open(TOKEN + bytes(MAX_BYTES + 1 - len(TOKEN)), NOTE)
    with pytest.raises(BadDer, match=r"not (one )?DER"):
        NOBODY.open(TOKEN + bytes(MAX_BYTES - len(TOKEN)), NOTE)


def test_a_status_too_long_to_be_spelled_is_refused_in_words() -> None:
    status = value(der.SEQUENCE, value(der.INTEGER, b"\x01" * 3000))
    with pytest.raises(BadDer, match=r"^the authority refused to stamp$"):
        NOBODY.open(value(der.SEQUENCE, status), NOTE)


def test_a_token_with_many_certificates_is_refused() -> None:
    with pytest.raises(BadDer, match=UNKNOWN):
        NOBODY.open(with_certificates(MAX_CERTIFICATES), NOTE)
    with pytest.raises(BadDer, match="more than 16 certificates"):
        NOBODY.open(with_certificates(MAX_CERTIFICATES + 1), NOTE)


def rsa_key(modulus: int, exponent: int) -> PublicKey:
    data = (
        rsa.RSAPublicNumbers(exponent, modulus)
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    return PublicKey.parse(der.read(data, "it"))


@pytest.mark.parametrize("bits", [2048, 8192])
def test_an_rsa_key_of_a_size_in_use_is_taken(bits: int) -> None:
    assert rsa_key((1 << bits) - 1, (1 << 32) - 1).kind == "rsa"


@pytest.mark.parametrize("bits", [2047, 8193])
def test_an_rsa_key_that_is_too_short_or_too_long_is_refused(bits: int) -> None:
    with pytest.raises(BadDer, match=f"a key has {bits} bits"):
        rsa_key((1 << bits) - 1, 65537)


def test_an_rsa_key_with_a_large_exponent_is_refused() -> None:
    with pytest.raises(BadDer, match="a key is odd"):
        rsa_key((1 << 2048) - 1, (1 << 32) + 1)
