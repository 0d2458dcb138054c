"""Turn events into evidence: alarms into notices, audited writes into who changed a value."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from asyncua import ua

from linewitness.base.clock import Stamp
from linewitness.devices.base import Notice
from linewitness.devices.opcua.decoding.times import ClockWitness
from linewitness.devices.opcua.decoding.values import plain
from linewitness.devices.opcua.monitor import Item
from linewitness.devices.opcua.notifications.alarms import AlarmStates
from linewitness.devices.opcua.notifications.events import CONDITION, alarm_fields, audit_fields

#: Writes that are remembered for each node until the change that they made arrives.
WRITES: Final = 50


class AlarmNotices:
    """The alarm points of one session."""

    def __init__(self, *, device: str, session_id: str, known: Mapping[str, str]) -> None:
        """Begin with the remembered states, keyed `alarm.<point>.<name>`."""
        self._device = device
        self._session_id = session_id
        self._known = known
        self._states: dict[str, AlarmStates] = {}

    def _states_of(self, point: str) -> AlarmStates:
        if point not in self._states:
            prefix = f"alarm.{point}."
            self._states[point] = AlarmStates(
                {
                    key.removeprefix(prefix): state
                    for key, state in self._known.items()
                    if key.startswith(prefix)
                }
            )
        return self._states[point]

    def take(
        self, item: Item, values: Sequence[ua.Variant], received: Stamp, witness: ClockWitness
    ) -> Iterator[Notice]:
        """Yield a notice for each step that an event means."""
        point = item.point.id if item.point else item.text
        fields = alarm_fields(values)
        time, server_time = fields.get("time"), fields.get("received")
        stamped = ua.DataValue(SourceTimestamp=_moment(time), ServerTimestamp=_moment(server_time))
        states = self._states_of(point)
        # A condition that stood before us brings the time when it began.
        judge = witness.historic if states.refreshing else witness.live
        for step in states.take(fields):
            when = judge(stamped, received)
            yield Notice(
                device=self._device,
                session_id=self._session_id,
                received=received,
                when=when,
                remember={f"alarm.{point}.{step.alarm}": step.state},
                kind=step.kind,
                resource_type="alarm",
                resource_id=step.alarm or str(fields.get(CONDITION)),
                changes=step.changes,
                reason=step.reason,
                operator=step.operator,
            )


def _moment(value: object) -> Any:
    return value if isinstance(value, datetime) else None


class AuditTrail:
    """Who wrote which value, from the server's audit events, until the change itself arrives."""

    def __init__(self) -> None:
        """Begin knowing of no write."""
        self._writes: dict[str, deque[tuple[object, str]]] = {}
        self._taken: set[tuple[int, int]] = set()

    def take(self, key: tuple[int, int], events: Sequence[Any], handles: frozenset[int]) -> None:
        """Take over the writes of one delivery, named by subscription and sequence; once only."""
        if key in self._taken:
            return
        self._taken.add(key)
        for event in events:
            if event.ClientHandle not in handles:
                continue
            fields = audit_fields(event.EventFields)
            node, user = fields.get("source_node"), fields.get("user")
            if isinstance(node, ua.NodeId) and isinstance(user, str) and user:
                self._writes.setdefault(node.to_string(), deque(maxlen=WRITES)).append(
                    (fields.get("new"), user)
                )

    def forget(self, key: tuple[int, int]) -> None:
        """Forget that a delivery was taken over: it will not come again."""
        self._taken.discard(key)

    def who(self, node: ua.NodeId | None, value: ua.Variant | None) -> str | None:
        """Return who wrote this value to this node; writes before it are past and forgotten."""
        writes = self._writes.get(node.to_string()) if node is not None else None
        if not writes:
            return None
        told = plain(value)
        for place, (new, user) in enumerate(writes):
            if new == told:
                for _ in range(place + 1):
                    writes.popleft()
                return user
        return None
