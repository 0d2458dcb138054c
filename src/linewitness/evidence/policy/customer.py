"""The customer's own key, which signs policies and revocations and nothing else, as a line of text."""

from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Final, Self

from nacl.signing import SigningKey

from linewitness.evidence.format.note import ED25519, BadNote, Vkey

_PREFIX: Final = "PRIVATE+KEY"
_SEED_BYTES: Final = 32
_PARTS: Final = 5


@dataclass(frozen=True, slots=True)
class Customer:
    """Name and private key."""

    name: str
    key: SigningKey

    @classmethod
    def new(cls, name: str) -> Self:
        """Make a fresh key; BadNote if the name cannot be that of a key."""
        made = cls(name, SigningKey.generate())
        Vkey.parse(str(made.vkey))
        return made

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the key of its line; BadNote if it is none."""
        parts = text.strip().split("+", _PARTS - 1)
        try:
            raw = b64decode(parts[-1], validate=True)
        except ValueError:
            raw = b""
        if len(parts) != _PARTS or "+".join(parts[:2]) != _PREFIX or len(raw) != 1 + _SEED_BYTES:
            raise BadNote("this is not a customer's private key", hint="`linewitness policy key` makes one")
        if raw[0] != ED25519:
            raise BadNote(
                "this key is made for cosignatures", hint="`linewitness policy key` makes the right one"
            )
        made = cls(parts[2], SigningKey(raw[1:]))
        if made.vkey.key_id != parts[3]:
            raise BadNote(f"the key id in the key should be {made.vkey.key_id}", hint="copy the file again")
        return made

    @property
    def vkey(self) -> Vkey:
        """The public form, for `customer_key` of a policy."""
        return Vkey(self.name, ED25519, bytes(self.key.verify_key))

    def __str__(self) -> str:
        encoded = b64encode(bytes([ED25519]) + bytes(self.key)).decode()
        return f"{_PREFIX}+{self.name}+{self.vkey.key_id}+{encoded}\n"
