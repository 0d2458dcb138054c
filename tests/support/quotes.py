"""Quotes as a TPM makes them, with a key that the tests hold: what it signs can be wrong in any place."""

import hashlib
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from linewitness.evidence.format.record import Change
from linewitness.evidence.tpm.quote import StartQuote, qualifying
from support.chain_builder import Stream

KEY = ec.derive_private_key(4711, ec.SECP256R1())
OTHER_KEY = ec.derive_private_key(4712, ec.SECP256R1())
#: TPMS_NV_PUBLIC: index, SHA-256, attributes of a counter, no policy, 8 bytes.
INDEX = bytes.fromhex("01801234000b2006001600000008")
#: The same with the attributes of an index that can be written.
WRITABLE = bytes.fromhex("01801234000b2006000600000008")


def sized(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def attested(number: int, bound_to: bytes, index: bytes = INDEX) -> bytes:
    """Return a TPMS_ATTEST of TPM2_NV_Certify."""
    return b"".join(
        (
            b"\xffTCG\x80\x14",
            sized(b"\x00\x0b" + bytes(32)),
            sized(bound_to),
            bytes(25),
            sized(b"\x00\x0b" + hashlib.sha256(index).digest()),
            b"\0\0",
            sized(number.to_bytes(8, "big")),
        )
    )


def quote(
    stream: Stream, number: int, *, key: Any = KEY, index: bytes = INDEX, data: bytes | None = None
) -> StartQuote:
    """Return the quote of a start that is the stream's next record; `data` replaces what is signed."""
    data = data or attested(number, qualifying(stream.origin, stream.prev_hash), index)
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return StartQuote(data, key.sign(data, ec.ECDSA(hashes.SHA256())), public, index)


def start(stream: Stream, quoted: StartQuote | None = None, **fields: Any) -> None:
    """Add a start with a quote, in which `fields` replace those of the record."""
    changes = {change.field: change for change in quoted.changes} if quoted else {}
    for field, value in fields.items():
        changes[field] = Change(field, None, value)
    stream.add("gateway.started", tuple(changes.values()), action="create")


def altered(quoted: StartQuote, at: int) -> StartQuote:
    """Return the quote with one bit of what was signed changed."""
    data = bytearray(quoted.attested)
    data[at] ^= 1
    return replace(quoted, attested=bytes(data))
