"""Who made a change: a tag of the PLC or the server's audit events say so."""

from collections.abc import Sequence
from typing import Literal

from asyncua import ua

from linewitness.devices.opcua.backlog import Delivery
from linewitness.devices.opcua.decoding.values import plain, quality
from linewitness.devices.opcua.monitor import Item
from linewitness.devices.opcua.notifications.notices import AuditTrail
from linewitness.devices.opcua.options import OpcUaOptions

#: Who made a change, and how the device knows.
Named = tuple[str | None, Literal["tag", "device"]]
NOBODY: Named = (None, "device")


class Actors:
    """What one session knows of who works at its server."""

    def __init__(self, options: OpcUaOptions, items: Sequence[Item]) -> None:
        """Begin with nobody known."""
        self._options = options
        self._operators: dict[str, str] = {}
        self._audit = AuditTrail()
        self._audited = frozenset(item.handle for item in items if item.role == "audit")

    def take_tag(self, item: Item, value: ua.DataValue) -> None:
        """Take the value of an operator's node: who works there from now on, or nobody."""
        name = plain(value.Value)
        if isinstance(name, str) and name and quality(value.StatusCode) == "good":
            self._operators[item.text] = name
        else:
            self._operators.pop(item.text, None)

    def take_audit(self, delivery: Delivery) -> None:
        """Take over who wrote what from a delivery."""
        for part in delivery.content:
            if self._audited and isinstance(part, ua.EventNotificationList):
                self._audit.take((delivery.subscription, delivery.sequence), part.Events, self._audited)

    def forget_before(self, delivery: Delivery) -> None:
        """Forget the audit events that no change can belong to any more."""
        self._audit.forget((delivery.subscription, delivery.sequence))

    def may_know(self, item: Item) -> bool:
        """Return whether anything could say who made changes of this item."""
        return bool(self._audited or self._options.operator or (item.point and item.point.operator))

    def who(self, item: Item, value: ua.DataValue) -> Named:
        """Return who made a change: the user of the audit event, or whom the operator's node names."""
        written_by = self._audit.who(item.node, value.Value) if self._audited else None
        if written_by:
            return written_by, "device"
        text = (item.point.operator if item.point else None) or self._options.operator
        return (self._operators.get(text) if text else None), "tag"
