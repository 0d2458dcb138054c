"""Signed notes (C2SP signed-note) and cosignatures (C2SP tlog-cosignature, `cosignature/v1`)."""

import hashlib
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self

from nacl.bindings import crypto_core_ed25519_is_valid_point
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from linewitness.base.errors import EvidenceError

ED25519: Final = 0x01
COSIGNATURE_V1: Final = 0x04
MAX_NOTE_BYTES: Final = 1_000_000
MAX_SIGNATURES: Final = 100

#: What a key's name must not hold: a plus sign, and each character that any reader takes for a space.
_NAME: Final = re.compile(
    r"[^+\u0009-\u000d\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]+"
)
_ED25519_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
_ID_BYTES: Final = 4
_TIME_BYTES: Final = 8
#: C2SP tlog-cosignature: a time must not exceed 2^63-1.
_LAST_TIME: Final = 2**63 - 1


class BadNote(EvidenceError):
    """A note or a key is not of the form that C2SP signed-note prescribes, or a signature is wrong."""


@dataclass(frozen=True, slots=True)
class Vkey:
    """A public key as C2SP writes it: `<name>+<8 hex>+<base64(type || 32 bytes)>`."""

    name: str
    algorithm: int
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the key of a vkey string; BadNote says what is wrong with it.

        The key must be canonical and in the main subgroup. With such a key libsodium accepts exactly
        one R for a message and an S, so that no two verifiers can disagree on a signature.
        """
        parts = text.split("+", 2)
        if len(parts) != 3:  # noqa: PLR2004 (name, id, key)
            raise BadNote(f"{text!r} is not a vkey", hint="it looks like name+1a2b3c4d+AY…")
        name, key_id, encoded = parts
        try:
            raw = b64decode(encoded, validate=True)
        except ValueError:
            raise BadNote(f"the key part of {text!r} is not base64") from None
        if len(raw) != 1 + _ED25519_BYTES or raw[0] not in (ED25519, COSIGNATURE_V1):
            raise BadNote(f"{text!r} is not an Ed25519 or cosignature key")
        if not _NAME.fullmatch(name):
            raise BadNote(f"the name {name!r} of a key has spaces or a plus sign")
        if not crypto_core_ed25519_is_valid_point(raw[1:]):
            raise BadNote(f"the key of {name!r} is a weak one: not a point of Ed25519's main subgroup")
        vkey = cls(name, raw[0], raw[1:])
        if vkey.key_id != key_id:
            raise BadNote(f"the key id of {text!r} should be {vkey.key_id}", hint="copy the vkey again")
        return vkey

    @property
    def key_id(self) -> str:
        """The first four bytes of SHA-256(name, line feed, type, key), in hex."""
        return _key_id(self.name, self.algorithm, self.public)

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Say whether an Ed25519 signature is good, by libsodium's strict rules."""
        if len(signature) != _SIGNATURE_BYTES:
            return False
        try:
            _verifier(self.public).verify(message, signature)
        except BadSignatureError:
            return False
        return True

    def __str__(self) -> str:
        encoded = b64encode(bytes([self.algorithm]) + self.public).decode()
        return f"{self.name}+{self.key_id}+{encoded}"


@lru_cache(maxsize=256)
def _verifier(public: bytes) -> VerifyKey:
    return VerifyKey(public)


@lru_cache(maxsize=256)
def _key_id(name: str, algorithm: int, public: bytes) -> str:
    material = name.encode() + b"\n" + bytes([algorithm]) + public
    return hashlib.sha256(material).digest()[:_ID_BYTES].hex()


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: who, which key, and the bytes after the key id."""

    name: str
    key_id: str
    signature: bytes

    @property
    def time_s(self) -> int | None:
        """The Unix time that a cosignature states, None for a plain signature; nothing is verified."""
        if len(self.signature) != _TIME_BYTES + _SIGNATURE_BYTES:
            return None
        return int.from_bytes(self.signature[:_TIME_BYTES], "big")

    def __str__(self) -> str:
        encoded = b64encode(bytes.fromhex(self.key_id) + self.signature).decode()
        return f"— {self.name} {encoded}"


@dataclass(frozen=True, slots=True)
class Note:
    """A text and its signatures. `text` ends with a line feed and is what is signed."""

    text: str
    signatures: tuple[NoteSignature, ...]

    @classmethod
    def parse(cls, data: str) -> Self:
        """Split a note into text and signature lines; BadNote names what is malformed."""
        if len(data) > MAX_NOTE_BYTES:
            raise BadNote(f"a note of {len(data)} characters is too large")
        if any(character < " " and character != "\n" for character in data):
            raise BadNote("a note holds control characters")
        text, separator, block = data.rpartition("\n\n")
        if not separator or not block.endswith("\n"):
            raise BadNote("a note lacks its signature block")
        lines = block[:-1].split("\n")
        if len(lines) > MAX_SIGNATURES:
            raise BadNote(f"a note with {len(lines)} signatures is too large")
        return cls(text + "\n", tuple(_signature(line) for line in lines))

    def signed_by(self, vkey: Vkey) -> int | None:
        """Return the time of vkey's signature (0 for a plain one), or None if there is no such line.

        BadNote if a line claims to be of this key and is not: a note with a false signature is not
        merely an unsigned one.
        """
        times = [
            _check(self.text, line, vkey)
            for line in self.signatures
            if line.name == vkey.name and line.key_id == vkey.key_id
        ]
        return times[0] if times else None

    def with_signature(self, line: NoteSignature) -> Self:
        """Return the same note with one more signature."""
        return type(self)(self.text, (*self.signatures, line))

    def __str__(self) -> str:
        return self.text + "\n" + "".join(f"{line}\n" for line in self.signatures)


def sign(text: str, *, name: str, key: SigningKey) -> NoteSignature:
    """Sign a note's text with a plain Ed25519 key."""
    vkey = Vkey(name, ED25519, bytes(key.verify_key))
    return NoteSignature(name, vkey.key_id, key.sign(text.encode()).signature)


def cosign(text: str, *, name: str, key: SigningKey, time_s: int) -> NoteSignature:
    """Cosign a note's text at a Unix time in seconds (C2SP tlog-cosignature)."""
    vkey = Vkey(name, COSIGNATURE_V1, bytes(key.verify_key))
    signature = key.sign(_cosigned_message(text, time_s)).signature
    return NoteSignature(name, vkey.key_id, time_s.to_bytes(_TIME_BYTES, "big") + signature)


def _cosigned_message(text: str, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def _signature(line: str) -> NoteSignature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != "—" or not _NAME.fullmatch(name):
        raise BadNote(f"{line!r} is not a signature line")
    try:
        raw = b64decode(encoded, validate=True)
    except ValueError:
        raise BadNote(f"the signature of {name} is not base64") from None
    if len(raw) <= _ID_BYTES or b64encode(raw).decode() != encoded:
        raise BadNote(f"the signature of {name} is too short or not canonical base64")
    return NoteSignature(name, raw[:_ID_BYTES].hex(), raw[_ID_BYTES:])


def _check(text: str, line: NoteSignature, vkey: Vkey) -> int:
    if vkey.algorithm == ED25519:
        time_s, message, signature = 0, text.encode(), line.signature
    else:
        time_s = int.from_bytes(line.signature[:_TIME_BYTES], "big")
        message, signature = _cosigned_message(text, time_s), line.signature[_TIME_BYTES:]
    if time_s > _LAST_TIME or not vkey.verify(message, signature):
        raise BadNote(f"the signature of {vkey.name} ({vkey.key_id}) is wrong")
    return time_s
