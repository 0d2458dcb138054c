"""What one record says of deeds: of changes, people, tools and components."""

import re
from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

from linewitness.evidence.history.values import met_by as ids_met_by
from linewitness.store.database import view_tables as views
from linewitness.store.views.viewed import ViewedRecord, ViewRow, as_text

_CHANGES: Final = frozenset(("parameter.changed", "config.applied", "tool.changed", "order.changed"))
_COMPONENTS: Final = MappingProxyType(
    {
        "component.installed": "installed",
        "component.removed": "removed",
        "component.refused": "refused",
        "material.loaded": "loaded",
    }
)
_SIGN_ONS: Final = MappingProxyType({"operator.signed_on": "on", "operator.signed_off": "off"})
_OF_COMPONENT: Final = ("part", "serial", "lot", "quantity", "position", "supplier", "expiry", "requirement")
_IN_SETTINGS: Final = re.compile(r"devices\.([^.]+)\.")


def changes(record: ViewedRecord) -> Iterator[ViewRow]:
    """Yield each field that was changed."""
    if record.kind not in _CHANGES:
        return
    actor, resource = record.members["actor"], record.members["resource"]
    for nr, change in enumerate(record.members["changes"]):
        point, device = change["field"], record.device
        if record.kind == "config.applied":
            found = _IN_SETTINGS.match(point)
            device = found[1] if found else device
        elif resource["type"] == "parameter":
            device, _, point = resource["id"].partition("/")
        yield ViewRow(
            views.changes,
            {
                **record.place,
                "nr": nr,
                "kind": record.kind,
                "device": device,
                "station": record.station,
                "point": point,
                "before": as_text(change["before"]),
                "after": as_text(change["after"]),
                "measure": change.get("unit"),
                "actor": actor["id"],
                "actor_type": actor["type"],
                "auth_method": actor.get("auth_method"),
                "unit": record.unit,
                "reason": record.reason,
            },
        )


def sign_ons(record: ViewedRecord) -> Iterator[ViewRow]:
    """Yield who signed on or off."""
    deed = _SIGN_ONS.get(record.kind)
    if deed is not None:
        yield ViewRow(
            views.sign_ons,
            {
                **record.place,
                "station": record.station,
                "operator": record.text("operator") or record.actor,
                "deed": deed,
                "auth_method": record.members["actor"].get("auth_method"),
                "reason": record.reason,
            },
        )


def tools(record: ViewedRecord) -> Iterator[ViewRow]:
    """Yield what was said of a tool."""
    if record.kind == "tool.changed":
        yield ViewRow(
            views.tools,
            {
                **record.place,
                "tool": record.members["resource"]["id"],
                "device": record.device,
                "station": record.station,
                "calibrated": record.text("last_calibration_date"),
                "reason": record.reason,
            },
        )


def components(record: ViewedRecord) -> Iterator[ViewRow]:
    """Yield what became of a component, or which lot was loaded."""
    deed = _COMPONENTS.get(record.kind)
    if deed is not None:
        yield ViewRow(
            views.components,
            {
                **record.place,
                "event_id": record.members["event_id"],
                "deed": deed,
                "unit": record.unit,
                "component": record.members["resource"]["id"],
                **{name: record.text(name) for name in _OF_COMPONENT},
                "station": record.station,
                "device": record.device,
                "actor": record.actor,
                "reason": record.reason,
            },
        )


def met_by(record: ViewedRecord) -> Iterator[ViewRow]:
    """Yield which records met requirements of a unit."""
    if record.unit is not None:
        for event_id in dict.fromkeys(ids_met_by(record.members)):
            met = {"event_id": event_id, "unit": record.unit, **record.place}
            yield ViewRow(views.met_by, met)
