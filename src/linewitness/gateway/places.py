"""Hold what the places outside keep of this stream against the journal, before anything is written there."""

import asyncio
from collections.abc import Sequence

import structlog

from linewitness.anchors.base import AnchorDoubt, AnchorFailed, AnchorTarget
from linewitness.evidence.format.checkpoint import open_checkpoint
from linewitness.evidence.format.note import BadNote
from linewitness.gateway.continuity import Continuity, HistoryContradiction
from linewitness.journal.journal import Journal

log = structlog.get_logger()


class PlacesSeen:
    """What each place has seen of this stream, compared once a start.

    A place that cannot be reached is compared at its first contact later.
    """

    def __init__(
        self, journal: Journal, continuity: Continuity, *, targets: Sequence[AnchorTarget], timeout_s: float
    ) -> None:
        """Take the places; nothing is sent to the store before all were asked, or for some seconds."""
        self._journal = journal
        self._continuity = continuity
        self._targets = targets
        self._timeout_s = timeout_s
        self._asking = asyncio.Lock()
        self._all_asked = not targets
        self._fit: set[str] = set()
        self._warned: set[str] = set()
        self._doubted: set[str] = set()
        if targets:
            continuity.hold()

    async def ask_all(self) -> dict[str, AnchorFailed]:
        """Compare all places, once: before anything is written to any. Return why some cannot be compared."""
        async with self._asking:  # the first anchor and the one at the end may come at once
            if self._all_asked:
                return {}
            try:
                async with asyncio.TaskGroup() as group:
                    asked = {
                        target.name: group.create_task(self.compare(target), name=f"seen:{target.name}")
                        for target in self._targets
                    }
            finally:
                self._continuity.release()
            self._all_asked = True
        failures = {name: task.result() for name, task in asked.items()}
        return {name: failure for name, failure in failures.items() if failure is not None}

    async def compare(self, target: AnchorTarget) -> AnchorFailed | None:
        """Compare what a place holds, unless it is known to fit, and return why that cannot be done now."""
        if target.name in self._fit:
            return None
        try:
            async with asyncio.timeout(self._timeout_s):
                note = await target.seen(self._journal.identity.stream)
        except TimeoutError:
            return no_answer(self._timeout_s)
        except AnchorFailed as error:
            return error
        if note is not None:
            await self._judge(target, note)
        self._fit.add(target.name)
        return None

    def unsure(self, target: AnchorTarget) -> None:
        """Compare this place again before the next writing: this one has failed."""
        self._fit.discard(target.name)

    async def doubt(self, target: AnchorTarget, doubt: AnchorDoubt, *, size: int) -> None:
        """Put on record, once a start, that a place says that it has seen another history than ours.

        Nobody has signed that: the stream goes on. `size` is that of the checkpoint that it refused.
        """
        if target.name in self._doubted or await self._is_behind(doubt, size):
            return
        self._doubted.add(target.name)
        await self._continuity.doubt(target.name, doubt.size, doubt.what, own_size=size)
        log.error(
            "a witness says that it has seen another history of this stream",
            place=target.name,
            why=doubt.what,
            hint="compare `linewitness store status` at the store with this journal: if the store holds "
            "another history too, write the next generation into line.origin and run `linewitness init "
            "--continue --reason ...`; otherwise ask who runs the witness",
        )

    async def _judge(self, target: AnchorTarget, note: str) -> None:
        try:
            checkpoint, _ = open_checkpoint(note, self._journal.log_vkey)
        except BadNote as error:
            # Whoever may write to the place could stop the line otherwise.
            self._warn(target, error.what)
            return
        try:
            await self._continuity.compare(note, checkpoint.size, checkpoint.root, place=target.name)
        except HistoryContradiction as contradiction:
            await self._continuity.contradict(contradiction)
            self._continuity.report()

    def _warn(self, target: AnchorTarget, why: str) -> None:
        if target.name in self._warned:
            return
        self._warned.add(target.name)
        log.warning(
            "what an anchor's place holds is no checkpoint of this stream",
            place=target.name,
            why=why,
            hint="see who else writes there, and whether this stream was created anew under an old name",
        )

    async def _is_behind(self, doubt: AnchorDoubt, size: int) -> bool:
        """Return whether the place has seen a newer checkpoint of ours than the one that it refused."""
        return size < doubt.size <= await self._journal.read(lambda reader: reader.size())


def no_answer(timeout_s: float) -> AnchorFailed:
    """Return the failure of a place that takes too long."""
    return AnchorFailed(f"no answer within {timeout_s:g} s", hint="is it reachable?")
