"""Anchoring for tests, and journals that are restored from a copy after what came later was anchored."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from linewitness.anchors.base import AnchorTarget
from linewitness.anchors.options import AnchorOptions
from linewitness.gateway.anchoring import Anchoring
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.continuity import Continuity
from linewitness.journal.generations.generation import Conflict
from linewitness.journal.journal import Journal
from linewitness.journal.keyring import LOG_KEY, Keyring
from linewitness.journal.reader import JournalReader
from linewitness.journal.requests import Requests
from support.clocks import ManualClock
from support.journals import members_of, result_event, running


def anchoring(
    journal: Journal,
    directory: Path,
    clock: ManualClock,
    places: Sequence[AnchorTarget],
    continuity: Continuity | None = None,
    **settings: float,
) -> Anchoring:
    """Return the anchoring of a journal, as of a start."""
    return Anchoring(
        journal,
        CheckpointSigner(journal, Keyring(directory).load(LOG_KEY)),
        continuity or Continuity(journal, clock=clock),
        targets=places,
        options=AnchorOptions(**settings),
        requests=Requests(directory),
        clock=clock,
    )


async def start(
    directory: Path, clock: ManualClock, places: Sequence[AnchorTarget], results: int = 0
) -> None:
    """Start, record some results, write to all places, and stop."""
    async with running(directory, clock) as journal:
        await journal.submit([result_event(number, clock) for number in range(results)])
        await anchoring(journal, directory, clock, places).write()


async def restored(
    directory: Path, clock: ManualClock, places: Sequence[AnchorTarget], *, results: int = 3, after: int = 0
) -> int:
    """Anchor what came after a copy of the journal, restore the copy and let it go on unanchored.

    Return the size of the anchored history.
    """
    image = directory.with_name("image")
    shutil.copytree(directory, image)
    await start(directory, clock, places, results)
    with JournalReader(directory) as reader:
        [*_, newest] = reader.attestations()
    shutil.rmtree(directory)
    image.rename(directory)
    if after:
        await start(directory, clock, (), after)
    return newest.size


def conflict(directory: Path) -> Conflict | None:
    """Return what contradicts the stream; None where it is not frozen."""
    with JournalReader(directory) as reader:
        return Conflict.of(reader) if reader.frozen else None


def said(directory: Path, kind: str = "stream.continuity") -> list[dict[str, Any]]:
    """Return what the records of one kind state: the value of each field, and what was before the first."""
    return [
        {change["field"]: change["after"] for change in record["changes"]}
        | {"before": record["changes"][0]["before"], "reason": record["reason"]}
        for record in members_of(directory)
        if record["kind"] == kind
    ]
