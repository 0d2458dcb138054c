"""What every place has in common: it is given a signed checkpoint, and says where that lies now."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from linewitness.base.errors import ExitCode, LinewitnessError


class AnchorFailed(LinewitnessError):
    """A place did not take the checkpoint; capture goes on, and the next hour tries again."""

    exit_code = ExitCode.REFUSED


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
        return f"{self.origin.replace('/', '_')}/{self.size:012}.checkpoint"


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

    async def write(self, subject: Subject) -> Written:
        """Put the checkpoint there and make sure that it is; AnchorFailed otherwise."""
