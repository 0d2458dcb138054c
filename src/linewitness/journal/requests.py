"""Requests of an operator to the running gateway: files in the journal's folder, taken up within a second.

Only who may write into the journal's folder can ask, and nothing can be asked that a restart would not
do as well; so there is no socket, and no question of who may use it.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import orjson

from linewitness.base.durable import replace_private
from linewitness.base.errors import JournalError

ROTATE: Final = "rotate-key"
ANCHOR: Final = "write-anchors"
RELOAD: Final = "reload"
#: The gateway looks this often.
LOOK_S: Final = 1.0


class Requests:
    """The requests in one journal's folder."""

    def __init__(self, directory: Path) -> None:
        """Use the journal's directory."""
        self._directory = directory

    def place(self, name: str) -> None:
        """Ask for something; asking twice before it is done is asking once."""
        try:
            self._path(name).touch(mode=0o600)
        except OSError as error:
            raise JournalError(
                f"nothing can be asked of the gateway: {self._path(name)}: {error.strerror}",
                hint="run the command as the gateway's user",
            ) from None

    def waiting(self, name: str) -> bool:
        """Return whether something was asked for that is not done."""
        return self._path(name).exists() or self._taken(name).exists()

    def take(self, name: str) -> bool:
        """Take a request up before it is fulfilled, and return whether there is one.

        What is asked from now on is a request of its own. Crash before `done`: it is taken up again.
        """
        with contextlib.suppress(FileNotFoundError):
            self._path(name).replace(self._taken(name))
        return self._taken(name).exists()

    def done(self, name: str) -> None:
        """Take away the request that was taken up, after it was fulfilled."""
        self._taken(name).unlink(missing_ok=True)

    def answer(self, name: str, answer: Mapping[str, str]) -> None:
        """Leave what became of a request; best effort, for the log says it too."""
        with contextlib.suppress(OSError):
            replace_private(self._answer(name), orjson.dumps(dict(answer)))

    def answered(self, name: str) -> Mapping[str, str] | None:
        """Take away and return what became of the last request; None while there is no answer."""
        try:
            answer: dict[str, str] = orjson.loads(self._answer(name).read_bytes())
        except (OSError, ValueError):
            return None
        self._answer(name).unlink(missing_ok=True)
        return answer

    def _answer(self, name: str) -> Path:
        return self._directory / f"{name}.answer"

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.request"

    def _taken(self, name: str) -> Path:
        return self._directory / f"{name}.taken"
