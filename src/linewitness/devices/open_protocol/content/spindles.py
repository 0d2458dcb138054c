"""Results of several spindles that tightened together (0101): one result for each spindle, each once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from linewitness.base.clock import NS_PER_MS, Stamp
from linewitness.devices.base import Gap, Measured, Observation, Result, Verdict
from linewitness.devices.open_protocol.content import tightening
from linewitness.devices.open_protocol.content.facts import SessionFacts
from linewitness.devices.open_protocol.content.pairs import Half, Pairing, SyncPairs
from linewitness.devices.open_protocol.content.undecided import undecided
from linewitness.devices.open_protocol.ledger import sync_ids
from linewitness.devices.open_protocol.ledger.known_names import KnownNames
from linewitness.devices.open_protocol.ledger.state import ResultLedger
from linewitness.devices.open_protocol.ledger.sync_ids import SyncLedger, SyncStep
from linewitness.devices.open_protocol.wire.codec import DecodedTelegram, FieldValue, decode
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram

#: Sync ids have 16 bits and come again; with their time they are unique. So many are kept.
RETAINED: Final = 4000
#: From this revision on a spindle's torque status is only OK or not OK.
PLAIN_STATUS: Final = 4
LOST_NAME: Final = "the sync ids began anew before these were fetched"
TOO_MANY: Final = "more are missing than are asked for"
OTHER_VALUES: Final = "sync id, time and spindle are known with other values"


class SpindleResults:
    """Makes results of 0101 and knows which were captured: their sync id, time and spindle.

    `ids` says which sync ids are missing; `pairs` which results are the same as a tightening (0061).
    """

    def __init__(self, remembered: Mapping[str, str], pairs: SyncPairs) -> None:
        """Start from what was committed."""
        self._known = KnownNames(prefix="spindle/", retained=RETAINED, remembered=remembered)
        self._pairs = pairs
        self.ids = SyncLedger.load(remembered)
        self._asked: dict[int, int] = {}

    def asked(self, sync: int, asked: Stamp) -> None:
        """Note that this result was asked for, and that nothing will tell its answer from a push."""
        self._asked[sync] = asked.realtime_ns

    def read(
        self,
        received: ReceivedTelegram,
        facts: SessionFacts,
        ledger: ResultLedger,
        *,
        live: bool = True,
        take: Callable[[SyncLedger, int, str], SyncStep] = sync_ids.take,
    ) -> list[Observation]:
        """Return a result for each spindle that is not known; the last observation is the one to confirm.

        `take` says what the sync id means for those that are known.
        """
        decoded = decode(received.telegram)
        sync, time = decoded.number("sync_tightening_id"), decoded.text("timestamp")
        if not decoded.complete or sync is None:
            return [self._unread(received, facts, ledger, decoded.problem or "no sync id")]
        pushed, live = live, live and not self._is_late_answer(received, sync, time, facts)
        results = list(self._results(received, decoded, facts, ledger, live=live))
        if not decoded.blocks["spindle_results"]:
            results = [self._unread(received, facts, ledger, "no spindle")]
        step = take(self.ids, sync, time or "")
        notices = list(_notices(step, self.ids, facts, ledger, received))
        changed = step.ledger != self.ids
        self.ids = step.ledger
        last = results[-1] if results else facts.seen(received, live=live)
        # Crash before the last one is durable: it was not confirmed, so that all of this happens again.
        remember = {**last.remember, **(self.ids.remember if changed else {})}
        return [*results[:-1], *notices, replace(last, remember=remember, confirmable=pushed)]

    def give_up(
        self, syncs: Sequence[int], facts: SessionFacts, ledger: ResultLedger, now: Stamp, reason: str
    ) -> list[Observation]:
        """Return the records of what cannot be fetched."""
        self.ids = sync_ids.given_up(self.ids, frozenset(syncs))
        gaps = list(_gaps(facts, ledger, now, tuple(syncs), reason))
        return [*gaps[:-1], *(replace(each, remember=self.ids.remember) for each in gaps[-1:])]

    def doubt(self, facts: SessionFacts, ledger: ResultLedger, now: Stamp, newest: int, reason: str) -> Gap:
        """Return the record that nobody knows what was lost after a sync id."""
        return _gap(facts, ledger, now, first=(newest + 1) % sync_ids.COUNT, last=None, reason=reason)

    def looked_below(self) -> None:
        """Look for no more results below the lowest one of ids that began anew."""
        self.ids = sync_ids.looked_below(self.ids)

    def _is_late_answer(
        self, received: ReceivedTelegram, sync: int, time: str | None, facts: SessionFacts
    ) -> bool:
        """Whether a push may be what was asked for before; not where it was certainly made since then."""
        asked_ns = self._asked.pop(sync, None)
        if asked_ns is None:
            return False
        when = facts.resolve(time, received.stamp, live=False).when
        if when.occurred_from != "device" or when.unc_ms is None:
            return True
        return when.occurred_ns - when.unc_ms * NS_PER_MS <= asked_ns

    def _unread(
        self, received: ReceivedTelegram, facts: SessionFacts, ledger: ResultLedger, problem: str
    ) -> Observation:
        name = received.digest
        if name in self._known:
            return facts.seen(received)
        remember = self._known.add(name)
        return facts.undecodable(
            received, ledger, problem, name=f"spindles-{self._known.count}", remember=remember
        )

    def _results(
        self,
        received: ReceivedTelegram,
        decoded: DecodedTelegram,
        facts: SessionFacts,
        ledger: ResultLedger,
        *,
        live: bool,
    ) -> Iterator[Observation]:
        fresh = []
        for block in decoded.blocks["spindle_results"]:
            name, values = _name(decoded, block), _values(block)
            if name in self._known or f"{name}={values}" in self._known:
                continue
            # The name alone is what earlier versions remembered; with "=" the values are known too.
            is_undecided = f"{name}=" in self._known
            remember = {**self._known.add(f"{name}="), **self._known.add(f"{name}={values}")}
            result = _result(received, decoded, block, facts, ledger, live=live)
            fresh.append((replace(result, remember=remember), block, is_undecided))
        halves = [_half(each.result_id, decoded, block) for each, block, taken in fresh if not taken]
        pairings = iter(self._pairs.spindles(halves))
        for result, _, is_undecided in fresh:
            if is_undecided:
                yield from undecided(result, self._known.count, OTHER_VALUES)
            else:
                yield _paired(result, next(pairings))


def _name(decoded: DecodedTelegram, block: Mapping[str, FieldValue]) -> str:
    """Return what identifies a spindle's result: without a time its values do, as ids come again."""
    time = decoded.text("timestamp")
    parts = (time,) if time else (block["torque"].content, block["angle"].content, "untimed")
    sync = decoded.number("sync_tightening_id")
    return "-".join(str(part) for part in (sync, *parts, block["spindle"].content))


def _values(block: Mapping[str, FieldValue]) -> str:
    return "/".join(str(block[key].content) for key in ("torque", "angle", "status"))


def _result(
    received: ReceivedTelegram,
    decoded: DecodedTelegram,
    block: Mapping[str, FieldValue],
    facts: SessionFacts,
    ledger: ResultLedger,
    *,
    live: bool,
) -> Result:
    moment = facts.resolve(decoded.text("timestamp"), received.stamp, live=live)
    return replace(
        facts.tightening(received, ledger, _name(decoded, block), moment.when),
        backfilled=not live,
        identifier=decoded.text("vin"),
        ok=block["status"].content == 1,
        measured=(_torque(decoded, block, facts.torque_unit), _angle(decoded, block)),
        facts=(
            ("spindle", block["spindle"].content),
            ("channel", block["channel"].content),
            *tightening.facts(decoded),
            ("sync_status", decoded.number("sync_overall_status")),
            ("time_quality", moment.quality.value),
            ("revision", decoded.revision),
        ),
        reason="tightening of several spindles together" if live else "fetched from the controller's memory",
    )


def _paired(result: Result, pairing: Pairing) -> Result:
    """Return a result that does not count where it was captured as a tightening (0061) before."""
    same = (("same_as", pairing.same_as),) if pairing.same_as is not None else ()
    return replace(
        result,
        remember={**result.remember, **pairing.remember},
        facts=(*result.facts, *same),
        counts=pairing.same_as is None,
    )


def _half(name: str, decoded: DecodedTelegram, block: Mapping[str, FieldValue]) -> Half:
    torque, angle = block["torque"].content, block["angle"].content
    return Half(
        spindle=True,
        name=name,
        sync=decoded.number("sync_tightening_id"),
        time=decoded.text("timestamp") or "",
        torque=torque if isinstance(torque, int) else None,
        angle=angle if isinstance(angle, int) else None,
        ok=block["status"].content == 1,
    )


def _notices(
    step: SyncStep,
    before: SyncLedger,
    facts: SessionFacts,
    ledger: ResultLedger,
    received: ReceivedTelegram,
) -> Iterator[Observation]:
    """Yield where the sync ids begin, and that nobody knows what followed the ones that ended."""
    source, last = ("source", ledger.source), step.ledger.last
    if step.began:
        reason = f"capture of multi-spindle results starts here, with sync id {last}"
        yield facts.notice(
            "source.epoch", source, reason, at=received.stamp, changes=(("sync_id", None, last),)
        )
    why = LOST_NAME if step.anew else TOO_MANY
    yield from _gaps(facts, ledger, received.stamp, step.dropped, f"multi-spindle results: {why}")
    if step.anew:
        what = f"the sync ids began anew (or more than {sync_ids.MOST_SKIPPED} results were lost)"
        reason = f"{what}: what followed {before.last} is not known"
        yield _gap(facts, ledger, received.stamp, first=before.following, last=None, reason=reason)
        changes = (("sync_id", before.last, last),)
        yield facts.notice("source.epoch", source, reason, at=received.stamp, changes=changes)


def _gaps(
    facts: SessionFacts, ledger: ResultLedger, now: Stamp, syncs: tuple[int, ...], reason: str
) -> Iterator[Gap]:
    for first, last in sync_ids.spans(syncs):
        yield _gap(facts, ledger, now, first=first, last=last, reason=reason)


def _gap(
    facts: SessionFacts, ledger: ResultLedger, now: Stamp, *, first: int, last: int | None, reason: str
) -> Gap:
    return facts.gap(
        ledger,
        now,
        first=f"sync {first}",
        last=None if last is None else f"sync {last}",
        count=None if last is None else (last - first) % sync_ids.COUNT + 1,
        reason=reason,
    )


def _torque(decoded: DecodedTelegram, block: Mapping[str, FieldValue], torque_unit: str) -> Measured:
    status = block["torque_status"].content
    verdict: Verdict | None = None
    if isinstance(status, int):
        plain: Verdict = "ok" if status == 1 else "nok"
        verdict = plain if decoded.revision >= PLAIN_STATUS else tightening.VERDICTS.get(status)
    return Measured(
        field="torque",
        value=block["torque"].decimal,
        unit="Nm" if decoded.revision >= PLAIN_STATUS else torque_unit,
        low=decoded.decimal("torque_min_limit"),
        high=decoded.decimal("torque_max_limit"),
        status=verdict,
    )


def _angle(decoded: DecodedTelegram, block: Mapping[str, FieldValue]) -> Measured:
    return Measured(
        field="angle",
        value=block["angle"].decimal,
        unit="deg",
        low=decoded.decimal("angle_min"),
        high=decoded.decimal("angle_max"),
        status="ok" if block["angle_status"].content == 1 else "nok",
    )
