"""The store's own key: made once, for cosignatures (C2SP cosignature/v1) and signed conflicts."""

from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from nacl.signing import SigningKey

from linewitness.base.durable import create_file, make_folder
from linewitness.base.errors import ConfigurationError
from linewitness.base.secrets import Secret, refuse_exposed
from linewitness.evidence.format import keys, note
from linewitness.evidence.format.accusation import Accusation
from linewitness.evidence.format.note import COSIGNATURE_V1, Note, Vkey

_PREFIX: Final = "PRIVATE+KEY"
_SEED_BYTES: Final = 32
_PARTS: Final = 5


@dataclass(frozen=True, slots=True)
class Cosigner:
    """The store's name and private key."""

    name: str
    key: SigningKey

    @property
    def vkey(self) -> Vkey:
        """The public form, for policies and for gateways."""
        return keys.cosigner_vkey(self.name, self.key)

    def cosign(self, checkpoint: Note, time_s: int) -> Note:
        """Return the receipt: the checkpoint's note with our line added."""
        return checkpoint.with_signature(
            note.cosign(checkpoint.text, name=self.name, key=self.key, time_s=time_s)
        )

    def accuse(self, accusation: Accusation, time_s: int) -> Note:
        """Return the signed conflict: its context is its own, so that it never reads as a cosignature."""
        return accusation.sign(name=self.name, key=self.key, time_s=time_s)

    @classmethod
    def load(cls, name: str, secret: Secret) -> Self:
        """Read the key; ConfigurationError if it is not there, exposed, not a key, or of another name."""
        hint = (
            "restore a copy of it; only if nobody was given its public key yet, delete the file and let "
            "`linewitness store init` make another"
        )
        refuse_exposed([secret.path])
        parts = secret.read().split("+", _PARTS - 1)
        try:
            raw = b64decode(parts[-1], validate=True)
        except ValueError:
            raw = b""
        if len(parts) != _PARTS or "+".join(parts[:2]) != _PREFIX or len(raw) != 1 + _SEED_BYTES:
            raise ConfigurationError(f"{secret.path} does not hold a store's key", hint=hint)
        if parts[2] != name or raw[0] != COSIGNATURE_V1:
            raise ConfigurationError(
                f"the key in {secret.path} is that of {parts[2]}, not of {name}", hint=hint
            )
        return cls(name, SigningKey(raw[1:]))


def create_key(name: str, path: Path) -> Cosigner:
    """Make a new key in a new file of mode 0600; ConfigurationError if the file is there already."""
    cosigner = Cosigner(name, keys.new_key())
    encoded = b64encode(bytes([COSIGNATURE_V1]) + bytes(cosigner.key)).decode()
    line = f"{_PREFIX}+{name}+{cosigner.vkey.key_id}+{encoded}\n"
    make_folder(path.parent, mode=0o700)
    try:
        create_file(path, line.encode("ascii"), mode=0o600)
    except FileExistsError:
        raise ConfigurationError(
            f"there is a key in {path} already",
            hint="receipts name this key: keep it, or choose another file",
        ) from None
    return cosigner
