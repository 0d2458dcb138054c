"""Track the results of one session: what each does to the ledger, and what came of it, in order."""

from dataclasses import dataclass, field

from linewitness.base.mappings import EMPTY
from linewitness.devices.open_protocol.ledger import rules
from linewitness.devices.open_protocol.ledger.rules import LedgerStep, ResultComparison
from linewitness.devices.open_protocol.ledger.state import (
    HistoryMode,
    MissingRange,
    ResultEntry,
    ResultLedger,
    ResultRecord,
)
from linewitness.devices.open_protocol.ledger.storage import Changes


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEvent:
    """What happened to the ledger: its state after that, and what must be remembered together with it."""

    ledger: ResultLedger
    changes: Changes = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewResult(LedgerEvent):
    """A result that was not known."""

    record: ResultRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedResult(LedgerEvent):
    """A result that is known already, with the same content."""

    record: ResultRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictingResult(LedgerEvent):
    """A result whose id is taken by another one; nothing is overwritten."""

    record: ResultRecord
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingResults(LedgerEvent):
    """Ids that the controller does not have any more; `last` None where the end is not known."""

    first: int
    last: int | None
    countable: bool = True
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochBegan(LedgerEvent):
    """The ids count anew."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureBegan(LedgerEvent):
    """Capture starts here."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerChanged(LedgerEvent):
    """Nothing that makes an event: only the ledger's own state."""


class ResultTracker:
    """The ledger of a session, and what happened to it since somebody asked.

    Who calls it takes the `events` before it waits for anything, so that what is remembered is committed in
    the order in which it came to be.
    """

    def __init__(self, *, ledger: ResultLedger, station: int | None) -> None:
        """Start from what was committed; `station` is our own where ids are shared with others."""
        self.ledger = ledger
        self.station = station
        self.behind = False
        self._events: list[LedgerEvent] = []

    def events(self) -> list[LedgerEvent]:
        """Return what happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    def owns(self, record: ResultRecord) -> bool:
        """Whether this result is of our own station."""
        return record.station is None or self.station is None or record.station == self.station

    def take(self, record: ResultRecord, *, certain: bool = False) -> ResultComparison:
        """Take one result in, unless it contradicts what is known; that is for the caller to resolve.

        A live result with an id below the highest one is suspect too, until it is `certain` that the
        ids did not begin anew.
        """
        verdict = rules.judge(self.ledger, record.entry)
        backwards = record.live and record.entry.id < self.ledger.highest
        if verdict is ResultComparison.NEW and backwards and not certain:
            return ResultComparison.SUSPECT
        if verdict is ResultComparison.DUPLICATE:
            self._events.append(RepeatedResult(ledger=self.ledger, record=record))
        if verdict is ResultComparison.NEW:
            self._accept(record)
        return verdict

    def clash(self, record: ResultRecord, reason: str) -> None:
        """Note that this id is taken by another result."""
        self._events.append(ConflictingResult(ledger=self.ledger, record=record, reason=reason))

    def enrol(self, start_after: int | None, newest: ResultRecord | None, reason: str) -> None:
        """Begin capture."""
        step = rules.enrol(self.ledger, start_after, newest.entry if newest is not None else None)
        self.ledger = step.ledger
        self._events.append(CaptureBegan(ledger=self.ledger, changes=step.changes, reason=reason))

    def settle_start(self, lowest: int) -> None:
        """End an open start at the oldest id that the controller had."""
        self._note(rules.settle_start(self.ledger, lowest), "")

    def begin_epoch(self, reason: str) -> None:
        """Close the epoch, name what it may have lost, and begin the next one."""
        before = self.ledger
        step = rules.new_epoch(before)
        for span in step.gaps:
            self._gap(before, span, f"not found in epoch {before.epoch} before the ids began anew")
        self._events.append(
            MissingResults(
                ledger=before,
                first=before.highest + 1,
                last=None,
                countable=False,
                reason=f"epoch {before.epoch} ended: what the tool did after this id and before is not known",
            )
        )
        self.ledger = step.ledger
        self.behind = True
        self._events.append(EpochBegan(ledger=self.ledger, changes=step.changes, reason=reason))

    def doubt(self, reason: str) -> None:
        """Note once that what followed the newest known result may be lost, nobody knows how much."""
        if self.ledger.doubted:
            return
        step = rules.doubt(self.ledger)
        self.ledger = step.ledger
        self._events.append(
            MissingResults(
                ledger=self.ledger,
                changes=step.changes,
                first=self.ledger.highest + 1,
                last=None,
                countable=False,
                reason=reason,
            )
        )

    def missed(self, ranges: list[tuple[int, int]]) -> None:
        """End a round of asking."""
        self._note(
            rules.missed(self.ledger, ranges), "asked for repeatedly, and the controller has it no more"
        )

    def give_up_round(self) -> None:
        """End a round in which nothing could be asked: what is missing below the highest known id."""
        ledger = self.ledger
        if ledger.mode is HistoryMode.EXACT and ledger.watermark is not None and not ledger.open_start:
            self.missed(rules.wanted(ledger, ledger.highest))

    def complete_up_to(self, top: ResultEntry, lost_before: int | None) -> None:
        """Move the watermark after a walk through the whole memory."""
        step = rules.complete_up_to(self.ledger, top, lost_before)
        self._note(step, "overwritten in the controller's memory; ids may be shared with other stations")

    def use(self, mode: HistoryMode) -> None:
        """Note how the controller answers requests for old results."""
        if mode is not self.ledger.mode:
            self._note(rules.with_mode(self.ledger, mode), "")

    def _accept(self, record: ResultRecord) -> None:
        number = record.entry.id
        ledger = self.ledger
        if ledger.mode is HistoryMode.NONE:
            self._note(rules.skip_to(ledger, number), "this controller has no memory that could be asked")
        elif record.live and (ledger.mode is HistoryMode.AT_OR_BEFORE or number > ledger.highest + 1):
            self.behind = True
        step = rules.accept(self.ledger, record.entry)
        self.ledger = step.ledger
        self._events.append(NewResult(ledger=self.ledger, changes=step.changes, record=record))

    def _note(self, step: LedgerStep, reason: str) -> None:
        changed = step.ledger is not self.ledger and step.ledger != self.ledger
        self.ledger = step.ledger
        for span in step.gaps[:-1]:
            self._gap(self.ledger, span, reason)
        if step.gaps:
            # Crash before the last gap is committed: the watermark has not moved, all are found again.
            self._gap(self.ledger, step.gaps[-1], reason, step.changes)
        elif changed:
            self._events.append(LedgerChanged(ledger=self.ledger, changes=step.changes))

    def _gap(self, ledger: ResultLedger, span: MissingRange, reason: str, changes: Changes = EMPTY) -> None:
        countable = ledger.mode is not HistoryMode.AT_OR_BEFORE
        self._events.append(
            MissingResults(
                ledger=ledger,
                changes=changes,
                first=span.first,
                last=span.last,
                countable=countable,
                reason=reason,
            )
        )
