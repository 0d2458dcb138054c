"""Secrets by reference: a file or a systemd credential, never a value in the YAML."""

import contextlib
import os
import resource
import sys
from importlib import import_module
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from linewitness.base.errors import ConfigurationError

_PR_SET_DUMPABLE: Final = 4


class Secret(BaseModel):
    """Where a secret is kept: exactly one of `file` and `credential`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: Path | None = Field(default=None, description="File that holds the secret, mode 0600.")
    credential: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.-]+$",
        description="Name of a systemd credential (LoadCredential= or LoadCredentialEncrypted=).",
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.file is None) == (self.credential is None):
            raise ValueError("give exactly one of file and credential")
        return self

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
