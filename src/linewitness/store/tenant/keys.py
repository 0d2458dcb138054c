"""The private keys of tenant streams: files beside the store's own key, for the owner alone."""

import os
from base64 import b64decode, b64encode
from contextlib import suppress
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from nacl.signing import SigningKey

from linewitness.base.durable import PRIVATE, create_file, make_folder, replace_private, sync_folder
from linewitness.base.errors import ConfigurationError
from linewitness.base.secrets import refuse_exposed
from linewitness.store.database.errors import StoreError

_PLAIN: Final = "linewitness ed25519 private key "
_ENDING: Final = ".key"
_LOG: Final = "log"
_HEAD: Final = "head"
_SEED_BYTES: Final = 32


class TenantKeysMissing(ConfigurationError):
    """A tenant stream is there and its keys are not, or not those of its newest record."""


class TenantKeys:
    """The keys of one tenant stream, and how far it was when it was last written here.

    What is known here of the head shows a database that was restored from an older copy: the keys must not
    sign another history.
    """

    def __init__(self, folder: Path) -> None:
        """Use a folder; nothing is read yet."""
        self._folder = folder

    @classmethod
    def of(cls, folder: Path, origin: str) -> Self:
        """Return the keys of a stream in the folder of all tenants."""
        _, name, generation = origin.rsplit("/", 2)
        return cls(_folder_of(folder, name) / generation)

    def create(self) -> None:
        """Make the folder, which must not be there: keys are never used for a second stream."""
        make_folder(self._folder.parent, mode=0o700)
        self._folder.mkdir(mode=0o700)
        sync_folder(self._folder.parent)

    def save(self, name: str, key: SigningKey) -> None:
        """Store an event key durably under its id, before anything depends on it."""
        self._save(name, key)

    def save_log(self, key: SigningKey) -> None:
        """Store the log key durably."""
        self._save(_LOG, key)

    def load(self, name: str) -> SigningKey:
        """Return an event key by its id; TenantKeysMissing where it is not there."""
        path = self._folder / f"{name}{_ENDING}"
        try:
            refuse_exposed([path])
            text = path.read_text(encoding="ascii")
            seed = b64decode(text.removeprefix(_PLAIN), validate=False)
        except (FileNotFoundError, NotADirectoryError):
            raise TenantKeysMissing(
                f"the key {path} of a tenant stream is not there",
                hint="use the store's own machine and user, or restore the folder; only if it is lost for "
                "ever, `linewitness store continue` begins a new generation of the tenant stream",
            ) from None
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"the key {path} of a tenant stream cannot be read: {error}", hint="restore the file"
            ) from None
        if not text.startswith(_PLAIN) or len(seed) != _SEED_BYTES:
            raise ConfigurationError(f"{path} does not hold a key", hint="restore the file")
        return SigningKey(seed)

    def load_log(self) -> SigningKey:
        """Return the log key."""
        return self.load(_LOG)

    def erase_all_but(self, *names: str) -> None:
        """Erase keys of attempts that did not come to their end: whoever holds the stream's lock may."""
        kept = {_LOG, *names}
        for path in self._folder.glob(f"*{_ENDING}"):
            if path.name.removesuffix(_ENDING) not in kept:
                _erase(path)

    def erase(self, name: str) -> None:
        """Erase a key that was replaced."""
        with suppress(FileNotFoundError):
            _erase(self._folder / f"{name}{_ENDING}")

    @property
    def head(self) -> tuple[int, str]:
        """How many records the stream had when it was last written here, and the hash of the last one."""
        try:
            first = (self._folder / _HEAD).read_text(encoding="utf-8").partition("\n")[0]
            size, _, record_hash = first.partition(" ")
            return int(size), record_hash
        except (OSError, ValueError):
            return 0, ""

    @property
    def database(self) -> str:
        """The database in which the stream was written last, as it was named then; nothing if not known."""
        with suppress(OSError, ValueError):
            return (self._folder / _HEAD).read_text(encoding="utf-8").partition("\n")[2].rstrip("\n")
        return ""

    def note_head(self, size: int, record_hash: str, database: str) -> None:
        """Keep where the stream stands, after the commit. Crash before: one commit less is known here."""
        with suppress(OSError):
            if size > self.head[0]:
                replace_private(self._folder / _HEAD, f"{size} {record_hash}\n{database}\n".encode())

    def _save(self, name: str, key: SigningKey) -> None:
        path = self._folder / f"{name}{_ENDING}"
        try:
            create_file(path, f"{_PLAIN}{b64encode(bytes(key)).decode()}\n".encode(), mode=PRIVATE)
        except OSError as error:
            raise StoreError(
                f"the key {path} of a tenant stream cannot be written: {error.strerror}",
                hint="the store's user must be able to write to the folder, see tenant_keys",
            ) from error


def origin_of(store: str, tenant: str, generation: int) -> str:
    """Return the name of a tenant stream, in which a tenant's has no character that a key's name may not."""
    return f"{store}/{quote(tenant, safe='')}/{generation}"


def next_generation(folder: Path, tenant: str, newest: int) -> int:
    """Return the generation after the newest one, of which no keys are there.

    Those of an attempt that did not come to its end, or of a database that is lost, sign nothing else.
    """
    generation = newest + 1
    while (_folder_of(folder, quote(tenant, safe="")) / str(generation)).exists():
        generation += 1
    return generation


def _folder_of(folder: Path, name: str) -> Path:
    return folder / f"{name}.keys"


def _erase(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\0" * path.stat().st_size)
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
