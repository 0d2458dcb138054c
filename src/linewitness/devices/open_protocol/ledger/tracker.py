"""Track the results of one session: what each does to the ledger, and what came of it, in order."""

from collections.abc import Mapping
from typing import Final

from linewitness.base.mappings import EMPTY
from linewitness.devices.open_protocol.ledger import rules
from linewitness.devices.open_protocol.ledger.contents import CapturedContent, ContentNames
from linewitness.devices.open_protocol.ledger.events import (
    CaptureBegan,
    ConflictingResult,
    EpochBegan,
    LedgerChanged,
    LedgerEvent,
    MissingResults,
    NewResult,
    RepeatedResult,
)
from linewitness.devices.open_protocol.ledger.restarts import passes_zero, wrapped
from linewitness.devices.open_protocol.ledger.rules import LedgerStep, ResultComparison
from linewitness.devices.open_protocol.ledger.state import (
    NO_ID,
    HistoryMode,
    MissingRange,
    ResultCore,
    ResultEntry,
    ResultLedger,
    ResultRecord,
)
from linewitness.devices.open_protocol.ledger.storage import Changes

#: Names of results without an id begin with what their telegrams said.
BLANK, ZERO = "blank", "0"
WITHOUT_ID: Final = frozenset({BLANK, ZERO})


class ResultTracker:
    """The ledger of a session, and what happened to it since somebody asked.

    Who calls it takes the `events` before it waits for anything, so that what is remembered is committed in
    the order in which it came to be.
    """

    def __init__(
        self, *, ledger: ResultLedger, station: int | None, remembered: Mapping[str, str] = EMPTY
    ) -> None:
        """Start from what was committed; `station` is our own where ids are shared with others."""
        self.ledger = ledger
        self._contents = ContentNames(remembered)
        self._zero_after = NO_ID
        self._ran_back = False
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
        ids did not begin anew. `certain` also takes in what came late under an id that had no result.
        """
        if record.entry.id == NO_ID:
            return self._take_by_content(record)
        verdict = rules.judge(self.ledger, record.entry, live=record.live)
        backwards = record.live and record.entry.id < self.ledger.highest
        if verdict is ResultComparison.NEW and backwards and not certain:
            return ResultComparison.SUSPECT
        if verdict is ResultComparison.DUPLICATE and self._may_be_anew(record):
            self._ran_back = True
            self.clash(record, "an older id came again with equal values: a repeat, or the ids began anew")
        elif verdict is ResultComparison.DUPLICATE or (verdict is ResultComparison.PAST and record.live):
            self._events.append(RepeatedResult(ledger=self.ledger, record=record))
        elif verdict is ResultComparison.PAST:
            self._adopt(record)
        elif verdict is ResultComparison.NEW:
            self._accept(record)
        return verdict

    def take_late(self, record: ResultRecord) -> None:
        """Take in what came under an id below the watermark that never had a result."""
        self._put_new(record)

    def clash(self, record: ResultRecord, reason: str) -> None:
        """Note that nobody can tell whether this is another result than the known one."""
        content = CapturedContent.of_conflict(record)
        if self._contents.name(content) is not None and record.entry.core.time:
            self._events.append(RepeatedResult(ledger=self.ledger, record=record))
            return
        name, changes = self._contents.add(content)
        self._events.append(
            ConflictingResult(ledger=self.ledger, changes=changes, record=record, name=name, reason=reason)
        )

    def note_content(self, record: ResultRecord) -> None:
        """Note a result without an id that was there before capture began."""
        _, changes = self._contents.add(_content_of(record))
        self._events.append(LedgerChanged(ledger=self.ledger, changes=changes))

    def enrol(self, start_after: int | None, newest: ResultRecord | None, reason: str) -> None:
        """Begin capture."""
        step = rules.enrol(self.ledger, start_after, newest.entry if newest is not None else None)
        self.ledger = step.ledger
        self._events.append(CaptureBegan(ledger=self.ledger, changes=step.changes, reason=reason))

    def settle_start(self, lowest: int) -> None:
        """End an open start at the oldest id that the controller had."""
        self._note(rules.settle_start(self.ledger, lowest), "")

    def begin_epoch(self, reason: str, following: int = NO_ID) -> None:
        """Close the epoch, name what it may have lost, and begin the next one.

        Nothing was lost where the id `following` is the one that follows the highest id of its width.
        """
        before = self.ledger
        step = rules.new_epoch(before)
        for span in step.gaps:
            self._gap(before, span, f"not found in epoch {before.epoch} before the ids began anew")
        if not self._continues(following):
            self._events.append(
                MissingResults(
                    ledger=before,
                    first=before.highest + 1,
                    last=None,
                    countable=False,
                    reason=f"epoch {before.epoch} ended: what followed this id in it is not known",
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

    def _continues(self, following: int) -> bool:
        """Whether this id follows the highest one without a result between them."""
        highest = self.ledger.highest
        return wrapped(highest, following) and (not passes_zero(highest) or self._zero_after == highest)

    def _take_by_content(self, record: ResultRecord) -> ResultComparison:
        """Take in a result that has no id: its content tells whether it is known."""
        content, core = _content_of(record), record.entry.core
        name = self._contents.name(content) if record.live else self._contents.same_work(core, WITHOUT_ID)
        if name is not None and record.live and not core.time and not record.place:
            self.clash(
                record, "a result without id, time and place in a batch came again: a repeat, or another one"
            )
            return ResultComparison.DUPLICATE
        if record.live and not core.time and not self._contents.is_newest(content):
            name = None  # what was confirmed before another result is not sent again: the batch began anew
        if name is not None or self._is_known_with_id(core):
            self._events.append(RepeatedResult(ledger=self.ledger, record=record))
            return ResultComparison.DUPLICATE
        name, changes = self._contents.add(content)
        self._events.append(NewResult(ledger=self.ledger, changes=changes, record=record, name=name))
        if record.live and self.ledger.mode is not HistoryMode.NONE:
            self.behind = True
        self._zero_after = self.ledger.highest
        return ResultComparison.NEW

    def _may_be_anew(self, record: ResultRecord) -> bool:
        """Whether neither time nor unit tells this from a known result, and it is not the newest one.

        After such a one the newest id is in doubt too.
        """
        entry, known = record.entry, self.ledger.known[record.entry.id]
        told = (entry.core.time and known.time) or (entry.core.unit and known.unit)
        return record.live and not told and (self._ran_back or entry.id < self.ledger.highest)

    def _is_known_with_id(self, core: ResultCore) -> bool:
        past = (each for kept in self.ledger.past.values() for _, each in kept)
        return any(each.is_same_work(core) for each in (*self.ledger.known.values(), *past))

    def _adopt(self, record: ResultRecord) -> None:
        """Note that the controller's memory still has a result of an earlier epoch under this id."""
        step = rules.accept(self.ledger, record.entry)
        self.ledger = step.ledger
        self._events.append(RepeatedResult(ledger=self.ledger, changes=step.changes, record=record))

    def _accept(self, record: ResultRecord) -> None:
        number = record.entry.id
        ledger = self.ledger
        self._ran_back = False
        if ledger.mode is HistoryMode.NONE:
            self._note(rules.skip_to(ledger, number), "this controller has no memory that could be asked")
        elif record.live and (ledger.mode is HistoryMode.AT_OR_BEFORE or number > ledger.highest + 1):
            self.behind = True
        self._put_new(record)

    def _put_new(self, record: ResultRecord) -> None:
        step = rules.accept(self.ledger, record.entry)
        self.ledger = step.ledger
        core = record.entry.core
        comparable = not core.blank and (bool(core.time) or not record.live)
        same_as = self._contents.same_work(core, WITHOUT_ID) or "" if comparable else ""
        self._events.append(
            NewResult(ledger=self.ledger, changes=step.changes, record=record, same_as=same_as)
        )

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


def _content_of(record: ResultRecord) -> CapturedContent:
    return CapturedContent.of(BLANK if record.id_is_blank else ZERO, record)
