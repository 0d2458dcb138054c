"""Turn what happened to the ledger into observations: results, gaps, conflicts and epochs."""

from dataclasses import replace

from linewitness.base.clock import Stamp
from linewitness.base.mappings import EMPTY
from linewitness.devices.base import Gap, Notice, Observation, Result, Scalar
from linewitness.devices.open_protocol.content import operations, tightening
from linewitness.devices.open_protocol.content.facts import SessionFacts
from linewitness.devices.open_protocol.content.limits import KnownLimits
from linewitness.devices.open_protocol.content.pairs import Half, Pairing, SyncPairs
from linewitness.devices.open_protocol.content.tightening import TighteningContent
from linewitness.devices.open_protocol.content.times import ResolvedTime, TimeQuality
from linewitness.devices.open_protocol.ledger.events import (
    CaptureBegan,
    ConflictingResult,
    EpochBegan,
    LedgerEvent,
    MissingResults,
    NewResult,
    RepeatedResult,
)
from linewitness.devices.open_protocol.ledger.state import NO_ID, ResultRecord
from linewitness.devices.open_protocol.wire.codec import DecodedTelegram
from linewitness.devices.open_protocol.wire.variable import OperationParts


class LedgerObservations:
    """Makes the observations of one session's ledger, and knows limits and the order of times."""

    def __init__(self, limits: KnownLimits, pairs: SyncPairs) -> None:
        """Start without a result; `limits` are given to stored ones.

        `pairs` are the results of which a spindle's result (0101) may be the other half.
        """
        self._limits = limits
        self._pairs = pairs
        self._last: tuple[int, int, int] | None = None
        #: Set when a live result's time was far from its reception; the session measures the clock then.
        self.clock_jumped = False

    def of(self, event: LedgerEvent, facts: SessionFacts, now: Stamp) -> tuple[Observation, ...]:
        """Return the observations for what happened to the ledger; the last one is to be confirmed."""
        if isinstance(event, NewResult):
            return (self._result(event, facts),)
        if isinstance(event, RepeatedResult):
            record = event.record
            return (facts.seen(record.received, remember=event.changes, live=record.live),)
        if isinstance(event, ConflictingResult):
            # Crash between the two: the controller pushes it again, and only the notice is repeated.
            return _conflict(event, facts, now), self._undecided(event, facts)
        if isinstance(event, MissingResults):
            return (_gap(event, facts, now),)
        if isinstance(event, EpochBegan | CaptureBegan):
            return (_epoch(event, facts, now),)
        return (facts.remembered(now, event.changes),)

    def _result(self, event: NewResult | ConflictingResult, facts: SessionFacts) -> Result:
        content = event.record.content
        if isinstance(content, OperationParts):
            return _operation(event, content, facts)
        return self._tightening(event, content, facts)

    def _undecided(self, event: ConflictingResult, facts: SessionFacts) -> Result:
        """Return a result that may be another one or a repeat: whole, and it decides nothing."""
        result = self._result(event, facts)
        facts_too = (*result.facts, ("conflict", event.reason))
        return replace(result, facts=facts_too, counts=False, reason=event.reason)

    def _tightening(
        self, event: NewResult | ConflictingResult, decoded: DecodedTelegram, facts: SessionFacts
    ) -> Result:
        record, ledger, received = event.record, event.ledger, event.record.received
        limits, limits_from = None, None
        if record.live:
            self._limits.learn_from_result(decoded)
        else:
            limits, limits_from = self._limits.of_stored(decoded)
        found = tightening.read(decoded, facts.torque_unit, limits)
        moment = self._moment(found.time, record, ledger.epoch, facts)
        name = event.name or str(record.entry.id)
        pairing = self._pairing(event, decoded, name, found)
        return replace(
            facts.tightening(received, ledger, name, moment.when),
            remember={**event.changes, **pairing.remember},
            confirmable=record.live,
            backfilled=not record.live,
            identifier=found.identifier,
            ok=found.ok,
            measured=found.measured,
            facts=(
                *found.facts,
                ("epoch", ledger.epoch),
                ("revision", decoded.revision),
                ("time_quality", moment.quality.value),
                *((("limits_from", limits_from),) if limits_from is not None else ()),
                *((("torque_unit_from", "configuration"),) if found.unit_configured else ()),
                *_tool_facts(facts, found.tool_serial, found.time),
                *(("contradiction", each) for each in found.contradictions),
                *([("same_as", pairing.same_as)] if pairing.same_as is not None else []),
            ),
            counts=found.counts and pairing.same_as is None,
            decoded=tightening.is_readable(decoded),
            reason=decoded.problem or _reason(record, "tightening"),
        )

    def _pairing(
        self,
        event: NewResult | ConflictingResult,
        decoded: DecodedTelegram,
        name: str,
        found: TighteningContent,
    ) -> Pairing:
        """Return under which name this tightening counts already, if it does."""
        if isinstance(event, ConflictingResult) or event.same_as:
            return Pairing(_same_as(event), EMPTY)
        if not found.counts:
            return Pairing(None, EMPTY)
        half = Half(
            spindle=False,
            name=name,
            sync=decoded.number("sync_tightening_id"),
            time=found.time or "",
            torque=decoded.number("torque"),
            angle=decoded.number("angle"),
            ok=found.ok,
        )
        return self._pairs.tightening(half)

    def _moment(
        self, time: str | None, record: ResultRecord, epoch: int, facts: SessionFacts
    ) -> ResolvedTime:
        number = record.entry.id
        last = self._last
        before = last[2] if last is not None and last[0] == epoch and last[1] < number else None
        moment = facts.resolve(time, record.received.stamp, live=record.live, not_before_ns=before)
        self.clock_jumped = self.clock_jumped or moment.quality is TimeQuality.JUMP
        if last is None or before is not None or last[0] != epoch:
            self._last = (epoch, number, moment.when.occurred_ns)
        return moment


def _operation(
    event: NewResult | ConflictingResult, operation: OperationParts, facts: SessionFacts
) -> Result:
    record, ledger, received = event.record, event.ledger, event.record.received
    overall = operation.overall
    moment = facts.resolve(overall.time, received.stamp, live=record.live)
    return replace(
        facts.tightening(received, ledger, event.name or str(record.entry.id), moment.when),
        remember=event.changes,
        confirmable=record.live,
        backfilled=not record.live,
        identifier=operation.text(operations.IDENTIFIER),
        ok=overall.ok,
        measured=tuple(operations.measured(operation)),
        facts=(
            *operations.facts(operation),
            ("epoch", ledger.epoch),
            ("time_of", "start of the cycle"),
            ("time_quality", moment.quality.value),
            *_tool_facts(facts, operation.text(operations.TOOL_SERIAL), overall.time),
            *([("same_as", _same_as(event))] if _same_as(event) is not None else []),
        ),
        counts=operations.counts(operation) and _same_as(event) is None,
        reason=_reason(record, "operation"),
    )


def _same_as(event: NewResult | ConflictingResult) -> str | None:
    """Return under which name the result was captured before, when it had no id: it counts once."""
    return event.same_as or None if isinstance(event, NewResult) else None


def _reason(record: ResultRecord, what: str) -> str:
    if not record.live:
        return "fetched from the controller's memory"
    if record.entry.id == NO_ID:
        return f"{what} without an id" if record.id_is_blank else f"{what} with id 0, which is none"
    return what


def _tool_facts(facts: SessionFacts, serial: str | None, time: str | None) -> list[tuple[str, Scalar]]:
    """Return what the tool data of this session add to a result that names this tool, or none."""
    found: list[tuple[str, Scalar]] = []
    tool, connected = facts.tool, facts.connected_tool
    if serial is None and connected is not None:
        found += [("tool_serial", connected), ("tool_serial_from", "tool data (0041) of this session")]
    if tool is not None and connected is not None and serial in (None, connected):
        calibrated = tool.text("last_calibration_date")
        # A calibration after the tightening says nothing about it: the one before is not known.
        if calibrated is not None and (time is None or calibrated <= time):
            found.append(("tool_last_calibration", calibrated))
    if facts.expected_tool is not None and (serial or connected) != facts.expected_tool:
        found.append(("tool_unexpected", True))
    return found


def _conflict(event: ConflictingResult, facts: SessionFacts, now: Stamp) -> Notice:
    entry = event.record.entry
    known = event.ledger.known.get(entry.id)
    return facts.notice(
        "source.conflict",
        ("source", f"{event.ledger.source}/{event.ledger.epoch}/{entry.id}"),
        event.reason,
        at=now,
        changes=(
            ("content", str(known) if known is not None else None, str(entry.core)),
            ("recorded_as", None, event.name),
        ),
    )


def _gap(event: MissingResults, facts: SessionFacts, now: Stamp) -> Gap:
    last = event.last
    return facts.gap(
        event.ledger,
        now,
        first=str(event.first),
        last=None if last is None else str(last),
        count=last - event.first + 1 if last is not None and event.countable else None,
        reason=f"epoch {event.ledger.epoch}: {event.reason}",
        remember=event.changes,
    )


def _epoch(event: EpochBegan | CaptureBegan, facts: SessionFacts, now: Stamp) -> Notice:
    ledger = event.ledger
    began = isinstance(event, EpochBegan)
    return facts.notice(
        "source.epoch",
        ("source", ledger.source),
        event.reason,
        at=now,
        changes=(
            ("epoch", ledger.epoch - 1 if began else None, ledger.epoch),
            ("after_id", None, ledger.watermark),
        ),
        remember=event.changes,
    )
