"""Report alarms and writes as events, as servers with Alarms & Conditions and auditing do."""

from datetime import datetime
from typing import Any, Self

from linewitness_simulators.press.library import events, ua


class AlarmBell:
    """Send events of an alarm's state."""

    def __init__(self, generator: Any, server: Any) -> None:
        """Keep the generator whose event is filled in anew for each alarm."""
        self._generator = generator
        self._server = server

    @classmethod
    async def hang(cls, server: Any, emitting: Any) -> Self:
        """Let the server's own object report the alarms of the press."""
        event = events.Condition()
        event.EventType = ua.NodeId(ua.ObjectIds.ExclusiveLevelAlarmType)
        event.SourceNode = emitting.nodeid
        event.SourceName = "Press"
        generator = await server.get_event_generator(event, ua.ObjectIds.Server)
        return cls(generator, server)

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
        event = self._generator.event
        fields: tuple[tuple[str, Any, Any], ...] = (
            ("ConditionName", name, ua.VariantType.String),
            ("ActiveState/Id", active, ua.VariantType.Boolean),
            ("AckedState/Id", acked, ua.VariantType.Boolean),
            ("Retain", active or not acked, ua.VariantType.Boolean),
            ("Comment", ua.LocalizedText(comment), ua.VariantType.LocalizedText),
            ("ClientUserId", user, ua.VariantType.String),
            ("NodeId", ua.NodeId(f"Press.{name}", 2), ua.VariantType.NodeId),
        )
        for field, value, kind in fields:
            event.add_property(field, value, kind)
        event.Severity = 700 if active else 100
        await self._generator.trigger(
            time_attr=time, message=message or f"{name} {'on' if active else 'off'}"
        )

    @staticmethod
    async def auditor(server: Any) -> "Auditor":
        """Return what reports the writes of clients."""
        event = events.AuditWriteUpdateEvent()
        return Auditor(await server.get_event_generator(event, ua.ObjectIds.Server))


class Auditor:
    """Send an event for each write."""

    def __init__(self, generator: Any) -> None:
        """Keep the generator whose event is filled in anew for each write."""
        self._generator = generator

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
