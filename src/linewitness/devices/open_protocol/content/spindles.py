"""Results of several spindles that tightened together (0101): one result for each spindle, each once."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from linewitness.devices.base import Measured, Observation, Result, Verdict
from linewitness.devices.open_protocol.content import tightening
from linewitness.devices.open_protocol.content.facts import SessionFacts
from linewitness.devices.open_protocol.ledger.known_names import KnownNames
from linewitness.devices.open_protocol.ledger.state import ResultLedger
from linewitness.devices.open_protocol.wire.codec import DecodedTelegram, FieldValue, decode
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram

#: Sync ids have 16 bits and come again; with their time they are unique. So many are kept.
RETAINED: Final = 500
#: From this revision on a spindle's torque status is only OK or not OK.
PLAIN_STATUS: Final = 4


class SpindleResults:
    """Makes results of 0101 and knows which were captured: their sync id, time and spindle."""

    def __init__(self, remembered: Mapping[str, str]) -> None:
        """Start from what was committed."""
        self._known = KnownNames(prefix="spindle/", retained=RETAINED, remembered=remembered)

    def read(
        self, received: ReceivedTelegram, facts: SessionFacts, ledger: ResultLedger
    ) -> list[Observation]:
        """Return a result for each spindle that is not known; the last observation is the one to confirm."""
        decoded = decode(received.telegram)
        sync, time = decoded.number("sync_tightening_id"), decoded.text("timestamp")
        if not decoded.complete or sync is None:
            return [self._unread(received, facts, ledger, decoded.problem or "no sync id")]
        results = list(self._results(received, decoded, f"{sync}-{time}", facts, ledger))
        if not results:
            return [facts.seen(received)]
        return [*results[:-1], replace(results[-1], confirmable=True)]

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
        sync: str,
        facts: SessionFacts,
        ledger: ResultLedger,
    ) -> Iterator[Result]:
        moment = facts.resolve(decoded.text("timestamp"), received.stamp, live=True)
        base = facts.seen(received, live=False)
        for block in decoded.blocks["spindle_results"]:
            number = f"{sync}-{block['spindle'].content}"
            if number in self._known:
                continue
            yield Result(
                device=base.device,
                session_id=base.session_id,
                received=base.received,
                when=moment.when,
                raw=base.raw,
                remember=self._known.add(number),
                kind="tightening.result",
                source=ledger.source,
                epoch=ledger.epoch,
                result_id=number,
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
                reason="tightening of several spindles together",
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
