"""Secrets by reference: a file or a systemd credential, never a value in the YAML."""

import contextlib
import os
import resource
import stat
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from linewitness.base.errors import ConfigurationError
from linewitness.base.settings import FilePath

_PR_SET_DUMPABLE: Final = 4


class Secret(BaseModel):
    """Where a secret is kept: exactly one of `file` and `credential`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: FilePath | None = Field(default=None, description="File that holds the secret, mode 0600.")
    credential: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.-]+$",
        description="Name of a systemd credential (LoadCredential= or LoadCredentialEncrypted=).",
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if self._places() != 1:
            raise ValueError("give exactly one of file and credential")
        return self

    def _places(self) -> int:
        """Return in how many places the secret would be."""
        return (self.file is not None) + (self.credential is not None)

    @property
    def path(self) -> Path:
        """The file to read; ConfigurationError where systemd gave us no credentials."""
        if self.file is not None:
            return self.file
        directory = os.environ.get("CREDENTIALS_DIRECTORY")
        if not directory:
            raise ConfigurationError(
                f"the credential {self.credential!r} is not there",
                hint="start it as a systemd unit with LoadCredential=, or use file: instead",
            )
        return Path(directory) / str(self.credential)

    def read(self) -> str:
        """Return the secret without its final line end; ConfigurationError if it cannot be read."""
        try:
            return self.path.read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            raise ConfigurationError(
                f"the secret in {self.path} cannot be read: {error.strerror}",
                hint="check the path and that the service's user may read it",
            ) from None
        except UnicodeDecodeError:
            raise ConfigurationError(
                f"the secret in {self.path} is not text", hint="save it as UTF-8, one line"
            ) from None


class TypedSecret(Secret):
    """A secret that a person typed: it stays in memory, and no text shows it."""

    text: SecretStr

    def _places(self) -> int:
        return 1

    def read(self) -> str:
        """Return what was typed."""
        return self.text.get_secret_value()


def exposure(file: Path) -> str | None:
    """Return in words who else may use a secret's file and what to do about it; None where nobody may.

    A file that is not there is exposed to nobody.
    """
    try:
        found = file.stat()
    except OSError:
        return None
    if found.st_mode & stat.S_IRWXO:
        return f"every user of this machine may use {file} (chmod go= {file})"
    if not group_may(found.st_mode, owner=found.st_uid, us=os.geteuid()):
        return f"the group of {file} may use it (chmod g= {file})"
    return None


def group_may(mode: int, *, owner: int, us: int) -> bool:
    """Return whether a group may do what a secret's mode lets it do.

    It may read what was handed over to a service through it: a file of root, or of anybody who is not us. In
    a service with users of its own, root shows as nobody.
    """
    handed_over = owner != us if us else owner == 0
    return not mode & stat.S_IWGRP and (handed_over or not mode & stat.S_IRGRP)


def refuse_exposed(files: Iterable[Path]) -> None:
    """Raise ConfigurationError if others may read one of the files, with what to do for each."""
    found = [words for words in map(exposure, files) if words is not None]
    if found:
        raise ConfigurationError(
            "a secret is not secret: " + "; ".join(found),
            hint="whoever else could read it has it: consider to replace it",
        )


def keep_memory_private() -> None:
    """Let no core dump and no other process of the same user read the keys that this process holds.

    A limit of 0 stops dumps into files; a kernel that pipes them into a program ignores it, and heeds that
    the process is not dumpable. Whoever is root on the machine can read its memory all the same.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with contextlib.suppress(
            MemoryError
        ):  # what ctypes prepares for callbacks, a hardened kernel may refuse
            ctypes = import_module("ctypes")
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
