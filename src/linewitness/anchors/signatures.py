"""Verify the signatures of time-stamping authorities with `cryptography`, for whoever weighs their tokens."""

from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from linewitness.evidence.timestamps.algorithms import Signed

_DIGESTS: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


def verifies(signed: Signed) -> bool:
    """Return whether a signature is one of the key over the message."""
    digest = _DIGESTS[signed.scheme.digest]
    try:
        key = load_der_public_key(signed.key.data)
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signed.signature, signed.message, _padding(signed, digest), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signed.signature, signed.message, ec.ECDSA(digest))
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


def _padding(signed: Signed, digest: hashes.HashAlgorithm) -> padding.AsymmetricPadding:
    if signed.scheme.kind == "pss":
        return padding.PSS(mgf=padding.MGF1(digest), salt_length=signed.scheme.salt)
    return padding.PKCS1v15()
