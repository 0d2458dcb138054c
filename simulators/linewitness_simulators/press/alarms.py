"""Report alarms and writes as events, as servers with Alarms & Conditions and auditing do."""

from datetime import datetime
from typing import Any

from linewitness_simulators.press.library import events, ua


class AlarmBell:
    """Send events of the press's alarms; each alarm is a condition of its own."""

    def __init__(self, server: Any, press: Any) -> None:
        """Keep the server, whose own object reports the alarms, and the press, where they come from."""
        self._server = server
        self._press = press
        self._generators: dict[str, Any] = {}

    async def _generator(self, name: str) -> Any:
        if name not in self._generators:
            event = events.Condition()
            event.EventType = ua.NodeId(ua.ObjectIds.ExclusiveLevelAlarmType)
            event.SourceNode = self._press.nodeid
            event.SourceName = "Press"
            event.add_property("ConditionName", name, ua.VariantType.String)
            node = ua.NodeId(f"Press.{name}", self._press.nodeid.NamespaceIndex)
            event.add_property("NodeId", node, ua.VariantType.NodeId)
            self._generators[name] = await self._server.get_event_generator(event, ua.ObjectIds.Server)
        return self._generators[name]

    async def ring(
        self,
        name: str,
        *,
        active: bool,
        acked: bool,
        time: datetime,
        comment: str = "",
        user: str = "",
        message: str = "",
    ) -> None:
        """Report that the alarm `name` is in this state now."""
        generator = await self._generator(name)
        fields: tuple[tuple[str, Any, Any], ...] = (
            ("ActiveState/Id", active, ua.VariantType.Boolean),
            ("AckedState/Id", acked, ua.VariantType.Boolean),
            ("Retain", active or not acked, ua.VariantType.Boolean),
            ("Comment", ua.LocalizedText(comment), ua.VariantType.LocalizedText),
            ("ClientUserId", user, ua.VariantType.String),
        )
        for field, value, kind in fields:
            generator.event.add_property(field, value, kind)
        generator.event.Severity = 700 if active else 100
        text = message or f"{name} {'on' if active else 'off'}"
        await generator.trigger(time_attr=time, message=text)


class Auditor:
    """Send an event for each write."""

    def __init__(self, generator: Any) -> None:
        """Keep the generator whose event is filled in anew for each write."""
        self._generator = generator

    @classmethod
    async def hired(cls, server: Any) -> "Auditor":
        """Let the server's own object report the writes."""
        return cls(await server.get_event_generator(events.AuditWriteUpdateEvent(), ua.ObjectIds.Server))

    async def written(self, write: Any, *, before: Any, user: str, time: datetime) -> None:
        """Report who wrote what."""
        event = self._generator.event
        event.SourceNode = write.NodeId
        event.SourceName = "Attribute/Write"
        new = write.Value.Value
        fields: tuple[tuple[str, Any, Any], ...] = (
            ("ClientUserId", user, ua.VariantType.String),
            ("AttributeId", int(write.AttributeId), ua.VariantType.UInt32),
            ("OldValue", before, new.VariantType),
            ("NewValue", new.Value, new.VariantType),
        )
        for field, value, kind in fields:
            event.add_property(field, value, kind)
        await self._generator.trigger(time_attr=time, message=f"{user} wrote {write.NodeId.to_string()}")
