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

#: What only a tenant stream has, which the store itself writes.
TENANT: Final[dict[str, Action]] = {
    "custody.taken": "create",
    "stream.enrolled": "create",
    "stream.retired": "update",
    "retention.changed": "update",
    "pack.sealed": "create",
    "pack.locked": "update",
    "pack.expired": "delete",
    "worm.probed": "execute",
    "integrity.checked": "read",
    "finding.raised": "create",
    "finding.disposed": "update",
    "rule.changed": "update",
    "review.signed": "execute",
    "annotation.added": "create",
    "evidence.read": "read",
    "evidence.exported": "read",
    "account.changed": "update",
    "role.used": "execute",
    "session.opened": "execute",
    "session.refused": "read",
}
#: What a tenant stream has besides those.
TENANT_STREAM: Final = frozenset(
    ("stream.created", "key.rotated", "clock.stepped", "stream.continuity", "anchor.written")
)

#: Every kind, with the action that it stands for.
KINDS: Final[dict[str, Action]] = PRODUCT | COMPLETENESS | STREAM | TENANT
