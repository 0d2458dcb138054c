"""Judge the answers of the audit store: receipts, or a proven contradiction (operator action required)."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from linewitness.base.clock import Clock, monotonic, to_rfc3339
from linewitness.evidence.format import record
from linewitness.evidence.format.accusation import is_accusation, open_accusation
from linewitness.evidence.format.gateway_event import gateway_event
from linewitness.evidence.format.note import BadNote, Vkey
from linewitness.evidence.format.record import Actor, Change, Event, Resource
from linewitness.gateway.answers.accusations import weigh
from linewitness.gateway.answers.receipt_pace import ReceiptPace
from linewitness.gateway.answers.statements import OpenAccusation, StoreAnswer, read_receipt, text_of
from linewitness.gateway.continuity import CONTINUE, Continuity, ContradictionProof, HistoryContradiction
from linewitness.journal.attestations import StoredReceipt
from linewitness.journal.generations.generation import CONFLICT
from linewitness.journal.journal import Journal
from linewitness.journal.submission import Submission
from linewitness.tpm.starts import MISSING

#: An answer that covers less than the one before is taken at most this often: the empty message is not
#: signed, and an old receipt can be sent again by anybody who may publish it.
LESS_AGAIN_S: Final = 5.0


class ReceiptJudge:
    """Verify the store's answers against the journal's own tree, and put them on record."""

    def __init__(
        self,
        journal: Journal,
        continuity: Continuity,
        *,
        store_vkey: Vkey,
        clock: Clock,
        other_starts: Callable[[], int | None] = lambda: None,
    ) -> None:
        """Take the journal, and the public key of the one store whose answers count.

        `other_starts` says how many starts a TPM has counted that are not on record, None where none counts.
        """
        self._other_starts = other_starts
        self._journal = journal
        #: Where a proven contradiction is put on record, of the store or of another place.
        self.continuity = continuity
        self._store_vkey = store_vkey
        self._clock = clock
        self._grown = asyncio.Condition()
        self._newest_s = 0
        self._lowered_at = float("-inf")
        self._pace = ReceiptPace()
        self.receipted = 0
        #: Records that the store's last answer covers: fewer than its receipts where it was restored.
        self.held = 0
        #: What the store accuses this stream of, until a newer receipt outweighs it.
        self.accusation: OpenAccusation | None = None

    @property
    def verified(self) -> bool:
        """Return whether an answer of the store was compared with this journal since the start."""
        return self.continuity.verified

    @property
    def contradiction(self) -> HistoryContradiction | None:
        """What proves that this stream has another history, at the store or at another place."""
        return self.continuity.contradiction

    async def reached(self, size: int) -> None:
        """Wait until a receipt covers `size` records."""
        async with self._grown:
            await self._grown.wait_for(lambda: self.receipted >= size)

    async def recall(self) -> None:
        """Begin where the newest receipt in the journal ends; a frozen stream stays contradicted."""
        newest = await self._journal.read(lambda reader: reader.newest_receipt())
        if newest is not None:
            self.receipted = self.held = newest[0]
            with contextlib.suppress(BadNote):  # by another store's key, before the YAML named this one
                self._newest_s = self.read(newest[1].encode()).time_s
        await self.continuity.recall()

    async def judge(self, payload: bytes) -> int:
        """Take the store's answer and return the size that its receipts cover.

        An empty answer means that the store found a hole and has no receipt to name: it begins anew.
        Raises BadNote for an answer that is not the store's own, or outdated: it changes nothing. Raises
        HistoryContradiction where it is proven that the store's history is not ours. A signed conflict
        that proves nothing is kept in `accusation`.
        """
        if not payload:
            self._holds(0)
            return self.receipted
        try:
            if is_accusation(payload):
                await self._hear_accusation(text_of(payload))
            else:
                await self._hear_receipt(self.read(payload))
        except HistoryContradiction as contradiction:
            await self.continuity.contradict(contradiction, actor=self._store)
            raise
        return self.receipted

    def read(self, payload: bytes) -> StoreAnswer:
        """Return a verified receipt; BadNote if it is not signed by log key and store."""
        return read_receipt(payload, log_vkey=self._journal.log_vkey, store_vkey=self._store_vkey)

    async def _hear_receipt(self, answer: StoreAnswer) -> None:
        await self.continuity.compare(answer.note, answer.size, answer.root)
        if self.contradiction is None:
            self._holds(answer.size)
            await self._take_receipt(answer)

    async def _hear_accusation(self, text: str) -> None:
        """Judge the receipt in a signed conflict like any other, then what the conflict shows."""
        accusation, time_s = open_accusation(text, self._store_vkey)
        if accusation.origin != self._journal.identity.stream:
            raise BadNote(f"a conflict about {accusation.origin} is none about this stream")
        if accusation.receipt:
            await self._hear_receipt(self.read(accusation.receipt.encode()))
        if self.contradiction is not None:
            return
        weighed = await self._journal.read(lambda reader: weigh(accusation, reader, receipted=self.receipted))
        if weighed.proven:
            held = record.sha256(accusation.held)
            proof = ContradictionProof(note=text, at=accusation.at, held=held)
            raise HistoryContradiction(weighed.what, hint=CONTINUE, proof=proof)
        if time_s < self._newest_s:
            raise BadNote("a conflict that is older than the store's newest receipt is outdated")
        if self.contradiction is not None:  # another place was heard meanwhile
            return
        if self.accusation is None:
            accused = ContradictionProof(note=text)
            conflict = self.continuity.conflict(weighed.what, weighed.hint, accused, proven=False)
            await self._journal.submit_all(Submission(state={CONFLICT: conflict.to_json()}))
        self.accusation = OpenAccusation(weighed.what, weighed.hint, time_s)

    def _holds(self, size: int) -> None:
        """Take how much the store says to hold, and less than before only now and then."""
        if size < self.held:
            if monotonic() - self._lowered_at < LESS_AGAIN_S:
                return
            self._lowered_at = monotonic()
        self.held = size

    async def _take_receipt(self, answer: StoreAnswer) -> None:
        now = self._clock.stamp().realtime_ns
        events = []
        state: dict[str, str | None] = {}
        first = not self.continuity.verified
        self._newest_s = max(self._newest_s, answer.time_s)
        if self.accusation is not None and answer.time_s > self.accusation.time_s:
            self.accusation = None
            state[CONFLICT] = None
        if first:
            self.continuity.verified = True
            events.append(self._continuity(answer, now))
            state[MISSING] = None
        receipt, replaced = None, None
        if answer.size > self.receipted:
            self.receipted = answer.size
            if told := self._pace.tells(answer.size):
                events.append(self._received(answer, now))
            receipt = StoredReceipt(answer.size, answer.note, to_rfc3339(now))
            replaced = self._pace.replaces(answer.size, told=told)
        if first:
            # A conflict that was reported to an earlier run, without proof, is not the state of things now.
            state[CONFLICT] = None
        if events or state or receipt:
            await self._journal.submit_all(
                Submission(events=tuple(events), receipt=receipt, replaced_receipt=replaced, state=state)
            )
        async with self._grown:
            self._grown.notify_all()

    def _continuity(self, answer: StoreAnswer, now: int) -> Event:
        return self._event(
            "stream.continuity",
            now,
            (
                Change("continuity", "unverified", "verified"),
                Change("size", None, answer.size),
                Change("root", None, "sha256:" + answer.root.hex()),
                Change("starts_not_on_record", None, self._other_starts()),
            ),
            f"the store's newest receipt fits this journal; {self._not_excluded}",
        )

    @property
    def _not_excluded(self) -> str:
        """Say what the store cannot know: what was recorded, and restored away, before it heard of it."""
        others = self._other_starts()
        if others is None:
            return "that it was restored from a copy after the last record before this start is not excluded"
        if others:
            starts = f"{others} start{'s' if others > 1 else ''}"
            return (
                f"the TPM counted {starts} before this one of which nothing is on record: it was restored"
                " from a copy, or a start ended before its record was durable"
            )
        return "the TPM counted no other start before this one"

    def _received(self, answer: StoreAnswer, now: int) -> Event:
        return self._event(
            "custody.received",
            now,
            (
                Change("size", None, answer.size),
                Change("root", None, "sha256:" + answer.root.hex()),
                Change("receipt", None, record.sha256(answer.note.encode())),
                Change("cosigned_at", None, to_rfc3339(answer.time_s * 1_000_000_000)),
            ),
            "the audit store holds all records up to this size",
        )

    @property
    def _store(self) -> Actor:
        return Actor("service", self._store_vkey.name)

    def _event(self, kind: str, now: int, changes: tuple[Change, ...], reason: str) -> Event:
        return gateway_event(
            kind,
            now,
            actor=self._store,
            resource=Resource("stream", self._journal.identity.stream),
            changes=changes,
            reason=reason,
        )
