"""Time-stamp tokens (RFC 3161) over checkpoints: what a token says, and whether to believe it.

docs/format.md, section 11.5. A token is a TimeStampResp in DER, as the authority sent it.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from linewitness.evidence.timestamps import der
from linewitness.evidence.timestamps.algorithms import (
    Signed,
    Verifies,
    digest_of,
    scheme_of,
    signature_is_good,
)
from linewitness.evidence.timestamps.certificate import (
    MAX_CERTIFICATES,
    Certificate,
    read_extensions,
    root_of,
)
from linewitness.evidence.timestamps.der import BadDer, Element, Fields

MAX_BYTES: Final = 100_000

_GRANTED: Final = (0, 1)
#: A status of more digits names nothing, and may be too long to be spelled.
_NAMED_BELOW: Final = 100
_SIGNED_DATA: Final = bytes.fromhex("2a864886f70d010702")
_TST_INFO: Final = bytes.fromhex("2a864886f70d0109100104")
_CONTENT_TYPE: Final = bytes.fromhex("2a864886f70d010903")
_MESSAGE_DIGEST: Final = bytes.fromhex("2a864886f70d010904")
_SIGNER_BY_SHA1: Final = bytes.fromhex("2a864886f70d010910020c")
_SIGNER: Final = bytes.fromhex("2a864886f70d010910022f")
_NO_FORM: Final = "the token is not of the form of RFC 3161"


@dataclass(frozen=True, slots=True)
class TimeStampToken:
    """What a good token says: who signed it and to which root that leads (common names), and when."""

    name: str
    root: str
    time_s: int


@dataclass(frozen=True, slots=True)
class Authorities:
    """Whose tokens count: root certificates in DER, and the function that verifies signatures.

    A root that cannot be read is passed over: nothing leads to it.
    """

    roots: tuple[bytes, ...]
    verifies: Verifies

    def open(self, token: bytes, stamped: bytes, *, nonce: int | None = None) -> TimeStampToken:
        """Return what a token says about the bytes `stamped`; BadDer says why it is not to be believed.

        `nonce` is that of the request, if this is the answer to one.
        """
        if len(token) > MAX_BYTES:
            raise BadDer(f"the token is larger than {MAX_BYTES} bytes")
        content, certificates, signer_info = _signed_data(token)
        info = _Info.parse(content)
        if hashlib.new(info.digest, stamped).digest() != info.imprint:
            raise BadDer("the token is about other bytes than these of the checkpoint")
        if nonce is not None and info.nonce != nonce:
            raise BadDer("the token is not the answer to this request")
        signature = _Signature.parse(signer_info, content)
        signer = signature.signer(certificates)
        signer.check_signer()
        scheme = scheme_of(signature.algorithm, digest=signature.digest)
        if not signature_is_good(
            Signed(signer.key, scheme, signature.value, signature.signed), self.verifies
        ):
            raise BadDer(f"the signature of the token is not one of {signer.name}")
        roots = _readable(self.roots)
        root = root_of(signer, certificates, roots, time_s=info.time_s, verifies=self.verifies)
        return TimeStampToken(signer.name, root.name, info.time_s)


@dataclass(frozen=True, slots=True)
class _Info:
    """What the authority signs: the hash of which bytes, when, and in answer to which nonce."""

    digest: str
    imprint: bytes
    time_s: int
    nonce: int | None

    @classmethod
    def parse(cls, content: bytes) -> Self:
        fields = Fields(der.read(content, "a time stamp"), "a time stamp")
        if der.number(fields.take(der.INTEGER), "a time stamp's version") != 1:
            raise BadDer("the time stamp is not of version 1")
        fields.take(der.OID)
        imprint = Fields(fields.take(der.SEQUENCE), "a time stamp's imprint")
        digest = digest_of(imprint.take(der.SEQUENCE))
        hashed = imprint.take(der.OCTETS).content
        imprint.end()
        fields.take(der.INTEGER)
        time_s = der.time_s(fields.take(der.GENERAL_TIME), "the time of the stamp")
        fields.maybe(der.SEQUENCE)
        fields.maybe(der.BOOLEAN)
        nonce = fields.maybe(der.INTEGER)
        fields.maybe(der.context(0))
        extensions = fields.maybe(der.context(1))
        fields.end()
        if extensions and any(critical for critical, _ in read_extensions(extensions, 1).values()):
            raise BadDer("the time stamp has a condition that is not understood")
        return cls(digest, hashed, time_s, der.number(nonce, "a nonce") if nonce else None)


@dataclass(frozen=True, slots=True)
class _Signature:
    """The signature of a token, with the attributes that it covers."""

    digest: str
    attributes: dict[bytes, Element]
    signed: bytes
    algorithm: Element
    value: bytes

    @classmethod
    def parse(cls, element: Element, content: bytes) -> Self:
        fields = Fields(element, "the token's signature")
        fields.take(der.INTEGER)
        # The signer is found by its hash among the attributes: those are signed, this name is not.
        if fields.maybe(der.SEQUENCE, der.context(0, constructed=False)) is None:
            raise BadDer(_NO_FORM)
        digest = digest_of(fields.take(der.SEQUENCE))
        signed = fields.take(der.context(0))
        attributes = _attributes(signed)
        algorithm = fields.take(der.SEQUENCE)
        value = fields.take(der.OCTETS).content
        fields.maybe(der.context(1))
        fields.end()
        if _only(attributes, _CONTENT_TYPE, der.OID).content != _TST_INFO:
            raise BadDer("the signature is about something else than a time stamp")
        if _only(attributes, _MESSAGE_DIGEST, der.OCTETS).content != hashlib.new(digest, content).digest():
            raise BadDer("the token was altered: what it says is not what was signed")
        # Signed are the attributes as a SET, not as the [0] that stands here.
        return cls(digest, attributes, bytes([der.SET]) + signed.raw[1:], algorithm, value)

    def signer(self, certificates: Iterable[Certificate]) -> Certificate:
        """Return the certificate whose hash the attributes name."""
        named = [
            _first_hash(self.attributes, name)
            for name in (_SIGNER, _SIGNER_BY_SHA1)
            if name in self.attributes
        ]
        if not named:
            raise BadDer("the token does not name the certificate of its signer")
        for one in certificates:
            if all(hashlib.new(digest, one.raw).digest() == hashed for digest, hashed in named):
                return one
        raise BadDer("the token does not hold the certificate of its signer")


def _signed_data(token: bytes) -> tuple[bytes, tuple[Certificate, ...], Element]:
    """Return what is signed, the certificates, and the one SignerInfo of a TimeStampResp."""
    response = Fields(der.read(token, "the token"), "the token")
    status = Fields(response.take(der.SEQUENCE), "the token's status")
    answered = der.number(status.take(der.INTEGER), "the token's status")
    if answered not in _GRANTED:
        named = f": status {answered}" if answered < _NAMED_BELOW else ""
        raise BadDer(f"the authority refused to stamp{named}")
    outer = Fields(response.take(der.SEQUENCE), "the token")
    response.end()
    if outer.take(der.OID).content != _SIGNED_DATA:
        raise BadDer(_NO_FORM)
    wrapped = Fields(outer.take(der.context(0)), "the token", der.context(0))
    outer.end()
    data = Fields(wrapped.take(der.SEQUENCE), "the token")
    wrapped.end()
    data.take(der.INTEGER)
    data.take(der.SET)
    inside = Fields(data.take(der.SEQUENCE), "the token's content")
    if inside.take(der.OID).content != _TST_INFO:
        raise BadDer("the token is not a time stamp")
    held = Fields(inside.take(der.context(0)), "the token's content", der.context(0))
    inside.end()
    content = held.take(der.OCTETS).content
    held.end()
    certificates = data.maybe(der.context(0))
    data.maybe(der.context(1))
    signers = Fields(data.take(der.SET), "the token's signatures", der.SET)
    data.end()
    signer = signers.take(der.SEQUENCE)
    signers.end()
    found = der.elements(certificates.content, "the token's certificates") if certificates else []
    if len(found) > MAX_CERTIFICATES:
        raise BadDer(f"the token holds more than {MAX_CERTIFICATES} certificates")
    return content, _readable(one.raw for one in found), signer


def _readable(certificates: Iterable[bytes]) -> tuple[Certificate, ...]:
    found: list[Certificate] = []
    for data in certificates:
        try:
            found.append(Certificate.parse(data))
        except BadDer:
            continue
    return tuple(found)


def _attributes(signed: Element) -> dict[bytes, Element]:
    """Return the only value of each attribute."""
    found: dict[bytes, Element] = {}
    for attribute in Fields(signed, "the token's attributes", der.context(0)).rest():
        fields = Fields(attribute, "an attribute")
        name = fields.take(der.OID).content
        values = Fields(fields.take(der.SET), "an attribute", der.SET).rest()
        fields.end()
        if name in found or len(values) != 1:
            raise BadDer("an attribute of the token has more or less than one value")
        found[name] = values[0]
    return found


def _only(attributes: dict[bytes, Element], name: bytes, tag: int) -> Element:
    value = attributes.get(name)
    if value is None or value.tag != tag:
        raise BadDer("the token's signature lacks an attribute")
    return value


def _first_hash(attributes: dict[bytes, Element], name: bytes) -> tuple[str, bytes]:
    """Return digest and hash of the first certificate that a signing-certificate attribute names."""
    listed = Fields(attributes[name], "the token's signer").take(der.SEQUENCE)
    fields = Fields(Fields(listed, "the token's signer").take(der.SEQUENCE), "the token's signer")
    digest = "sha1"
    if name == _SIGNER:
        algorithm = fields.maybe(der.SEQUENCE)
        digest = digest_of(algorithm) if algorithm else "sha256"
    return digest, fields.take(der.OCTETS).content
