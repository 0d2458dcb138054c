"""What every place has in common: it is given a signed checkpoint, and says where that lies now."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from linewitness.base.errors import ExitCode, LinewitnessError

#: A checkpoint has 300 bytes, and each cosignature adds a line: what is larger is none.
MOST_NOTE_BYTES: Final = 65_536
#: Of a checkpoint that lies in a file or an object of its own.
SUFFIX: Final = ".checkpoint"


class AnchorFailed(LinewitnessError):
    """A place did not take the checkpoint; capture goes on, and the next hour tries again."""

    exit_code = ExitCode.REFUSED


class AnchorDoubt(AnchorFailed):
    """A place says that it has seen another history of this stream, of `size` records; nobody signed that."""

    def __init__(self, what: str, *, hint: str, size: int) -> None:
        """Keep the size that the place names."""
        super().__init__(what, hint=hint)
        self.size = size


def folder_of(origin: str) -> str:
    """Return a name for a stream that is one part of a path."""
    return origin.replace("/", "_")


def text_of_note(data: bytes) -> str:
    """Return what lies at a place as text, whatever it is; of what is too large for a note, the beginning."""
    return data[:MOST_NOTE_BYTES].decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Subject:
    """A checkpoint to be anchored: `note` is signed by the log key.

    `consistency` returns the proof that the tree of an older size is a prefix of this one.
    """

    origin: str
    size: int
    note: str
    consistency: Callable[[int], Awaitable[list[bytes]]]

    @property
    def file_name(self) -> str:
        """A name for the checkpoint that sorts by size."""
        return f"{folder_of(self.origin)}/{self.size:012}{SUFFIX}"


@dataclass(frozen=True, slots=True)
class Written:
    """Where the checkpoint lies, the note as it lies there, and what the place gave as a proof."""

    where: str
    note: str
    proof: bytes | None = None


class AnchorTarget(Protocol):
    """One place, built from frozen options; it holds no connection."""

    @property
    def name(self) -> str:
        """Kind and id, like `directory worm`."""

    @property
    def near(self) -> bool:
        """Whether it is written to at each replacement of the key while no receipt comes."""

    async def seen(self, origin: str) -> str | None:
        """Return the newest checkpoint of a stream that the place holds, as it lies there: not verified.

        None where it has none or cannot say; AnchorFailed where it cannot be reached.
        """

    async def write(self, subject: Subject) -> Written:
        """Put the checkpoint there and make sure that it is; AnchorFailed otherwise."""
