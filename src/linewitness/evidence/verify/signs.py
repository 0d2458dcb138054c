"""What of a record says when there was capture: taken off it where it is checked, followed in order later."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from linewitness.evidence.format.reading import ReadRecord
from linewitness.evidence.format.record import unit_of
from linewitness.evidence.verify.clock_rules import SILENCE_US

STARTED: Final = "gateway.started"
RESULTS: Final = frozenset(("tightening.result", "measurement.result"))
#: Kinds whose values say when capture began, ended, or what was missed.
TELLING: Final = frozenset(
    (
        *("stream.created", STARTED, "gateway.stopped", "config.applied", "journal.pressure"),
        *("device.lost", "device.back", "source.gap", "clock.stepped", "key.rotated"),
    )
)
_WITH_VALUES: Final = TELLING - {"stream.created", "key.rotated"}


class CaptureSign(NamedTuple):
    """The part of a record that the stretches without capture and a unit's history are read off.

    `changes` are there for the kinds that tell something by them, and empty for others; so are `stream` and
    `prev_hash`, for a start.
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

    def after(self, field: str) -> Any:
        """Return the value that the record states for a field, the last one of several; None where none."""
        return next((change["after"] for change in reversed(self.changes) if change["field"] == field), None)


def sign_of(members: Mapping[str, Any], *, counting: bool = False) -> CaptureSign:
    """Return the sign of a parsed record; with `counting` also the values of what counts results."""
    context, clock, kind = members["context"], members["clock"], members["kind"]
    integrity = members["integrity"] if kind == STARTED else {}
    told = kind in _WITH_VALUES or (counting and (kind in RESULTS or kind == "unit.left"))
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
    )


class SignFilter:
    """Pass on what matters of a long run of records: telling ones, each with the record before it.

    The first record, the last one, and both ends of a silence matter too: so runs can be joined.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._found: list[CaptureSign] = []
        self._last: ReadRecord | None = None
        self._taken = False

    def take(self, records: Iterable[ReadRecord]) -> None:
        """Look at the next records."""
        last, taken = self._last, self._taken
        for record in records:
            matters = record.fields.kind in TELLING or last is None or _is_silence(last, record)
            if matters:
                if last is not None and not taken:
                    self._found.append(sign_of(last.members))
                self._found.append(sign_of(record.members))
            last, taken = record, matters
        self._last, self._taken = last, taken

    def signs(self) -> tuple[CaptureSign, ...]:
        """Return what was passed on, when all records were looked at."""
        if self._last is not None and not self._taken:
            self._found.append(sign_of(self._last.members))
            self._taken = True
        return tuple(self._found)


def _is_silence(last: ReadRecord, now: ReadRecord) -> bool:
    return now.fields.boottime_us - last.fields.boottime_us > SILENCE_US
