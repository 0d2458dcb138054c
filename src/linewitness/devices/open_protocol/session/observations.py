"""Turn what the book says, and what the controller pushes, into observations with time and origin."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from linewitness.base.clock import Stamp
from linewitness.devices.base import Gap, Notice, Observation, Result, Scalar, Seen, When
from linewitness.devices.open_protocol.content import tightening
from linewitness.devices.open_protocol.content.operations import IDENTIFIER, TOOL_SERIAL, OperationResult
from linewitness.devices.open_protocol.content.telling import digest, received_of, telling_of
from linewitness.devices.open_protocol.content.tightening import TighteningLimits
from linewitness.devices.open_protocol.content.times import ClockOffset, ResolvedTime, TimeQuality, resolve
from linewitness.devices.open_protocol.ledger.state import ResultEntry, ResultLedger
from linewitness.devices.open_protocol.ledger.storage import Changes
from linewitness.devices.open_protocol.ledger.tracker import (
    CaptureBegan,
    ConflictingResult,
    EpochBegan,
    LedgerEvent,
    MissingResults,
    NewResult,
    RepeatedResult,
    ResultRecord,
)
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness.devices.open_protocol.wire.codec import DecodedTelegram
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram

NOTHING: Mapping[str, str | None] = MappingProxyType({})


class Reporter:
    """Makes the observations of one session. What it knows of clock, tool and limits is set from outside."""

    def __init__(self, *, options: OpenProtocolOptions, session_id: str) -> None:
        """Start without a measured clock, without a tool and without limits."""
        self._options = options
        self._session_id = session_id
        self.offset: ClockOffset | None = None
        self.tool: DecodedTelegram | None = None
        self.limits: dict[int, TighteningLimits] = {}
        self.jumped = False
        self._last: tuple[int, int, int] | None = None

    def say(self, saying: LedgerEvent, now: Stamp) -> Observation:
        """Return the observation for something that the book said."""
        if isinstance(saying, NewResult):
            operation = isinstance(saying.record.telegram, OperationResult)
            return self._operation(saying) if operation else self._result(saying)
        if isinstance(saying, RepeatedResult):
            return self.seen(received_of(saying.record), remember=saying.changes, live=saying.record.live)
        if isinstance(saying, ConflictingResult):
            return self._clash(saying)
        if isinstance(saying, MissingResults):
            return self._gap(saying, now)
        if isinstance(saying, EpochBegan | CaptureBegan):
            return self._epoch(saying, now)
        return self.noted(now, saying.changes)

    def seen(self, received: ReceivedTelegram, *, remember: Changes = NOTHING, live: bool = True) -> Seen:
        """Return what is to be confirmed and makes no event."""
        return Seen(
            device=self._options.id,
            session_id=self._session_id,
            received=received.stamp,
            when=_now(received.stamp),
            raw=received.raw,
            remember=remember,
            confirmable=live,
        )

    def notice(
        self,
        kind: str,
        resource: tuple[str, str],
        reason: str,
        *,
        received: ReceivedTelegram | None = None,
        now: Stamp | None = None,
        time: str | None = None,
        changes: tuple[tuple[str, Scalar, Scalar], ...] = (),
        remember: Changes = NOTHING,
    ) -> Notice:
        """Return something that becomes an event as it stands; it is confirmed where it was pushed."""
        stamp = received.stamp if received is not None else now
        if stamp is None:
            raise ValueError("a notice needs the moment of its reception")
        when = self.resolve(time, stamp, live=True).when if time else _now(stamp)
        return Notice(
            device=self._options.id,
            session_id=self._session_id,
            received=stamp,
            when=when,
            raw=received.raw if received is not None else None,
            remember=remember,
            confirmable=received is not None,
            kind=kind,
            resource_type=resource[0],
            resource_id=resource[1],
            changes=changes,
            reason=reason,
        )

    def resolve(
        self, text: str | None, stamp: Stamp, *, live: bool, not_before_ns: int | None = None
    ) -> ResolvedTime:
        """Return when something happened that carries this time of the controller."""
        return resolve(
            text,
            received=stamp,
            live=live,
            zone=self._options.zone,
            offset=self.offset,
            not_before_ns=not_before_ns,
        )

    def undecodable(
        self,
        received: ReceivedTelegram,
        ledger: ResultLedger,
        problem: str,
        *,
        live: bool,
        remember: Changes = NOTHING,
    ) -> Result:
        """Return a result of which only the bytes are known; it is named by their hash."""
        return Result(
            device=self._options.id,
            session_id=self._session_id,
            received=received.stamp,
            when=_now(received.stamp),
            raw=received.raw,
            remember=remember,
            confirmable=live,
            backfilled=not live,
            kind="tightening.result",
            source=ledger.source,
            epoch=ledger.epoch,
            result_id=f"raw-{digest(received.raw)}",
            counts=False,
            decoded=False,
            reason=f"not decodable: {problem}",
        )

    def _result(self, saying: NewResult) -> Result:
        telling, record, ledger = telling_of(saying.record), saying.record, saying.ledger
        decoded = telling.decoded
        if record.live and (found := tightening.limits_of(decoded)) is not None:
            self.limits[found.pset] = found
        moment = self._moment(decoded, record, ledger.epoch, telling.received.stamp)
        limits, limits_from = (None, None) if record.live else self._limits(decoded)
        return Result(
            device=self._options.id,
            session_id=self._session_id,
            received=telling.received.stamp,
            when=moment.when,
            raw=telling.received.raw,
            remember=saying.changes,
            confirmable=record.live,
            backfilled=not record.live,
            kind="tightening.result",
            source=ledger.source,
            epoch=ledger.epoch,
            result_id=str(record.entry.id),
            identifier=decoded.text("vin"),
            ok=tightening.verdict(decoded),
            measured=tightening.measured(decoded, self._options.torque_unit, limits),
            facts=(
                *tightening.facts(decoded),
                *self._own_facts(decoded, ledger, moment.quality, limits_from),
            ),
            counts=tightening.counts(decoded),
            decoded=decoded.complete,
            reason=decoded.problem
            or ("fetched from the controller's memory" if not record.live else "tightening"),
        )

    def _operation(self, saying: NewResult) -> Result:
        record, ledger, received = saying.record, saying.ledger, received_of(saying.record)
        operation = record.telegram
        if not isinstance(operation, OperationResult):
            raise TypeError("an operation result carries its parts")
        overall = operation.overall
        moment = self.resolve(overall.time, received.stamp, live=record.live)
        return Result(
            device=self._options.id,
            session_id=self._session_id,
            received=received.stamp,
            when=moment.when,
            raw=received.raw,
            remember=saying.changes,
            confirmable=record.live,
            backfilled=not record.live,
            kind="tightening.result",
            source=ledger.source,
            epoch=ledger.epoch,
            result_id=str(record.entry.id),
            identifier=operation.text(IDENTIFIER),
            ok=overall.ok,
            measured=tuple(operation.measured()),
            facts=(
                *operation.facts(),
                ("epoch", ledger.epoch),
                ("time_of", "start of the cycle"),
                ("time_quality", moment.quality.value),
                *self._tool_facts(operation.text(TOOL_SERIAL), overall.time),
            ),
            counts=operation.counts,
            reason="fetched from the controller's memory" if not record.live else "operation",
        )

    def _own_facts(
        self, decoded: DecodedTelegram, ledger: ResultLedger, quality: TimeQuality, limits_from: str | None
    ) -> Iterator[tuple[str, Scalar]]:
        yield "epoch", ledger.epoch
        yield "revision", decoded.revision
        yield "time_quality", quality.value
        if limits_from is not None:
            yield "limits_from", limits_from
        if decoded.number("torque_unit") is None:
            yield "torque_unit_from", "configuration"
        yield from self._tool_facts(decoded.text("tool_serial_number"), decoded.text("timestamp"))
        for contradiction in tightening.contradictions(decoded):
            yield "contradiction", contradiction

    def _tool_facts(self, serial: str | None, time: str | None) -> Iterator[tuple[str, Scalar]]:
        connected = self.tool.text("tool_serial_number") if self.tool is not None else None
        if serial is None and connected is not None:
            yield "tool_serial", connected
            yield "tool_serial_from", "tool data (0041) of this session"
        if self.tool is not None and connected is not None and serial in (None, connected):
            calibrated = self.tool.text("last_calibration_date")
            # A calibration after the tightening says nothing about it: the one before is not known.
            if calibrated is not None and (time is None or calibrated <= time):
                yield "tool_last_calibration", calibrated
        expected, found = self._options.tool_serial, serial or connected
        if expected is not None and found != expected:
            yield "tool_unexpected", True

    def _limits(self, decoded: DecodedTelegram) -> tuple[TighteningLimits | None, str | None]:
        """Return limits that can be proven to have held, and in words where they come from."""
        pset, time = decoded.number("pset_id"), decoded.text("timestamp")
        limits = self.limits.get(pset) if pset is not None else None
        if limits is None:
            return None, "not available"
        if limits.since is None or time is None or limits.since > time:
            return None, f"not provable: {limits.origin} does not show that they held at that time"
        return limits, f"{limits.origin}, unchanged since {limits.since}"

    def _moment(
        self, decoded: DecodedTelegram, record: ResultRecord, epoch: int, stamp: Stamp
    ) -> ResolvedTime:
        number = record.entry.id
        last = self._last
        before = last[2] if last is not None and last[0] == epoch and last[1] < number else None
        moment = self.resolve(decoded.text("timestamp"), stamp, live=record.live, not_before_ns=before)
        self.jumped = self.jumped or moment.quality is TimeQuality.JUMP
        if last is None or before is not None or last[0] != epoch:
            self._last = (epoch, number, moment.when.occurred_ns)
        return moment

    def _clash(self, saying: ConflictingResult) -> Notice:
        entry: ResultEntry = saying.record.entry
        known = saying.ledger.known.get(entry.id)
        return self.notice(
            "source.conflict",
            ("source", f"{saying.ledger.source}/{saying.ledger.epoch}/{entry.id}"),
            saying.reason,
            received=received_of(saying.record),
            changes=(("content", str(known) if known is not None else None, str(entry.core)),),
            remember=saying.changes,
        )

    def _gap(self, saying: MissingResults, now: Stamp) -> Gap:
        last = saying.last
        return Gap(
            device=self._options.id,
            session_id=self._session_id,
            received=now,
            when=_now(now),
            remember=saying.changes,
            source=saying.ledger.source,
            first=str(saying.first),
            last=None if last is None else str(last),
            count=last - saying.first + 1 if last is not None and saying.countable else None,
            reason=f"epoch {saying.ledger.epoch}: {saying.reason}",
        )

    def _epoch(self, saying: EpochBegan | CaptureBegan, now: Stamp) -> Notice:
        ledger = saying.ledger
        began = isinstance(saying, EpochBegan)
        return self.notice(
            "source.epoch",
            ("source", ledger.source),
            saying.reason,
            now=now,
            changes=(
                ("epoch", ledger.epoch - 1 if began else None, ledger.epoch),
                ("after_id", None, ledger.watermark),
            ),
            remember=saying.changes,
        )

    def noted(self, now: Stamp, changes: Changes) -> Seen:
        """Return what only has to be remembered."""
        return Seen(
            device=self._options.id,
            session_id=self._session_id,
            received=now,
            when=_now(now),
            remember=changes,
        )


def _now(stamp: Stamp) -> When:
    return When(occurred_ns=stamp.realtime_ns, occurred_from="gateway")
