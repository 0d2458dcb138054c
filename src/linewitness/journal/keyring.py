"""Private keys at rest: files of mode 0600 beside the journal, erased when their time is over."""

import os
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Final

from nacl.signing import SigningKey

from linewitness.errors import JournalDamaged, JournalError

LOG_KEY: Final = "log"
_PREFIX: Final = "linewitness ed25519 private key "
_SEED_BYTES: Final = 32


class Keyring:
    """The private keys of one stream, in the folder `keys` of its journal."""

    def __init__(self, directory: Path) -> None:
        """Use the journal's directory; nothing is read yet."""
        self._directory = directory / "keys"

    def create(self) -> None:
        """Make the folder, for the owner only."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def save(self, name: str, key: SigningKey) -> None:
        """Store a key durably under a name, before anything depends on it."""
        path = self._path(name)
        temporary = path.with_suffix(".new")
        line = _PREFIX + b64encode(bytes(key)).decode() + "\n"
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(handle, line.encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        temporary.rename(path)
        self._sync_folder()

    def load(self, name: str) -> SigningKey:
        """Return a key; JournalError says which file is missing, JournalDamaged which is not a key."""
        path = self._path(name)
        try:
            text = path.read_text(encoding="ascii")
        except FileNotFoundError:
            raise JournalError(
                f"the key {path} is gone",
                hint="this stream cannot go on: `linewitness init --continue` starts a new generation",
            ) from None
        except OSError as error:
            raise JournalError(f"the key {path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            text = ""
        encoded = text.strip().removeprefix(_PREFIX)
        try:
            seed = b64decode(encoded, validate=True)
        except ValueError:
            seed = b""
        if len(seed) != _SEED_BYTES:
            raise JournalDamaged(
                f"{path} does not hold a key", hint="restore the file or start a new generation"
            )
        return SigningKey(seed)

    def erase_all_but(self, *names: str) -> None:
        """Overwrite and remove every key that is no longer used."""
        kept = {self._path(name) for name in names}
        for path in sorted(self._directory.iterdir()):
            if path not in kept:
                size = path.stat().st_size
                with path.open("r+b") as file:
                    file.write(b"\0" * size)
                    file.flush()
                    os.fsync(file.fileno())
                path.unlink()
        self._sync_folder()

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.key"

    def _sync_folder(self) -> None:
        handle = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
