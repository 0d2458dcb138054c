"""Judge the answers of the audit store: receipts, or a contradiction (operator action required)."""

import asyncio
from dataclasses import dataclass
from typing import Final

from linewitness.base.clock import Clock, to_rfc3339
from linewitness.base.errors import ExitCode, LinewitnessError
from linewitness.evidence.format import record
from linewitness.evidence.format.checkpoint import open_checkpoint
from linewitness.evidence.format.gateway_event import gateway_event
from linewitness.evidence.format.note import BadNote, Vkey
from linewitness.evidence.format.record import Actor, Change, Event, Resource
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.journal.attestations import StoredReceipt
from linewitness.journal.generations.generation import CONFLICT, Conflict
from linewitness.journal.journal import Journal
from linewitness.journal.submission import Submission

#: The first word of the store's answer where it contradicts the gateway (docs/format.md, section 10).
CONFLICT_WORD: Final = "conflict"
CONTINUE: Final = (
    "find out which it is; capture goes on into the frozen stream meanwhile. Then write the next generation "
    "into line.origin, run `linewitness init --continue`, and hand the ended stream over to the store"
)
MAX_ANSWER: Final = 65_536


class StoreContradiction(LinewitnessError):
    """The store holds another history of this stream than the journal: nothing more is sent or deleted.

    `answer` is the proof, signed by log key and store; without one the contradiction is only reported.
    """

    exit_code = ExitCode.JOURNAL

    def __init__(self, what: str, *, hint: str, answer: "StoreAnswer | None" = None) -> None:
        """Keep the proof with the message."""
        super().__init__(what, hint=hint)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """An answer of the store: the size that it holds, its root, when it was signed, the note's exact text."""

    size: int
    root: bytes
    time_s: int
    note: str
    conflict: str | None


class ReceiptJudge:
    """Verify receipts against the journal's own tree, and put them on record."""

    def __init__(self, journal: Journal, signer: CheckpointSigner, *, store_vkey: Vkey, clock: Clock) -> None:
        """Take the journal, and the public key of the one store whose receipts count."""
        self._journal = journal
        self._signer = signer
        self._store_vkey = store_vkey
        self._clock = clock
        self._verified = False
        self._grown = asyncio.Condition()
        self.receipted = 0
        #: Records that the store's last answer covers: fewer than its receipts where it was restored.
        self.held = 0
        #: What the store contradicts this stream with, from this run or an earlier one.
        self.contradiction: StoreContradiction | None = None

    @property
    def verified(self) -> bool:
        """Return whether an answer of the store was compared with this journal since the start."""
        return self._verified

    async def reached(self, size: int) -> None:
        """Wait until a receipt covers `size` records."""
        async with self._grown:
            await self._grown.wait_for(lambda: self.receipted >= size)

    async def recall(self) -> None:
        """Begin where the newest receipt in the journal ends; a frozen stream stays contradicted."""
        newest = await self._journal.read(lambda reader: reader.newest_receipt())
        self.receipted = self.held = newest[0] if newest else 0
        if self._journal.frozen:
            known = await self._journal.read(Conflict.of)
            what = known.what if known else "the stream is frozen"
            self.contradiction = StoreContradiction(what, hint=CONTINUE)

    async def judge(self, payload: bytes) -> int:
        """Take the store's answer and return the size that its receipts cover.

        An empty answer means that the store found a hole and has no receipt to name: it begins anew.
        Raises BadNote for an answer that is not the store's own, and StoreContradiction where the store's
        history is not ours.
        """
        if not payload:
            self.held = 0
            return self.receipted
        try:
            answer = self.read(payload)
            await self._compare(answer)
        except StoreContradiction as contradiction:
            news = self.contradiction is None or contradiction.answer is not None
            if news and not self._journal.frozen:
                await self._put_on_record(contradiction)
            self.contradiction = contradiction
            raise
        if self.contradiction is None:
            self.held = answer.size
            await self._take_receipt(answer)
        return self.receipted

    async def _compare(self, answer: StoreAnswer) -> None:
        size = self._journal.head.size
        if answer.size > size:
            raise StoreContradiction(
                f"the store holds {answer.size} records of this stream, the journal only {size}: this "
                "journal was restored from an older copy, or another gateway writes this stream too",
                hint=CONTINUE,
                answer=answer,
            )
        if answer.size and await self._signer.root(answer.size) != answer.root:
            raise StoreContradiction(
                f"the store holds other records than the journal among the first {answer.size}: this journal "
                "was restored from an older copy and went on, or another gateway writes this stream too, or "
                "the journal was rewritten",
                hint=CONTINUE,
                answer=answer,
            )
        if answer.conflict is not None:
            raise _reported(answer.conflict)

    async def _put_on_record(self, contradiction: StoreContradiction) -> None:
        """Freeze the stream where the contradiction is proven; what was only reported is noted."""
        now, answer = self._clock.stamp().realtime_ns, contradiction.answer
        size = self._journal.head.size
        conflict = Conflict(
            at=to_rfc3339(now),
            what=contradiction.what,
            hint=contradiction.hint,
            proven=answer is not None,
            own_size=size,
            store_size=answer.size if answer else None,
            store_root="sha256:" + answer.root.hex() if answer else None,
            note=answer.note if answer else None,
        )
        events: tuple[Event, ...] = ()
        if answer is not None:
            changes = (
                Change("continuity", "verified" if self._verified else "unverified", "contradicted"),
                Change("size", None, size),
                Change("store_size", None, conflict.store_size),
                Change("store_root", None, conflict.store_root),
            )
            events = (self._event("stream.continuity", now, changes, contradiction.what),)
        await self._journal.submit_all(
            Submission(events=events, state={CONFLICT: conflict.to_json()}, freeze=answer is not None)
        )

    def read(self, payload: bytes) -> StoreAnswer:
        """Return a verified answer; BadNote if it is not signed by log key and store."""
        if len(payload) > MAX_ANSWER:
            raise BadNote(f"an answer of {len(payload)} bytes is no receipt")
        try:
            text = payload.decode("utf-8")
        except UnicodeDecodeError:
            raise BadNote("an answer that is not UTF-8 is no receipt") from None
        conflict = None
        if text.startswith(CONFLICT_WORD):
            first, _, text = text.partition("\n\n")
            conflict = first.removeprefix(CONFLICT_WORD).strip() or "no reason given"
            if not text:
                raise _reported(conflict)
        checkpoint, note = open_checkpoint(text, self._journal.log_vkey)
        time_s = note.signed_by(self._store_vkey)
        if time_s is None:
            raise BadNote(f"an answer without the signature of {self._store_vkey.name} is no receipt")
        return StoreAnswer(checkpoint.size, checkpoint.root, time_s, text, conflict)

    async def _take_receipt(self, answer: StoreAnswer) -> None:
        now = self._clock.stamp().realtime_ns
        events = []
        first = not self._verified
        if first:
            self._verified = True
            events.append(self._continuity(answer, now))
        receipt = None
        if answer.size > self.receipted:
            self.receipted = answer.size
            events.append(self._received(answer, now))
            receipt = StoredReceipt(answer.size, answer.note, to_rfc3339(now))
        if events:
            # A conflict that was reported to an earlier run, without proof, is not the state of things now.
            state = {CONFLICT: None} if first else {}
            await self._journal.submit_all(Submission(events=tuple(events), receipt=receipt, state=state))
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
            ),
            "the store's newest receipt fits this journal",
        )

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

    def _event(self, kind: str, now: int, changes: tuple[Change, ...], reason: str) -> Event:
        return gateway_event(
            kind,
            now,
            actor=Actor("service", self._store_vkey.name),
            resource=Resource("stream", self._journal.identity.stream),
            changes=changes,
            reason=reason,
        )


def _reported(conflict: str) -> StoreContradiction:
    return StoreContradiction(
        f"the store reports a conflict: {conflict}",
        hint="somebody else wrote to this stream, or this journal was rolled back: "
        "see `linewitness store conflicts`",
    )
