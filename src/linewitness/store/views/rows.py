"""What one record says in each view: pure functions, so that following and making again are the same."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import orjson
from sqlalchemy import Table

from linewitness.evidence.format.times import unix_us
from linewitness.evidence.history.checklist import checklist_of
from linewitness.store.database import view_tables as views
from linewitness.store.views import deeds
from linewitness.store.views.viewed import ViewedRecord, ViewRow, as_text

#: From here on an event was late on record, and a record late in the store's custody.
LATE_INGEST_MS: Final = 2_000
LATE_CUSTODY_MS: Final = 60_000

RESULTS: Final = frozenset(("tightening.result", "measurement.result"))
_PROGRAM: Final = ("pset", "pset_id", "program")
_STATES: Final = MappingProxyType({"unit.entered": "here", "unit.scrapped": "scrapped"})
#: About the gateway or a device; their own time is no event of the machine.
_OWN_TIME: Final = frozenset(("device.lost", "device.back", "source.gap"))
_DISTURBANCES: Final = frozenset(
    (
        *("alarm.raised", "alarm.cleared", "source.conflict", "source.epoch", "gate.overridden"),
        *("exception.raised", "component.refused", "requirement.refused", "clock.stepped"),
        *("stream.continuity", "journal.pressure"),
    )
)


def rows_of(record: ViewedRecord) -> Iterator[ViewRow]:
    """Yield what a record says in all views."""
    for view in _VIEWS:
        yield from view(record)


def verdict_of(record: ViewedRecord) -> bool | None:
    """Return whether a result is good; None where it does not say."""
    said = record.values.get("result")
    if isinstance(said, str):
        return said == "ok"
    statuses = {change["status"] for change in record.members["changes"] if "status" in change}
    return statuses == {"ok"} if statuses else None


def measured_in(record: ViewedRecord) -> list[dict[str, Any]]:
    """Return the values of a result that have a unit, limits or a verdict."""
    return [
        {name: change[name] for name in ("field", "after", "unit", "low", "high", "status") if name in change}
        for change in record.members["changes"]
        if len(change) > len(("field", "before", "after")) and change["field"] != "result"
    ]


def tool_of(record: ViewedRecord) -> str | None:
    """Return the tool of a result: its serial number, or else the device."""
    return record.text("tool_serial") or record.device


def program_of(record: ViewedRecord) -> str | None:
    """Return the program under which a result was made."""
    return record.text(*_PROGRAM)


def _units(record: ViewedRecord) -> Iterator[ViewRow]:
    if record.unit is None:
        return
    state = _STATES.get(record.kind)
    if record.kind == "unit.left":
        checklist = checklist_of(record.members)
        state = checklist.outcome if checklist else "left"
    said = record.values if record.kind in ("unit.left", "unit.entered", "order.changed") else {}
    yield ViewRow(
        views.units,
        {
            "unit": record.unit,
            "station": record.station or "",
            "first_seq": record.seq,
            "last_seq": record.seq,
            "records": 1,
            "first_at": record.occurred_at,
            "last_at": record.occurred_at,
            "state": state,
            "product": as_text(said.get("product")),
            "work_order": as_text(said.get("order")),
            "batch": as_text(said.get("batch")),
        },
    )


def _results(record: ViewedRecord) -> Iterator[ViewRow]:
    if record.kind not in RESULTS:
        return
    ok = verdict_of(record)
    yield ViewRow(
        views.results,
        {
            **record.place,
            "kind": record.kind,
            "unit": record.unit,
            "station": record.station,
            "device": record.device,
            "tool": tool_of(record),
            "program": program_of(record),
            "calibrated": record.text("tool_last_calibration"),
            "actor": record.actor,
            "ok": None if ok is None else int(ok),
            "counts": int(record.values.get("counts") is not False),
            "measured": orjson.dumps(measured_in(record)).decode(),
        },
    )


def _uses(record: ViewedRecord) -> Iterator[ViewRow]:
    if record.unit is None:
        return
    named = {("operator", record.person)}
    not_ok = 0
    if record.kind in RESULTS:
        named |= {("tool", tool_of(record)), ("tool", record.device), ("program", program_of(record))}
        not_ok = int(verdict_of(record) is False)
    for what, name in sorted((what, name) for what, name in named if name):
        yield ViewRow(
            views.uses,
            {
                "what": what,
                "name": name,
                "unit": record.unit,
                "first_seq": record.seq,
                "last_seq": record.seq,
                "records": 1,
                "not_ok": not_ok,
                "first_at": record.occurred_at,
                "last_at": record.occurred_at,
                "station": record.station,
            },
        )


def _disturbances(record: ViewedRecord) -> Iterator[ViewRow]:
    if record.kind in _DISTURBANCES:
        resource = record.members["resource"]
        yield ViewRow(
            views.disturbances,
            {
                **record.place,
                "kind": record.kind,
                "device": record.device,
                "station": record.station,
                "subject": f"{resource['type']} {resource['id']}",
                "unit": record.unit,
                "reason": record.text("code") or record.reason,
            },
        )


def _lateness(record: ViewedRecord) -> Iterator[ViewRow]:
    ingested_at, clock = record.members["ingested_at"], record.members["clock"]
    ingest_ms = _ms_between(record.occurred_at, ingested_at)
    custody_ms = _ms_between(ingested_at, record.accepted_at)
    unsynced = clock["sync"] == "unsynced"
    late = record.kind not in _OWN_TIME and abs(ingest_ms) > LATE_INGEST_MS
    if late or unsynced or custody_ms > LATE_CUSTODY_MS:
        yield ViewRow(
            views.lateness,
            {
                **record.place,
                "ingested_at": ingested_at,
                "accepted_at": record.accepted_at,
                "kind": record.kind,
                "unit": record.unit,
                "device": record.device,
                "station": record.station,
                "ingest_ms": ingest_ms,
                "custody_ms": custody_ms,
                "bound_us": clock.get("bound_us"),
                "backfilled": int(record.values.get("backfilled") is True),
                "sync": clock["sync"],
                "occurred_from": clock["occurred_from"],
            },
        )


def _ms_between(first: str, last: str) -> int:
    try:
        return (unix_us(last) - unix_us(first)) // 1000
    except ValueError:  # a form that fits, and no day of the calendar
        return 0


_VIEWS: Final[tuple[Callable[[ViewedRecord], Iterator[ViewRow]], ...]] = (
    *(_units, _results, _uses, _disturbances, _lateness),
    *(deeds.changes, deeds.sign_ons, deeds.tools, deeds.components, deeds.met_by),
)

#: What becomes of two rows with one key: the first one's, the later one's, the larger one's or the sum.
FOLDED: Final[Mapping[Table, Mapping[str, str]]] = MappingProxyType(
    {
        views.units: {
            "last_seq": "last",
            "records": "sum",
            "first_at": "least",
            "last_at": "most",
            **dict.fromkeys(("state", "product", "work_order", "batch"), "last"),
        },
        views.uses: {
            "last_seq": "last",
            "records": "sum",
            "not_ok": "sum",
            "first_at": "least",
            "last_at": "most",
            "station": "last",
        },
        views.met_by: {},
    }
)
