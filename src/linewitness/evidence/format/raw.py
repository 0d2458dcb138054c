"""The device's own bytes beside a record, which names them by a keyed hash: docs/format.md, section 2.3.

A plain hash of a short telegram would say what it was: who knows the numbers of all units tries them. The key
is random, belongs to one record, and travels only with the bytes.
"""

import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Final, NamedTuple

#: The member of a record's `context` that holds the keyed hash, as 64 hex digits.
RAW_HMAC: Final = "raw_hmac_sha256"
#: In records of earlier versions: the plain hash.
RAW_PLAIN: Final = "raw_sha256"
#: A key of any other length is refused: shorter ones are filled up with zeros, and would have a twin.
SALT_BYTES: Final = 16
#: The longest line, its line feed left out.
MAX_LINE: Final = 1_000_000

_LINE: Final = re.compile(
    rb'\{"bytes":"([A-Za-z0-9+/]*={0,2})"(?:,"salt":"([0-9a-f]{32})")?,"sequence_no":(0|[1-9][0-9]{0,14})\}'
)


class MalformedRaw(ValueError):
    """A line that does not have the form of section 11.3.2."""


class RawTelegram(NamedTuple):
    """What a device sent that one record is about; `salt` is None where the record names a plain hash."""

    sequence_no: int
    data: bytes
    salt: bytes | None

    @classmethod
    def parse(cls, line: bytes) -> "RawTelegram":
        """Return what a line of `raw.ndjson` says; MalformedRaw if it is not of the one form."""
        found = _LINE.fullmatch(line) if len(line) <= MAX_LINE else None
        if found is None:
            raise MalformedRaw("it is not of the form of section 11.3.2 of the format")
        encoded, salt, number = found.groups()
        try:
            data = b64decode(encoded, validate=True)
        except ValueError:
            data = b""
        if b64encode(data) != encoded:
            raise MalformedRaw("its bytes are not canonical base64")
        return cls(int(number), data, bytes.fromhex(salt.decode()) if salt else None)

    def line(self) -> bytes:
        """Return the canonical line, without a line feed."""
        salt = b"" if self.salt is None else b',"salt":"%b"' % self.salt.hex().encode()
        return b'{"bytes":"%b"%b,"sequence_no":%d}' % (b64encode(self.data), salt, self.sequence_no)

    def is_named_in(self, context: Mapping[str, str]) -> bool:
        """Return whether these are the bytes that a record with this `context` names."""
        if RAW_HMAC in context:
            return self.salt is not None and keyed_hash(self.salt, self.data) == context[RAW_HMAC]
        return self.salt is None and hashlib.sha256(self.data).hexdigest() == context.get(RAW_PLAIN)


def keyed_hash(salt: bytes, data: bytes) -> str:
    """Return the hex HMAC-SHA-256 of a device's own bytes under the salt of one record."""
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes, not {len(salt)}")
    return hmac.digest(salt, data, "sha256").hex()


def names_bytes(context: Mapping[str, str]) -> bool:
    """Return whether a record with this `context` names bytes of a device."""
    return RAW_HMAC in context or RAW_PLAIN in context
