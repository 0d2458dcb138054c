"""Which signatures of time-stamping authorities are understood: RSA and ECDSA with SHA-2, and nothing weaker.

Nothing here computes one: a caller brings the function that does, as this package needs only PyNaCl.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from linewitness.evidence.timestamps import der
from linewitness.evidence.timestamps.der import BadDer, Element, Fields

#: Digests by their OID (content octets), as hashlib names them.
DIGESTS: Final = {
    bytes.fromhex("608648016503040201"): "sha256",
    bytes.fromhex("608648016503040202"): "sha384",
    bytes.fromhex("608648016503040203"): "sha512",
}
_RSA_KEY: Final = bytes.fromhex("2a864886f70d010101")
_EC_KEY: Final = bytes.fromhex("2a8648ce3d0201")
_PSS: Final = bytes.fromhex("2a864886f70d01010a")
_MGF1: Final = bytes.fromhex("2a864886f70d010108")
#: Curves by their OID, with the size of a point that is not compressed.
_CURVES: Final = {
    bytes.fromhex("2a8648ce3d030107"): ("P-256", 65),
    bytes.fromhex("2b81040022"): ("P-384", 97),
}
_SIGNED_WITH: Final = {
    bytes.fromhex("2a864886f70d01010b"): ("rsa", "sha256"),
    bytes.fromhex("2a864886f70d01010c"): ("rsa", "sha384"),
    bytes.fromhex("2a864886f70d01010d"): ("rsa", "sha512"),
    bytes.fromhex("2a8648ce3d040302"): ("ecdsa", "sha256"),
    bytes.fromhex("2a8648ce3d040303"): ("ecdsa", "sha384"),
    bytes.fromhex("2a8648ce3d040304"): ("ecdsa", "sha512"),
}
_MIN_BITS: Final = 2048
_MAX_BITS: Final = 8192
_MIN_EXPONENT: Final = 3
_MAX_EXPONENT: Final = (1 << 32) - 1
_MAX_SALT: Final = 64
_UNCOMPRESSED: Final = 4


@dataclass(frozen=True, slots=True)
class Scheme:
    """How something is signed: `rsa` (PKCS #1 v1.5), `pss` with a salt of so many bytes, or `ecdsa`."""

    kind: str
    digest: str
    salt: int = 0


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A SubjectPublicKeyInfo in DER; `kind` is `rsa`, `P-256` or `P-384`."""

    kind: str
    data: bytes

    @classmethod
    def parse(cls, element: Element) -> "PublicKey":
        """Return the key; BadDer if it is of another kind, or too short."""
        fields = Fields(element, "a key")
        algorithm = Fields(fields.take(der.SEQUENCE), "a key's algorithm")
        bits = der.whole_bits(fields.take(der.BITS), "a key")
        fields.end()
        name = algorithm.take(der.OID).content
        if name == _RSA_KEY:
            if algorithm.take(der.NULL).content:
                raise BadDer("a key's algorithm is odd")
            algorithm.end()
            _check_rsa(bits)
            return cls("rsa", element.raw)
        if name != _EC_KEY:
            raise BadDer("a key is neither RSA nor of an elliptic curve")
        curve, size = _CURVES.get(algorithm.take(der.OID).content, ("", 0))
        algorithm.end()
        if len(bits) != size or bits[0] != _UNCOMPRESSED:
            raise BadDer("a key is not of P-256 or P-384")
        return cls(curve, element.raw)

    def fits(self, scheme: Scheme) -> bool:
        """Return whether such signatures are made with such keys."""
        return (scheme.kind == "ecdsa") == (self.kind != "rsa")


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature to be verified."""

    key: PublicKey
    scheme: Scheme
    signature: bytes
    message: bytes


#: Says whether a signature is good; false for keys that make no sense.
Verifies = Callable[[Signed], bool]


def scheme_of(algorithm: Element, *, digest: str | None = None) -> Scheme:
    """Return how something is signed, by an AlgorithmIdentifier.

    `digest` is what else says which digest is used; of a bare `rsaEncryption` only that does.
    """
    fields = Fields(algorithm, "a signature's algorithm")
    name = fields.take(der.OID).content
    if name == _PSS:
        scheme = _pss(fields.take(der.SEQUENCE))
    elif name == _RSA_KEY and digest is not None:
        scheme = Scheme("rsa", digest)
        _no_parameters(fields)
    elif name in _SIGNED_WITH:
        scheme = Scheme(*_SIGNED_WITH[name])
        _no_parameters(fields)
    else:
        raise BadDer("a signature is of a kind that is not understood")
    fields.end()
    if digest is not None and scheme.digest != digest:
        raise BadDer("a signature names two digests")
    return scheme


def digest_of(algorithm: Element) -> str:
    """Return the digest of an AlgorithmIdentifier; SHA-1 and older ones are refused."""
    fields = Fields(algorithm, "a digest's algorithm")
    name = fields.take(der.OID).content
    _no_parameters(fields)
    fields.end()
    if name not in DIGESTS:
        raise BadDer("a digest is not SHA-256, SHA-384 or SHA-512")
    return DIGESTS[name]


def signature_is_good(signed: Signed, verifies: Verifies) -> bool:
    """Return whether a signature is of the right form and good."""
    if not signed.key.fits(signed.scheme):
        return False
    if signed.scheme.kind == "ecdsa":
        try:
            fields = Fields(der.read(signed.signature, "a signature"), "a signature")
            for _ in range(2):
                der.number(fields.take(der.INTEGER), "a signature")
            fields.end()
        except BadDer:
            return False
    return verifies(signed)


def _no_parameters(fields: Fields) -> None:
    if (empty := fields.maybe(der.NULL)) and empty.content:
        raise BadDer("an algorithm is odd")


def _check_rsa(bits: bytes) -> None:
    fields = Fields(der.read(bits, "a key"), "a key")
    modulus = der.number(fields.take(der.INTEGER), "a key")
    exponent = der.number(fields.take(der.INTEGER), "a key")
    fields.end()
    if not _MIN_BITS <= modulus.bit_length() <= _MAX_BITS:
        raise BadDer(f"a key has {modulus.bit_length()} bits, not {_MIN_BITS} to {_MAX_BITS}")
    if not _MIN_EXPONENT <= exponent <= _MAX_EXPONENT or modulus % 2 == 0 or exponent % 2 == 0:
        raise BadDer("a key is odd")


def _pss(parameters: Element) -> Scheme:
    fields = Fields(parameters, "a signature's algorithm")
    digest = digest_of(_inside(fields.take(der.context(0)), 0))
    mask = Fields(_inside(fields.take(der.context(1)), 1), "a signature's algorithm")
    if mask.take(der.OID).content != _MGF1 or digest_of(mask.take(der.SEQUENCE)) != digest:
        raise BadDer("a signature is of a kind that is not understood")
    mask.end()
    salt = der.number(_inside(fields.take(der.context(2)), 2), "a salt's length")
    trailer = fields.maybe(der.context(3))
    fields.end()
    if salt > _MAX_SALT or (trailer and der.number(_inside(trailer, 3), "a trailer") != 1):
        raise BadDer("a signature is of a kind that is not understood")
    return Scheme("pss", digest, salt)


def _inside(element: Element, number: int) -> Element:
    fields = Fields(element, "a signature's algorithm", der.context(number))
    (only,) = fields.rest()[:1] or (None,)
    if only is None or only.raw != element.content:
        raise BadDer("a signature's algorithm is odd")
    return only
