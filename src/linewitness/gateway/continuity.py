"""Hold what others keep of this stream against the journal, and freeze a stream that is contradicted."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Final

import structlog

from linewitness.base.clock import Clock, monotonic, to_rfc3339
from linewitness.base.errors import ExitCode, LinewitnessError
from linewitness.evidence.format.gateway_event import GATEWAY, gateway_event
from linewitness.evidence.format.merkle import root_at
from linewitness.evidence.format.record import Actor, Change, Event, Resource
from linewitness.journal.generations.generation import CONFLICT, Conflict
from linewitness.journal.journal import Journal
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission

log = structlog.get_logger()

CONTINUE: Final = (
    "find out which it is; capture goes on into the frozen stream meanwhile. Then write the next generation "
    "into line.origin, run `linewitness init --continue`, and hand the ended stream over to the store"
)
#: What others can make us say again and again is logged once in this time.
LOG_AGAIN_S: Final = 60.0
#: Nothing is sent before the places outside were looked at, or for so long after a connection.
PLACES_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ContradictionProof:
    """What proves a contradiction: a checkpoint of another history, or a signed conflict with a record.

    `note` is the signed statement: the store's, or without one of its signatures where `place` names another
    place that keeps it. Size and root are those of the checkpoint; `at` and `held` are the position and the
    hash of the record that the store holds.
    """

    note: str
    size: int | None = None
    root: bytes | None = None
    at: int | None = None
    held: str | None = None
    place: str | None = None


class HistoryContradiction(LinewitnessError):
    """Another history of this stream is proven: nothing more is sent, anchored or deleted.

    `proof` is None where an earlier run has put the contradiction on record.
    """

    exit_code = ExitCode.JOURNAL

    def __init__(self, what: str, *, hint: str, proof: ContradictionProof | None = None) -> None:
        """Keep the proof with the message."""
        super().__init__(what, hint=hint)
        self.proof = proof


class Continuity:
    """Whether this journal goes on from what others have seen of its stream."""

    def __init__(self, journal: Journal, *, clock: Clock) -> None:
        """Take the journal; nothing is known yet."""
        self._journal = journal
        self._clock = clock
        self._freezing = asyncio.Lock()
        self._compared = asyncio.Event()
        self._compared.set()
        self._logged_at = float("-inf")
        #: Whether an answer of the store was compared with this journal since the start.
        self.verified = False
        #: What proves that this stream has another history, from this run or an earlier one.
        self.contradiction: HistoryContradiction | None = None
        self._proven = asyncio.Event()

    async def recall(self) -> None:
        """Know again what an earlier run has put on record: a frozen stream stays contradicted."""
        if self._journal.frozen:
            known = await self._journal.read(Conflict.of)
            what = known.what if known else "the stream is frozen"
            self._end(HistoryContradiction(what, hint=CONTINUE))

    async def contradicted(self) -> HistoryContradiction:
        """Wait until another history of this stream is proven, and return what proves it."""
        while self.contradiction is None:
            await self._proven.wait()
        return self.contradiction

    def hold(self) -> None:
        """Let who sends wait until `release`: places outside the gateway are being looked at."""
        self._compared.clear()

    def release(self) -> None:
        """Let the sending begin: each place was looked at, or cannot be reached."""
        self._compared.set()

    async def released(self) -> None:
        """Wait until the places were looked at: a restored journal must not add to a fork; bounded."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PLACES_S):
                await self._compared.wait()

    async def compare(self, note: str, size: int, root: bytes, *, place: str | None = None) -> None:
        """Compare a checkpoint that the store or another place keeps, `note`, with the journal.

        HistoryContradiction where it is of more records than the journal holds, or of others.
        """

        def own(reader: JournalReader) -> tuple[int, bytes | None]:
            # A reader sees a commit before the event loop hears of it, and so may whoever keeps the note.
            held = reader.size()
            return held, root_at(size, reader.tree().subtree) if 0 < size <= held else None

        if root == self._journal.recent_root(size):
            return
        own_size, own_root = await self._journal.read(own)
        proof = ContradictionProof(note=note, size=size, root=root, place=place)
        holds = "the store holds" if place is None else f"{place} holds a checkpoint of"
        if size > own_size:
            raise HistoryContradiction(
                f"{holds} {size} records of this stream, the journal only {own_size}: this journal was "
                "restored from an older copy, or another gateway writes this stream too",
                hint=CONTINUE,
                proof=proof,
            )
        if size and own_root != root:
            raise HistoryContradiction(
                f"{holds} other records than the journal among the first {size}: this journal was restored "
                "from an older copy and went on, or another gateway writes this stream too, or the journal "
                "was rewritten",
                hint=CONTINUE,
                proof=proof,
            )

    async def contradict(self, contradiction: HistoryContradiction, *, actor: Actor = GATEWAY) -> None:
        """Stop the sending, freeze the stream and put the proof on record; `actor` is who has stated it."""
        self._end(contradiction)
        # Crash here: nothing is sent meanwhile, and the next start finds the same.
        async with self._freezing:  # the store and a place may speak at once
            if contradiction.proof is not None and await self._is_new(contradiction.proof):
                await self._put_on_record(contradiction, contradiction.proof, actor)

    def report(self) -> None:
        """Log that the journal is contradicted; what is said again is logged once a minute."""
        if self.contradiction is None or monotonic() - self._logged_at < LOG_AGAIN_S:
            return
        self._logged_at = monotonic()
        log.error(
            "another history contradicts this journal: nothing is sent any more",
            why=self.contradiction.what,
            hint=self.contradiction.hint,
        )

    async def doubt(self, place: str, size: int, what: str, *, own_size: int) -> None:
        """Put on record that a place says, without a signature, that it has seen another history.

        `size` is what it has seen, `own_size` that of the checkpoint that it refused.
        """
        changes = (
            Change("continuity", self._word, "doubted"),
            Change("size", None, own_size),
            Change("place", None, place),
            Change("place_size", None, size),
        )
        await self._journal.submit([self._event(changes, what, GATEWAY)])

    def conflict(self, what: str, hint: str, proof: ContradictionProof, *, proven: bool) -> Conflict:
        """Return what is kept in the journal of a contradiction, or of an accusation without proof."""
        by_store = proof.place is None
        return Conflict(
            at=to_rfc3339(self._clock.stamp().realtime_ns),
            what=what,
            hint=hint,
            proven=proven,
            own_size=self._journal.head.size,
            store_size=proof.size if by_store else None,
            store_root=_named(proof.root) if by_store and proof.root else None,
            note=proof.note,
        )

    def _end(self, contradiction: HistoryContradiction) -> None:
        self.contradiction = contradiction
        self._proven.set()

    async def _is_new(self, proof: ContradictionProof) -> bool:
        """Return whether the journal lacks this: what froze it, or how much the store holds.

        The next generation begins with the store's head, also where another place was heard first.
        """
        if not self._journal.frozen:
            return True
        known = await self._journal.read(Conflict.of)
        by_store = proof.place is None and proof.size is not None
        return by_store and known is not None and known.store_size is None

    async def _put_on_record(
        self, contradiction: HistoryContradiction, proof: ContradictionProof, actor: Actor
    ) -> None:
        conflict = self.conflict(contradiction.what, contradiction.hint, proof, proven=True)
        before = "contradicted" if self._journal.frozen else self._word
        changes = [
            Change("continuity", before, "contradicted"),
            Change("size", None, conflict.own_size),
        ]
        whose = "store" if proof.place is None else "place"
        if proof.place is not None:
            changes.append(Change("place", None, proof.place))
        if proof.size is not None and proof.root is not None:
            changes.append(Change(f"{whose}_size", None, proof.size))
            changes.append(Change(f"{whose}_root", None, _named(proof.root)))
        if proof.at is not None:
            changes.append(Change("conflict_at", None, proof.at))
            changes.append(Change("store_record", None, proof.held))
        event = self._event(tuple(changes), contradiction.what, actor)
        await self._journal.submit_all(
            Submission(events=(event,), state={CONFLICT: conflict.to_json()}, freeze=True)
        )

    @property
    def _word(self) -> str:
        return "verified" if self.verified else "unverified"

    def _event(self, changes: tuple[Change, ...], reason: str, actor: Actor) -> Event:
        return gateway_event(
            "stream.continuity",
            self._clock.stamp().realtime_ns,
            actor=actor,
            resource=Resource("stream", self._journal.identity.stream),
            changes=changes,
            reason=reason,
        )


def _named(root: bytes) -> str:
    return "sha256:" + root.hex()
