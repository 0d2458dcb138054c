"""Follow alarms and conditions: raised, acknowledged by whom with which words, cleared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from asyncua import ua

from linewitness.devices.base import Scalar
from linewitness.devices.opcua.connection.wire import ObjectIds, standard
from linewitness.devices.opcua.decoding.values import plain
from linewitness.devices.opcua.notifications.events import CONDITION

REFRESH_START: Final = standard(ObjectIds.RefreshStartEventType)
REFRESH_END: Final = standard(ObjectIds.RefreshEndEventType)
#: State of an alarm as it is remembered: active, then acknowledged.
ACTIVE: Final = "active"
ACKED: Final = "active,acked"
WAITING: Final = "cleared,unacked"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmEvent:
    """One step of one alarm, for a notice; `state` is what to remember, None once it is over."""

    kind: str
    alarm: str
    changes: tuple[tuple[str, Scalar, Scalar], ...]
    reason: str
    operator: str | None
    state: str | None


def text_of(value: object) -> str:
    """Return a raw field as text; empty where there is none."""
    content = plain(ua.Variant(value)) if isinstance(value, ua.LocalizedText | ua.NodeId) else value
    return "" if content is None else str(content)


class AlarmStates:
    """The alarms of one point, as the server last reported them."""

    def __init__(self, known: Mapping[str, str]) -> None:
        """Begin with what is remembered of alarms that are not over."""
        self._known = dict(known)
        self._refreshed: set[str] | None = None

    @property
    def refreshing(self) -> bool:
        """Whether the server is reporting what is active, rather than what changes."""
        return self._refreshed is not None

    def take(self, fields: Mapping[str, object]) -> list[AlarmEvent]:
        """Return the steps that an event means: none for a repetition or for what is no alarm."""
        kind = fields.get("event_type")
        if kind == REFRESH_START:
            self._refreshed = set()
            return []
        if kind == REFRESH_END:
            return self._vanished()
        active = fields.get("active")
        if not isinstance(active, bool):
            return []
        name = self._name(fields)
        if self._refreshed is not None:
            self._refreshed.add(name)
        return self._steps(name, active=active, acked=bool(fields.get("acked")), fields=fields)

    @staticmethod
    def _name(fields: Mapping[str, object]) -> str:
        condition = text_of(fields.get("condition"))
        source = text_of(fields.get("source"))
        return "/".join(part for part in (source, condition) if part) or text_of(fields.get(CONDITION))

    def _steps(
        self, name: str, *, active: bool, acked: bool, fields: Mapping[str, object]
    ) -> list[AlarmEvent]:
        before = self._known.get(name)
        was_active, was_acked = before in {ACTIVE, ACKED}, before == ACKED
        steps: list[AlarmEvent] = []
        message, user, comment = (text_of(fields.get(key)) for key in ("message", "user", "comment"))
        if active and not was_active:
            severity = fields.get("severity")
            steps.append(
                AlarmEvent(
                    kind="alarm.raised",
                    alarm=name,
                    changes=(
                        ("active", False, True),
                        ("severity", None, None if severity is None else str(severity)),
                    ),
                    reason=message or "raised",
                    operator=None,
                    state=ACTIVE,
                )
            )
            was_acked = False
        over = not active and acked
        if acked and not was_acked and (active or before is not None):
            steps.append(
                AlarmEvent(
                    kind="parameter.changed",
                    alarm=name,
                    changes=(("acknowledged", False, True),),
                    reason=comment or "acknowledged",
                    operator=user or None,
                    state=ACKED if active else None,
                )
            )
        if not active and was_active:
            steps.append(
                AlarmEvent(
                    kind="alarm.cleared",
                    alarm=name,
                    changes=(("active", True, False),),
                    reason=message or "cleared",
                    operator=None,
                    state=None if over else WAITING,
                )
            )
        self._keep(name, steps)
        return steps

    def _keep(self, name: str, steps: list[AlarmEvent]) -> None:
        if not steps:
            return
        state = steps[-1].state
        if state is None:
            self._known.pop(name, None)
        else:
            self._known[name] = state

    def _vanished(self) -> list[AlarmEvent]:
        """Return the clearing of alarms that are known as active and that the refresh did not name."""
        told, self._refreshed = self._refreshed or set(), None
        vanished = [
            name for name in sorted(set(self._known) - told) if self._known.pop(name) in {ACTIVE, ACKED}
        ]
        return [
            AlarmEvent(
                kind="alarm.cleared",
                alarm=name,
                changes=(("active", True, False),),
                reason="cleared while nobody listened",
                operator=None,
                state=None,
            )
            for name in vanished
        ]
