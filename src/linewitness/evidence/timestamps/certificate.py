"""X.509 certificates of time-stamping authorities, and whether one leads to a root that the policy names.

docs/format.md, section 11.5: only what is written there is read, and what is not understood is refused.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from linewitness.evidence.timestamps import der
from linewitness.evidence.timestamps.algorithms import (
    PublicKey,
    Signed,
    Verifies,
    scheme_of,
    signature_is_good,
)
from linewitness.evidence.timestamps.der import BadDer, Element, Fields

MAX_CERTIFICATES: Final = 16

_COMMON_NAME: Final = bytes.fromhex("550403")
_BASIC: Final = bytes.fromhex("551d13")
_USAGE: Final = bytes.fromhex("551d0f")
_PURPOSES: Final = bytes.fromhex("551d25")
_POLICIES: Final = bytes.fromhex("551d20")
_KNOWN: Final = frozenset((_BASIC, _USAGE, _PURPOSES, _POLICIES))
_TIME_STAMPING: Final = bytes.fromhex("2b06010505070308")
_ANY_PURPOSE: Final = bytes.fromhex("551d2500")
_UTF8: Final = 0x0C
_PRINTABLE: Final = 0x13
_IA5: Final = 0x16
_MAX_NAME: Final = 200
#: Bits of a key's usage: digitalSignature, nonRepudiation, keyCertSign.
_SIGNS: Final = 0x8000
_COMMITS: Final = 0x4000
_CERTIFIES: Final = 0x0400
_USAGE_BYTES: Final = (2, 3)
_VERSION_3: Final = 2
_SPACE: Final = 0x20
_DELETE: Final = 0x7F


@dataclass(frozen=True, slots=True)
class Certificate:
    """What counts of a certificate: names, serial and signed part in DER, times in Unix seconds."""

    raw: bytes
    signed: bytes
    serial: bytes
    issuer: bytes
    subject: bytes
    name: str
    key: PublicKey
    first_s: int
    last_s: int
    extensions: dict[bytes, tuple[bool, bytes]]
    scheme: Element
    signature: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return a certificate of its DER; BadDer if it is not one that is understood."""
        outer = Fields(der.read(data, "a certificate"), "a certificate")
        signed, scheme = outer.take(der.SEQUENCE), outer.take(der.SEQUENCE)
        signature = der.whole_bits(outer.take(der.BITS), "a certificate's signature")
        outer.end()
        fields = Fields(signed, "a certificate")
        version = Fields(fields.take(der.context(0)), "a certificate's version", der.context(0))
        if der.number(version.take(der.INTEGER), "a certificate's version") != _VERSION_3:
            raise BadDer("a certificate is not of version 3")
        serial = fields.take(der.INTEGER)
        if fields.take(der.SEQUENCE).raw != scheme.raw:
            raise BadDer("a certificate names two algorithms")
        issuer = fields.take(der.SEQUENCE)
        first_s, last_s = _validity(fields.take(der.SEQUENCE))
        subject = fields.take(der.SEQUENCE)
        key = PublicKey.parse(fields.take(der.SEQUENCE))
        for number in (1, 2):
            fields.maybe(der.context(number, constructed=False))
        wrapped = Fields(fields.take(der.context(3)), "the extensions", der.context(3))
        fields.end()
        extensions = read_extensions(wrapped.take(der.SEQUENCE))
        wrapped.end()
        return cls(
            raw=data,
            signed=signed.raw,
            serial=serial.content,
            issuer=issuer.raw,
            subject=subject.raw,
            name=_common_name(subject) or f"certificate {hashlib.sha256(data).hexdigest()[:16]}",
            key=key,
            first_s=first_s,
            last_s=last_s,
            extensions=extensions,
            scheme=scheme,
            signature=signature,
        )

    def check_signer(self) -> None:
        """Raise BadDer unless it is made for signing time stamps, and for nothing else."""
        critical, purposes = self.extensions.get(_PURPOSES, (False, b""))
        if not critical or _purposes(purposes) != [_TIME_STAMPING]:
            raise BadDer(f"the certificate of {self.name} is not made for time stamps alone")
        usage = _usage(self)
        if usage is not None and (usage & ~(_SIGNS | _COMMITS) or not usage):
            raise BadDer(f"the certificate of {self.name} is not made for time stamps alone")

    def check_issuer(self, below: int) -> None:
        """Raise BadDer unless it may sign certificates, with `below` others between it and the signer's."""
        authority, longest = _basic(self.extensions.get(_BASIC, (False, b""))[1])
        usage = _usage(self)
        if not authority or (usage is not None and not usage & _CERTIFIES):
            raise BadDer(f"{self.name} may not sign certificates")
        if longest is not None and below > longest:
            raise BadDer(f"{self.name} may not sign certificates so far above the signer's")
        if _PURPOSES in self.extensions and not {_TIME_STAMPING, _ANY_PURPOSE} & set(
            _purposes(self.extensions[_PURPOSES][1])
        ):
            raise BadDer(f"{self.name} may not sign certificates for time stamps")

    def check_valid(self, time_s: int) -> None:
        """Raise BadDer unless it was valid at a time and has no condition that is not understood."""
        if not self.first_s <= time_s <= self.last_s:
            raise BadDer(f"the certificate of {self.name} was not valid at the time of the stamp")
        if any(critical and name not in _KNOWN for name, (critical, _) in self.extensions.items()):
            raise BadDer(f"the certificate of {self.name} has a condition that is not understood")

    def is_signed_by(self, issuer: "Certificate", verifies: Verifies) -> bool:
        """Return whether another certificate's key signed this one."""
        if self.issuer != issuer.subject:
            return False
        signed = Signed(issuer.key, scheme_of(self.scheme), self.signature, self.signed)
        return signature_is_good(signed, verifies)


def root_of(
    signer: Certificate,
    others: Sequence[Certificate],
    roots: Sequence[Certificate],
    *,
    time_s: int,
    verifies: Verifies,
) -> Certificate:
    """Return the root to which a certificate leads, at a time; BadDer says why it leads to none.

    Each certificate is tried once, so a token full of certificates that sign each other ends soon.
    """
    signer.check_valid(time_s)
    if any(root.raw == signer.raw for root in roots):
        return signer
    why = BadDer(f"the certificate of {signer.name} does not lead to a root that the policy names")
    waiting, tried = [(signer, 0)], {signer.raw}
    while waiting:
        at, below = waiting.pop()
        for number, candidate in enumerate((*roots, *others)):
            if number >= len(roots) and candidate.raw in tried:
                continue
            try:
                if not at.is_signed_by(candidate, verifies):
                    continue
                candidate.check_valid(time_s)
                candidate.check_issuer(below)
            except BadDer as error:
                why = error
                continue
            if number < len(roots):
                return candidate
            tried.add(candidate.raw)
            waiting.append((candidate, below + 1))
    raise why


def _validity(element: Element) -> tuple[int, int]:
    fields = Fields(element, "a certificate's validity")
    first_s, last_s = _moment(fields), _moment(fields)
    fields.end()
    return first_s, last_s


def _moment(fields: Fields) -> int:
    found = fields.maybe(der.UTC_TIME, der.GENERAL_TIME)
    if found is None:
        raise BadDer("a certificate's validity is of another type")
    return der.time_s(found, "a certificate's validity")


def _common_name(name: Element) -> str:
    """Return the last common name that can be read as text, or nothing."""
    found = ""
    for group in Fields(name, "a name").rest():
        for pair in Fields(group, "a name", der.SET).rest():
            fields = Fields(pair, "a name")
            if fields.take(der.OID).content != _COMMON_NAME:
                continue
            value = fields.maybe(_UTF8, _PRINTABLE, _IA5)
            if value is not None and 0 < len(value.content) <= _MAX_NAME:
                found = _text(value.content)
    return found


def _text(content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return ""
    return "" if any(byte < _SPACE or byte == _DELETE for byte in content) else text


def read_extensions(listed: Element, number: int | None = None) -> dict[bytes, tuple[bool, bytes]]:
    """Return extensions by their OID: whether each is critical, and its value; `number` is their tag's."""
    found: dict[bytes, tuple[bool, bytes]] = {}
    tag = der.SEQUENCE if number is None else der.context(number)
    for extension in Fields(listed, "the extensions", tag).rest():
        fields = Fields(extension, "an extension")
        name = fields.take(der.OID).content
        critical = fields.maybe(der.BOOLEAN)
        value = fields.take(der.OCTETS).content
        fields.end()
        if name in found:
            raise BadDer("an extension is there twice")
        found[name] = (critical is not None and critical.content != b"\0", value)
    return found


def _purposes(value: bytes) -> list[bytes]:
    if not value:
        return []
    names = Fields(der.read(value, "a certificate's purposes"), "a certificate's purposes").rest()
    if any(name.tag != der.OID for name in names):
        raise BadDer("a certificate's purposes are of another type")
    return [name.content for name in names]


def _usage(certificate: Certificate) -> int | None:
    """Return what the key may be used for as 16 bits, the first one highest; None if it is not said."""
    if _USAGE not in certificate.extensions:
        return None
    bits = der.read(certificate.extensions[_USAGE][1], "a key's usage")
    if bits.tag != der.BITS or len(bits.content) not in _USAGE_BYTES:
        raise BadDer("a key's usage is odd")
    return int.from_bytes(bits.content[1:].ljust(2, b"\0"), "big")


def _basic(value: bytes) -> tuple[bool, int | None]:
    """Return whether it is an authority's certificate, and how many others may follow below it."""
    if not value:
        return False, None
    fields = Fields(der.read(value, "a certificate's constraints"), "a certificate's constraints")
    authority = fields.maybe(der.BOOLEAN)
    longest = fields.maybe(der.INTEGER)
    fields.end()
    return (
        authority is not None and authority.content != b"\0",
        der.number(longest, "a certificate's constraints") if longest else None,
    )
