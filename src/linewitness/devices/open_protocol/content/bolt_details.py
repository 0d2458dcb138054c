"""What a PowerMACS station says of a bolt besides its result (0107): a record that does not count."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from linewitness.base.clock import NS_PER_S
from linewitness.devices.base import Observation, Scalar
from linewitness.devices.open_protocol.content.facts import SessionFacts
from linewitness.devices.open_protocol.ledger.known_names import KnownNames
from linewitness.devices.open_protocol.ledger.state import ResultLedger
from linewitness.devices.open_protocol.wire.codec import DecodedTelegram, FieldValue, decode
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram

RETAINED: Final = 1000
CYCLE_STATUS: Final = MappingProxyType({0: "ok", 1: "ok repaired", 2: "nok", 3: "terminated nok"})
#: A cycle that began longer ago than this was stored meanwhile: the unit at the station is not its own.
STORED_NS: Final = 120 * NS_PER_S
NOT_A_NAME: Final = re.compile(r"[^a-z0-9]+")


class BoltDetails:
    """Makes records of 0107, and knows which telegrams were captured: after a break they are sent again."""

    def __init__(self, remembered: Mapping[str, str]) -> None:
        """Start from what was committed."""
        self._known = KnownNames(prefix="bolt-details/", retained=RETAINED, remembered=remembered)
        self._cycle: tuple[int | None, str | None] = (None, None)
        self._identifier: str | None = None

    def follow(self, cycle: DecodedTelegram) -> None:
        """Note the cycle (0106) whose bolts come next: only that one names the work piece."""
        self._cycle, self._identifier = _cycle_of(cycle), cycle.text("vin")

    def read(
        self, received: ReceivedTelegram, facts: SessionFacts, ledger: ResultLedger
    ) -> list[Observation]:
        """Return the one observation of a bolt's telegram, which is to be confirmed."""
        if received.digest in self._known:
            return [facts.seen(received)]
        remember = self._known.add(received.digest)
        decoded, count = decode(received.telegram), self._known.count
        if not decoded.complete:
            problem = decoded.problem or "no bolt"
            return [facts.undecodable(received, ledger, problem, name=f"bolt-{count}", remember=remember)]
        number, time = _cycle_of(decoded)
        # The cycle was made before it was sent: its own time says when.
        moment = facts.resolve(time, received.stamp, live=False)
        status = decoded.number("bolt_status")
        name = f"{number}-{time}-{decoded.number('bolt_number')}-details-{count}"
        result = replace(
            facts.tightening(received, ledger, name, moment.when),
            backfilled=received.stamp.realtime_ns - moment.when.occurred_ns > STORED_NS,
            identifier=self._identifier if self._cycle == (number, time) else None,
            ok=None if status is None else CYCLE_STATUS.get(status, "").startswith("ok"),
            counts=False,
            confirmable=True,
            remember=remember,
            facts=(
                ("bolt", decoded.number("bolt_number")),
                ("cycle", number),
                *_said(decoded),
                ("time_quality", moment.quality.value),
                ("revision", decoded.revision),
            ),
            reason="what a PowerMACS station says of a bolt besides its result",
        )
        return [result]


def _cycle_of(decoded: DecodedTelegram) -> tuple[int | None, str | None]:
    return decoded.number("data_number"), decoded.text("timestamp")


def _said(decoded: DecodedTelegram) -> Iterator[tuple[str, Scalar]]:
    """Yield names and values as the station gives them: it says no unit."""
    yield "bolt_status", CYCLE_STATUS.get(decoded.number("bolt_status") or 0)
    for key in ("bolt_name", "program_name", "errors", "customer_error"):
        text = decoded.text(key)
        if text:
            yield key.removesuffix("_name") if key == "program_name" else key, text
    for value in decoded.blocks["results"]:
        yield _named("said", value), str(value["value"].content or "")
    for value in decoded.blocks["steps"]:
        yield _named(f"step_{value['step'].content}", value), str(value["value"].content or "")


def _named(prefix: str, value: Mapping[str, FieldValue]) -> str:
    """Return the name of a field of a record for what the station calls this value."""
    name = NOT_A_NAME.sub("_", str(value["name"].content or "").lower()).strip("_")
    return f"{prefix}_{name or 'unnamed'}"
