"""What a TPM signs about its counter at a start of the gateway: TPMS_ATTEST of TPM2_NV_Certify.

docs/format.md, section 9.2; TPM 2.0 Library, part 2: TPMS_ATTEST, TPMS_NV_CERTIFY_INFO, TPMS_NV_PUBLIC.
"""

import binascii
import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

from linewitness.evidence.format.record import Change
from linewitness.evidence.timestamps.algorithms import (
    PublicKey,
    Scheme,
    Signed,
    Verifies,
    signature_is_good,
)

#: TPM_NT_COUNTER: such an index can be read and incremented, and nothing else.
COUNTER: Final = 1
#: What stands before the two coordinates in a SubjectPublicKeyInfo of P-256 (RFC 5480).
ECDSA_KEY: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + b"\x04"
FIELDS: Final = ("tpm_quote", "tpm_signature", "tpm_key", "tpm_index")
NUMBER: Final = "tpm_counter"

_GENERATED: Final = b"\xffTCG"
_NV: Final = b"\x80\x14"
_SHA256: Final = b"\x00\x0b"
_KIND: Final = "linewitness/start/v1"


class BadQuote(Exception):
    """The quote of a start is not what it should be; the text says why."""


def qualifying(stream: str, prev_hash: str) -> bytes:
    """Return what the TPM signs along with its counter: at which place of which stream."""
    return hashlib.sha256(f"{_KIND}\n{stream}\n{prev_hash}\n".encode()).digest()


class _Attested(NamedTuple):
    """The parts of a TPMS_ATTEST that are looked at."""

    bound_to: bytes
    index_name: bytes
    number: int


@dataclass(frozen=True, slots=True)
class StartQuote:
    """The TPM's statement, its signature (DER), its key (SubjectPublicKeyInfo) and its index.

    `attested` is a TPMS_ATTEST, `index` the TPMS_NV_PUBLIC of the counter.
    """

    attested: bytes
    signature: bytes
    key: bytes
    index: bytes

    @property
    def number(self) -> int:
        """Where the counter stands; BadQuote if nothing says it."""
        return _read(self.attested).number

    @property
    def changes(self) -> tuple[Change, ...]:
        """The quote as a record has it."""
        parts = zip(FIELDS, (self.attested, self.signature, self.key, self.index), strict=True)
        texts = (Change(field, None, b64encode(data).decode()) for field, data in parts)
        return (Change(NUMBER, None, self.number), *texts)

    @classmethod
    def of(cls, changes: Sequence[Mapping[str, Any]]) -> Self | None:
        """Return the quote of a start's record, None where it has none; BadQuote where it is no quote."""
        found = {change["field"]: change["after"] for change in changes}
        if found.get(NUMBER) is None:
            return None
        quote = cls(*(_decoded(found.get(field)) for field in FIELDS))
        number = quote.number
        if type(found[NUMBER]) is not int or number != found[NUMBER]:
            raise BadQuote("the record states another number than the TPM")
        return quote

    def check(self, *, stream: str, prev_hash: str, verifies: Verifies) -> bool:
        """Raise BadQuote unless the key has signed this number; return whether it is for another place.

        A clock that is set in the moment of a start gives a record between the quote and the start.
        """
        attested = _read(self.attested)
        if attested.index_name != _SHA256 + hashlib.sha256(self.index).digest():
            raise BadQuote("it is about another index")
        # nvIndex, nameAlg, attributes: the kind of the index is in bits 4 to 7 of the attributes.
        if len(self.index) < 10 or self.index[9] >> 4 != COUNTER:  # noqa: PLR2004 (the end of the attributes)
            raise BadQuote("its index is not a counter")
        if len(self.key) != len(ECDSA_KEY) + 64 or not self.key.startswith(ECDSA_KEY):
            raise BadQuote("its key is not one of P-256")
        key = PublicKey("P-256", self.key)
        signed = Signed(key, Scheme("ecdsa", "sha256"), self.signature, self.attested)
        if not signature_is_good(signed, verifies):
            raise BadQuote("its signature is not good")
        return attested.bound_to != qualifying(stream, prev_hash)


class _Reader:
    """Read a structure of a TPM from its beginning."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        found = self._data[self._at : self._at + count]
        if len(found) < count:
            raise BadQuote("it ends too early")
        self._at += count
        return found

    def sized(self) -> bytes:
        """Return the next bytes that have their number before them."""
        return self.take(int.from_bytes(self.take(2), "big"))

    def end(self) -> None:
        """Require that nothing follows."""
        if self._at != len(self._data):
            raise BadQuote("something follows it")


def _read(data: bytes) -> _Attested:
    reader = _Reader(data)
    if reader.take(4) != _GENERATED:
        raise BadQuote("no TPM has made it")
    if reader.take(2) != _NV:
        raise BadQuote("it is not about an index")
    reader.sized()  # the name of the key
    bound_to = reader.sized()
    reader.take(8 + 4 + 4 + 1 + 8)  # the TPM's own clock and firmware
    index_name = reader.sized()
    if reader.take(2) != b"\0\0":
        raise BadQuote("it is not about the beginning of an index")
    number = reader.sized()
    reader.end()
    if len(number) != 8:  # noqa: PLR2004 (a counter has 64 bits)
        raise BadQuote("its counter has not 64 bits")
    return _Attested(bound_to, index_name, int.from_bytes(number, "big"))


def _decoded(value: Any) -> bytes:
    try:
        data = b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError):
        data = b""
    if not data or b64encode(data).decode() != value:
        raise BadQuote("a part of it is not canonical base64")
    return data
