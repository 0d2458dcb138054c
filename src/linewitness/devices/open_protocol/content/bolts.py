"""Results of a PowerMACS cycle (0106): one result for each bolt, each once."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from linewitness.devices.base import Gap, Measured, Observation, Result, Verdict
from linewitness.devices.open_protocol.content.bolt_details import CYCLE_STATUS, STORED_NS, BoltDetails
from linewitness.devices.open_protocol.content.facts import SessionFacts
from linewitness.devices.open_protocol.content.tightening import VERDICTS
from linewitness.devices.open_protocol.content.undecided import undecided
from linewitness.devices.open_protocol.ledger import cycle_numbers
from linewitness.devices.open_protocol.ledger.cycle_numbers import CycleCount, CycleStep
from linewitness.devices.open_protocol.ledger.known_names import KnownNames
from linewitness.devices.open_protocol.ledger.state import ResultLedger
from linewitness.devices.open_protocol.wire.codec import DecodedTelegram, FieldValue, decode
from linewitness.devices.open_protocol.wire.mids import Mid
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram

#: Two names for each bolt are kept, see `_results`.
RETAINED: Final = 1000
OTHER_VALUES: Final = "cycle, time and bolt are known with other values"
TWICE: Final = "this bolt is twice in its cycle"
NUMBER: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")

Bolt = Mapping[str, FieldValue]


class BoltResults:
    """Makes results of 0106 and knows which were captured: cycle, time and bolt.

    `count` is the newest cycle: what its number leaves out, and what a new count may hide, becomes a gap.
    """

    def __init__(self, remembered: Mapping[str, str]) -> None:
        """Start from what was committed."""
        self._known = KnownNames(prefix="bolt/", retained=RETAINED, remembered=remembered)
        self.count = CycleCount.load(remembered)
        self._details = BoltDetails(remembered)

    def read(
        self, received: ReceivedTelegram, facts: SessionFacts, ledger: ResultLedger
    ) -> list[Observation]:
        """Return a result for each bolt that is not known; the last observation is the one to confirm."""
        if received.telegram.mid == Mid.CYCLE_BOLT:
            return self._details.read(received, facts, ledger)
        decoded = decode(received.telegram)
        number = decoded.number("data_number")
        if not decoded.complete or number is None:
            problem = decoded.problem or "no number of the cycle"
            return [self._numbered(self._unread(received, facts, ledger, problem), decoded)]
        self._details.follow(decoded)
        if decoded.blocks["bolts"]:
            results = list(self._results(received, decoded, facts, ledger))
        else:
            name = received.digest
            results = [] if name in self._known else [self._unread(received, facts, ledger, "no bolt")]
        if not results:
            return [facts.seen(received)]
        step = cycle_numbers.take(self.count, number, decoded.text("timestamp") or "")
        notices = list(_notices(step, self.count, facts, ledger, received))
        self.count = step.count
        # Crash before the last one is durable: it was not confirmed, so that all of this happens again.
        remember = {**results[-1].remember, **self.count.remember}
        return [*notices, *results[:-1], replace(results[-1], confirmable=True, remember=remember)]

    def _unread(
        self, received: ReceivedTelegram, facts: SessionFacts, ledger: ResultLedger, problem: str
    ) -> Observation:
        name = received.digest
        if name in self._known:
            return facts.seen(received)
        remember = self._known.add(name)
        return facts.undecodable(
            received, ledger, problem, name=f"cycle-{self._known.count}", remember=remember
        )

    def _numbered(self, unread: Observation, decoded: DecodedTelegram) -> Observation:
        """Note that the next cycle is on record, although it is not decodable: it is not missing."""
        number = decoded.number("data_number")
        if number is None or self.count.newest is None or number != self.count.newest + 1:
            return unread
        self.count = CycleCount(number, decoded.text("timestamp") or self.count.time)
        return replace(unread, remember={**unread.remember, **self.count.remember})

    def _results(
        self, received: ReceivedTelegram, decoded: DecodedTelegram, facts: SessionFacts, ledger: ResultLedger
    ) -> Iterator[Observation]:
        times: Counter[object] = Counter()
        for bolt in decoded.blocks["bolts"]:
            number = bolt["bolt"].content
            times[number] += 1
            again = f"-again-{times[number]}" if times[number] > 1 else ""
            name, values = f"{_name(decoded, bolt)}{again}", _values(bolt)
            if name in self._known or f"{name}={values}" in self._known:
                continue
            # The name alone is what earlier versions remembered; with "=" the values are known too.
            is_other = f"{name}=" in self._known
            remember = {**self._known.add(f"{name}="), **self._known.add(f"{name}={values}")}
            result = _result(received, decoded, bolt, facts, ledger)
            result = replace(result, result_id=name, remember=remember)
            if is_other or again:
                yield from undecided(result, self._known.count, OTHER_VALUES if is_other else TWICE)
            else:
                yield result


def _name(decoded: DecodedTelegram, bolt: Bolt) -> str:
    """Return what identifies a bolt's result: without a time its values do, as numbers come again."""
    time = decoded.text("timestamp")
    parts = (time,) if time else (bolt["torque"].content, bolt["angle"].content, "untimed")
    return "-".join(str(part) for part in (decoded.number("data_number"), *parts, bolt["bolt"].content))


def _values(bolt: Bolt) -> str:
    return "/".join(str(bolt[key].content) for key in ("torque", "angle", "status"))


def _result(
    received: ReceivedTelegram,
    decoded: DecodedTelegram,
    bolt: Bolt,
    facts: SessionFacts,
    ledger: ResultLedger,
) -> Result:
    # A cycle that is sent again after a connection looks like a new one: its own time says when it was.
    moment = facts.resolve(decoded.text("timestamp"), received.stamp, live=False)
    return replace(
        facts.tightening(received, ledger, _name(decoded, bolt), moment.when),
        backfilled=received.stamp.realtime_ns - moment.when.occurred_ns > STORED_NS,
        identifier=decoded.text("vin"),
        ok=bolt["status"].content == 1,
        measured=tuple(_measured(bolt, facts.torque_unit)),
        facts=(
            ("bolt", bolt["bolt"].content),
            ("cycle", decoded.number("data_number")),
            ("cycle_status", CYCLE_STATUS.get(decoded.number("cycle_status") or 0)),
            ("program", decoded.text("mode_name")),
            ("station", decoded.text("station_name")),
            ("time_quality", moment.quality.value),
            ("revision", decoded.revision),
        ),
        reason="tightening of a PowerMACS cycle",
    )


def _notices(
    step: CycleStep, before: CycleCount, facts: SessionFacts, ledger: ResultLedger, received: ReceivedTelegram
) -> Iterator[Observation]:
    """Yield which cycles are missing, and that nobody knows what followed the newest one of an old count."""
    if step.missing is not None:
        first, last = step.missing
        reason = f"the cycle numbers go from {before.newest} to {step.count.newest}"
        yield _gap(facts, ledger, received, first=first, last=last, reason=reason)
    if step.anew:
        reason = f"the cycle numbers began anew: what followed {before.newest} is not known"
        yield _gap(facts, ledger, received, first=(before.newest or 0) + 1, last=None, reason=reason)
        changes = (("cycle", before.newest, step.count.newest),)
        source = ("source", ledger.source)
        yield facts.notice("source.epoch", source, reason, at=received.stamp, changes=changes)


def _gap(
    facts: SessionFacts,
    ledger: ResultLedger,
    received: ReceivedTelegram,
    *,
    first: int,
    last: int | None,
    reason: str,
) -> Gap:
    return facts.gap(
        ledger,
        received.stamp,
        first=f"cycle {first}",
        last=None if last is None else f"cycle {last}",
        count=None if last is None else last - first + 1,
        reason=reason,
    )


def _measured(bolt: Bolt, torque_unit: str) -> Iterator[Measured]:
    for field, unit in (("torque", torque_unit), ("angle", "deg")):
        status = bolt[f"{field}_status"].content
        verdict: Verdict | None = VERDICTS.get(status) if isinstance(status, int) else None
        yield Measured(
            field=field,
            value=_number(bolt[field]),
            unit=unit,
            low=_number(bolt[f"{field}_low"]),
            high=_number(bolt[f"{field}_high"]),
            status=verdict,
        )


def _number(value: FieldValue) -> str | None:
    """Return a decimal number as the controller wrote it; None where it is undefined."""
    text = str(value.content or "")
    return text if NUMBER.fullmatch(text) else None
