"""The last good copy of each list, in the journal's folder, and what the journal's state says of it."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

import orjson
import structlog

from linewitness.base import durable
from linewitness.stations.lists.book import ListName

#: The journal's state of a list is kept under this and the list's name.
STATE: Final = "lists/"
#: The folder of the copies, in the journal's folder.
FOLDER: Final = "lists"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTaken:
    """What the journal knows of the list that was taken over last."""

    digest: str
    as_of_ns: int
    issued_ns: int | None
    entries: int
    signer: str

    @classmethod
    def load(cls, text: str) -> Self:
        """Return it from its text."""
        return cls(**orjson.loads(text))

    def text(self) -> str:
        """Return it as text for the journal's state."""
        return orjson.dumps(asdict(self)).decode()


class KeptCopies:
    """Copies of the files of lists, named by list and digest: what a crash left half is not taken for one."""

    def __init__(self, directory: Path) -> None:
        """Use the journal's directory."""
        self._folder = directory / FOLDER

    def read(self, name: ListName, digest: str) -> bytes | None:
        """Return the copy of this digest, None where it is gone or damaged."""
        try:
            data = self._path(name, digest).read_bytes()
        except OSError:
            return None
        return data if digest_of(data) == digest else None

    def write(self, name: ListName, data: bytes) -> None:
        """Keep a copy, durably; where that cannot be, it is logged and the list counts."""
        digest = digest_of(data)
        if self.read(name, digest) is not None:
            return
        path = self._path(name, digest)
        try:
            durable.make_folder(self._folder, mode=0o700)
            path.unlink(missing_ok=True)
            durable.create_file(path, data, mode=durable.PRIVATE)
        except OSError as error:
            log.warning("a list counts, and no copy of it can be kept", list=name, why=str(error))

    def tidy(self, name: ListName, digest: str) -> None:
        """Delete the copies of a list that do not count any more."""
        for path in self._copies(name):
            if path != self._path(name, digest):
                with suppress(OSError):
                    path.unlink()

    def _copies(self, name: ListName) -> Iterator[Path]:
        with suppress(OSError):
            yield from sorted(self._folder.glob(f"{name}-*.csv"))

    def _path(self, name: ListName, digest: str) -> Path:
        return self._folder / f"{name}-{digest.removeprefix('sha256:')}.csv"


def digest_of(data: bytes) -> str:
    """Return the digest of a list's file."""
    return "sha256:" + hashlib.sha256(data).hexdigest()
