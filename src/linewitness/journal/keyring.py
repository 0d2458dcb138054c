"""Private keys at rest: files of mode 0600, wrapped if wished, erased when their time is over."""

import errno
import os
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Final

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from nacl.signing import SigningKey

from linewitness.base import durable
from linewitness.base.errors import ConfigurationError, JournalDamaged, JournalError
from linewitness.base.secrets import refuse_exposed
from linewitness.journal import database
from linewitness.journal.options import JournalOptions

LOG_KEY: Final = "log"
_PLAIN: Final = "linewitness ed25519 private key "
_WRAPPED: Final = "linewitness wrapped ed25519 private key "
_SEED_BYTES: Final = 32
_ENDING: Final = ".key"
#: The second name of a plain key file while its wrapped successor takes its place.
_REPLACED: Final = ".replaced"


class Keyring:
    """The private keys of one stream, in the folder `keys` of its journal.

    With a wrapping key each file is encrypted (XSalsa20-Poly1305, PyNaCl's SecretBox) together with its
    own name, so that one key file cannot stand in for another.
    """

    def __init__(self, directory: Path, *, wrapping_key: bytes | None = None) -> None:
        """Use the journal's directory; nothing is read yet."""
        self._directory = directory / "keys"
        self._box = SecretBox(wrapping_key) if wrapping_key is not None else None

    def create(self) -> None:
        """Make the folder, for the owner only; its name is durable before a key is in it."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        durable.sync_folder(self._directory.parent)

    def save(self, name: str, key: SigningKey) -> None:
        """Store a key durably under a name, before anything depends on it."""
        path = self._path(name)
        with database.translated(path):
            self._write_beside(path, self._line(name, bytes(key))).rename(path)
            self._sync_folder()

    def load(self, name: str) -> SigningKey:
        """Return a key; the error says which file is missing, not a key, or wrapped by another key."""
        path = self._path(name)
        text = self._read(path)
        if text.startswith(_WRAPPED):
            return SigningKey(self._unwrapped(name, text.removeprefix(_WRAPPED)))
        return SigningKey(self._decoded(path, text.removeprefix(_PLAIN)))

    def tidy(self) -> None:
        """Finish what a crash cut short, and wrap what is still plain; done at every opening.

        Raises ConfigurationError if others may read a key.
        """
        with database.translated(self._directory):
            refuse_exposed(sorted(self._directory.glob(f"*{_ENDING}*")))
            for path in sorted(self._directory.glob(f"*{_ENDING}{_REPLACED}")):
                self._finish_replacing(path)
            if self._box is None:
                return
            for path in sorted(self._directory.glob(f"*{_ENDING}")):
                text = self._read(path)
                # What is empty was erased, and a crash came before it was removed.
                if text.strip("\0") and not text.startswith(_WRAPPED):
                    self._wrap(path)

    def erase_all_but(self, *names: str) -> None:
        """Overwrite, flush and remove every key that is no longer used.

        What a copy-on-write file system or a flash controller keeps of the overwritten blocks is out of
        reach from here: the wrapping key is what protects against reading those.
        """
        kept = {self._path(name) for name in names}
        with database.translated(self._directory):
            for path in sorted(self._directory.iterdir()):
                if path not in kept:
                    _erase(path)
            self._sync_folder()

    def _wrap(self, path: Path) -> None:
        name = path.name.removesuffix(_ENDING)
        seed = self._decoded(path, self._read(path).removeprefix(_PLAIN))
        wrapped = self._write_beside(path, self._line(name, seed))
        replaced = path.with_name(path.name + _REPLACED)
        # Crash here: the plain key is in its place; the wrapped one is overwritten at the next opening.
        replaced.hardlink_to(path)
        # Crash here: one plain file with two names; the second is dropped, and wrapping starts again.
        wrapped.rename(path)
        self._sync_folder()
        # Crash here: the wrapped key is in its place; the plain one has its second name, and is erased.
        self._finish_replacing(replaced)

    def _finish_replacing(self, replaced: Path) -> None:
        current = replaced.with_name(replaced.name.removesuffix(_REPLACED))
        if current.exists() and not current.samefile(replaced):
            _erase(replaced)
        elif current.exists():
            replaced.unlink()
        else:
            replaced.rename(current)
        self._sync_folder()

    def _line(self, name: str, seed: bytes) -> str:
        if self._box is None:
            return _PLAIN + b64encode(seed).decode() + "\n"
        return _WRAPPED + b64encode(self._box.encrypt(seed + name.encode())).decode() + "\n"

    def _unwrapped(self, name: str, encoded: str) -> bytes:
        path = self._path(name)
        if self._box is None:
            raise ConfigurationError(
                f"the key {path} is wrapped, and the YAML names no journal.wrapping_key",
                hint="name the secret with which it was wrapped",
            )
        try:
            opened = self._box.decrypt(b64decode(encoded, validate=True))
        except ValueError:
            raise _damaged(path) from None
        except CryptoError:
            raise ConfigurationError(
                f"the key {path} was wrapped with another wrapping key, or the file was changed",
                hint="give back the old journal.wrapping_key; without it this stream cannot go on, and "
                "`linewitness init --continue` starts a new generation",
            ) from None
        if opened[_SEED_BYTES:] != name.encode():
            raise JournalDamaged(f"{path} holds another key than its name says", hint="restore the file")
        return opened[:_SEED_BYTES]

    def _decoded(self, path: Path, encoded: str) -> bytes:
        try:
            seed = b64decode(encoded, validate=True)
        except ValueError:
            seed = b""
        if len(seed) != _SEED_BYTES:
            raise _damaged(path)
        return seed

    def _read(self, path: Path) -> str:
        try:
            return path.read_bytes().decode("ascii", "replace").strip()
        except FileNotFoundError:
            raise JournalError(
                f"the key {path} is gone",
                hint="this stream cannot go on: `linewitness init --continue` starts a new generation",
            ) from None
        except OSError as error:
            raise JournalError(
                f"the key {path} cannot be read: {error.strerror}", hint="check its owner and its mode"
            ) from None

    def _write_beside(self, path: Path, line: str) -> Path:
        temporary = path.with_suffix(".new")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            database.own_like(self._directory, temporary)
            _write_whole(handle, line.encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        return temporary

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}{_ENDING}"

    def _sync_folder(self) -> None:
        durable.sync_folder(self._directory)


def keyring_of(options: JournalOptions) -> Keyring:
    """Return the keyring of a journal, with its wrapping key where the YAML names one."""
    if options.wrapping_key is None:
        return Keyring(options.directory)
    return Keyring(options.directory, wrapping_key=_wrapping_key(options.wrapping_key.path))


def _wrapping_key(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"the wrapping key {path} cannot be read: {error.strerror}",
            hint="check the path, or that the unit has LoadCredentialEncrypted= of this name",
        ) from None
    if len(data) == SecretBox.KEY_SIZE:
        return data
    try:
        decoded = b64decode(data.strip(), validate=True)
    except ValueError:
        decoded = b""
    if len(decoded) != SecretBox.KEY_SIZE:
        raise ConfigurationError(
            f"the wrapping key {path} is neither 32 bytes nor their base64",
            hint="make one with `openssl rand -base64 32`",
        )
    return decoded


def _write_whole(handle: int, data: bytes) -> None:
    if os.write(handle, data) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # half a key is none


def _erase(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\0" * path.stat().st_size)
        file.flush()
        os.fsync(file.fileno())
    # Crash here: a file of zeros with a key's name, which the next erasure removes.
    path.unlink()


def _damaged(path: Path) -> JournalDamaged:
    return JournalDamaged(f"{path} does not hold a key", hint="restore the file or start a new generation")
