"""What a running gateway knows and its journal does not, in a file in the journal's folder.

`linewitness status` reads it, and believes it only while a gateway holds the journal.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final, NoReturn, Self

import orjson
from pydantic import TypeAdapter, ValidationError

from linewitness.base.clock import monotonic, to_rfc3339
from linewitness.base.durable import replace_private
from linewitness.status.list_rows import ListRow

FILE_NAME: Final = "running.json"
#: The file is written when something changed, and this is looked for so often.
PERIOD_S: Final = 2.0
#: A forecast and counts alone are written so often: they move at each look.
FORECAST_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class RunningProblem:
    """A problem of the line, as the status page shows it."""

    code: str
    subject: str
    alarm: bool
    what: str
    hint: str


@dataclass(frozen=True, slots=True)
class RunningPolls:
    """How many polls of a device were due since the start, not made, and made without telemetry."""

    due: int
    missed: int
    cut: int


@dataclass(frozen=True, slots=True)
class RunningList:
    """A list that counts: its entries, since when it holds (RFC 3339), and why its file is refused."""

    name: str
    entries: int
    digest: str
    as_of: str
    stale: bool
    refusal: str

    @classmethod
    def of(cls, row: ListRow, now_ns: int) -> Self:
        """Return what is to be known of a list."""
        as_of = to_rfc3339(row.as_of_ns)
        return cls(row.name, row.entries, row.short, as_of, row.is_stale(now_ns), row.refusal)


@dataclass(frozen=True, slots=True)
class RunningState:
    """How the uplink is, since when (RFC 3339), and the problems of the line.

    `uplink` is none, up, away, refused or conflict; `uplink_why` says why it is not up. `hours_left` is how
    long the journal's room will last, as on the status page; None while nothing grows. `polls` are those of
    the devices that the gateway asks, as of the last writing.
    """

    uplink: str
    uplink_why: str
    uplink_since: str
    problems: tuple[RunningProblem, ...]
    hours_left: float | None = None
    polls: Mapping[str, RunningPolls] = field(default_factory=dict)
    lists: tuple[RunningList, ...] = ()


_STATE: Final = TypeAdapter(RunningState)


async def write_running(directory: Path, look: Callable[[], Awaitable[RunningState]]) -> NoReturn:
    """Keep the file as `look` says, for ever; it is gone where it cannot be written, and afterwards."""
    path, written_at = directory / FILE_NAME, 0.0
    known: RunningState | None = None
    try:
        while True:
            found = await look()
            if found != known and (_is_news(found, known) or monotonic() - written_at >= FORECAST_S):
                known = found if _written(path, orjson.dumps(asdict(found))) else None
                written_at = monotonic()
            await asyncio.sleep(PERIOD_S)
    finally:
        path.unlink(missing_ok=True)


def _is_news(found: RunningState, known: RunningState | None) -> bool:
    """Say whether more differs than the forecast of the room and the counts, which move at each look."""
    return known is None or replace(found, hours_left=known.hours_left, polls=known.polls) != known


def read_running(directory: Path) -> RunningState | None:
    """Return what the gateway has left; None where there is nothing that can be read."""
    try:
        return _STATE.validate_json((directory / FILE_NAME).read_bytes())
    except (OSError, ValidationError):
        return None


def _written(path: Path, data: bytes) -> bool:
    try:
        replace_private(path, data)
    except OSError:
        # A disk without room: what the file says would be outdated, and the next look tries again.
        path.unlink(missing_ok=True)
        return False
    return True
