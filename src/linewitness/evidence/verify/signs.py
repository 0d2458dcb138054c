"""What of a record says when there was capture: taken off it where it is checked, followed in order later."""

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final, NamedTuple

from linewitness.evidence.format.columns import RecordColumns
from linewitness.evidence.format.kinds import TENANT
from linewitness.evidence.format.record import unit_of
from linewitness.evidence.tenant.custody import TenantSign, tenant_sign
from linewitness.evidence.verify.clock_rules import SILENCE_US

STARTED: Final = "gateway.started"
RESULTS: Final = frozenset(("tightening.result", "measurement.result"))
#: Kinds that say by which records a requirement was met.
MEETING: Final = frozenset(("unit.left", "requirement.changed"))
#: Kinds whose values say when capture began, ended, or what was missed.
TELLING: Final = frozenset(
    (
        *("stream.created", STARTED, "gateway.stopped", "config.applied", "journal.pressure"),
        *("device.lost", "device.back", "source.gap", "clock.stepped", "key.rotated"),
        *TENANT,
    )
)
_WITH_VALUES: Final = TELLING - TENANT.keys() - {"stream.created", "key.rotated"}


class CaptureSign(NamedTuple):
    """The part of a record that the stretches without capture and a unit's history are read off.

    `changes` are there for the kinds that tell something by them, and empty for others; so are `stream` and
    `prev_hash`, for a start. `event_id` is there where results and requirements are counted, and `tenant`
    for a record that a store wrote of a tenant.
    """

    sequence_no: int
    kind: str
    occurred_at: str
    ingested_at: str
    boot_id: str
    boottime_us: int
    step: int
    device: str
    station: str
    session: str
    resource: str
    unit: str | None
    reason: str
    changes: tuple[Mapping[str, Any], ...]
    stream: str = ""
    prev_hash: str = ""
    event_id: str = ""
    tenant: TenantSign | None = None

    def after(self, field: str) -> Any:
        """Return the value that the record states for a field, the last one of several; None where none."""
        return next((change["after"] for change in reversed(self.changes) if change["field"] == field), None)


def sign_of(members: Mapping[str, Any], *, counting: bool = False) -> CaptureSign:
    """Return the sign of a parsed record; with `counting` also what counts results and requirements."""
    context, clock, kind = members["context"], members["clock"], members["kind"]
    integrity = members["integrity"] if kind == STARTED else {}
    told = kind in _WITH_VALUES or (counting and (kind in RESULTS or kind in MEETING))
    return CaptureSign(
        members["sequence_no"],
        kind,
        members["occurred_at"],
        members["ingested_at"],
        clock["boot_id"],
        clock["boottime_us"],
        clock["step"],
        context.get("device_id", ""),
        context.get("station_id", ""),
        context.get("session_id", ""),
        members["resource"]["id"],
        unit_of(members),
        members["reason"] if told else "",
        tuple(members["changes"]) if told else (),
        integrity.get("stream", ""),
        integrity.get("prev_hash", ""),
        members["event_id"] if counting else "",
        tenant_sign(members),
    )


class SignFilter:
    """Pass on what matters of a long run of records: telling ones, each with the record before it.

    The first record, the last one, and both ends of a silence matter too: so runs can be joined.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._found: list[CaptureSign] = []
        #: The bytes of the last record, and its uptime.
        self._last: bytes | None = None
        self._uptime_us = 0
        self._taken = False

    def take(self, records: RecordColumns) -> None:
        """Look at the next records."""
        if not records.numbers:
            return
        if self._any_matters(records):
            self._pick(records)
        else:
            self._taken = False
        self._last, self._uptime_us = records.data[-1], records.uptimes_us[-1]

    def signs(self) -> tuple[CaptureSign, ...]:
        """Return what was passed on, when all records were looked at."""
        self._take_last()
        return tuple(self._found)

    def _any_matters(self, records: RecordColumns) -> bool:
        if self._last is None or not TELLING.isdisjoint(records.kinds):
            return True
        uptimes_us = [self._uptime_us, *records.uptimes_us]
        return max(now - before for before, now in pairwise(uptimes_us)) > SILENCE_US

    def _pick(self, records: RecordColumns) -> None:
        rows = zip(records.data, records.kinds, records.uptimes_us, strict=True)
        for data, kind, uptime_us in rows:
            matters = kind in TELLING or self._last is None or uptime_us - self._uptime_us > SILENCE_US
            if matters:
                self._take_last()
                self._found.append(_sign_in(data))
            self._last, self._uptime_us, self._taken = data, uptime_us, matters

    def _take_last(self) -> None:
        if self._last is not None and not self._taken:
            self._found.append(_sign_in(self._last))
            self._taken = True


def _sign_in(data: bytes) -> CaptureSign:
    return sign_of(json.loads(data))
