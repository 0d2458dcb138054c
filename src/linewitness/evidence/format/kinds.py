"""The closed list of what can happen (docs/format.md, section 3), and what each kind does by default."""

from typing import Final, Literal

Action = Literal["create", "read", "update", "delete", "execute"]

PRODUCT: Final[dict[str, Action]] = {
    "tightening.result": "create",
    "measurement.result": "create",
    "unit.entered": "execute",
    "unit.left": "execute",
    "identifier.scanned": "read",
    "parameter.changed": "update",
    "alarm.raised": "create",
    "alarm.cleared": "update",
    "tool.changed": "update",
    "operator.signed_on": "execute",
    "operator.signed_off": "execute",
    "gate.closed": "execute",
    "gate.opened": "execute",
    "gate.overridden": "execute",
    "unit.scrapped": "execute",
    "component.installed": "create",
    "component.removed": "delete",
    "component.refused": "read",
    "material.loaded": "update",
    "order.changed": "update",
    "requirement.changed": "update",
    "requirement.refused": "read",
    "requirement.signed": "execute",
    "exception.raised": "create",
}
COMPLETENESS: Final[dict[str, Action]] = {
    "device.lost": "update",
    "device.back": "update",
    "source.gap": "create",
    "source.conflict": "create",
    "source.epoch": "create",
}
STREAM: Final[dict[str, Action]] = {
    "stream.created": "create",
    "gateway.started": "execute",
    "gateway.stopped": "execute",
    "gateway.heartbeat": "read",
    "config.applied": "update",
    "key.rotated": "update",
    "clock.status": "read",
    "clock.stepped": "update",
    "custody.received": "create",
    "journal.pressure": "update",
    "journal.pruned": "delete",
    "stream.continuity": "create",
    "anchor.written": "create",
}

#: Every kind, with the action that it stands for.
KINDS: Final[dict[str, Action]] = PRODUCT | COMPLETENESS | STREAM
