"""Ask for events and read them: alarms and conditions, and who wrote what."""

from collections.abc import Mapping, Sequence
from typing import Final

from asyncua import ua

from linewitness.devices.opcua.connection.wire import AttributeIds, ObjectIds, standard
from linewitness.devices.opcua.decoding.values import plain

_IDS = ObjectIds
#: Fields of alarms, by browse path below the type that declares them (OPC 10000-9).
_ALARM_FIELDS: Final[tuple[tuple[str, int, str], ...]] = (
    ("event_id", _IDS.BaseEventType, "EventId"),
    ("event_type", _IDS.BaseEventType, "EventType"),
    ("source_node", _IDS.BaseEventType, "SourceNode"),
    ("source", _IDS.BaseEventType, "SourceName"),
    ("time", _IDS.BaseEventType, "Time"),
    ("received", _IDS.BaseEventType, "ReceiveTime"),
    ("message", _IDS.BaseEventType, "Message"),
    ("severity", _IDS.BaseEventType, "Severity"),
    ("condition", _IDS.ConditionType, "ConditionName"),
    ("retain", _IDS.ConditionType, "Retain"),
    ("comment", _IDS.ConditionType, "Comment"),
    ("user", _IDS.ConditionType, "ClientUserId"),
    ("acked", _IDS.AcknowledgeableConditionType, "AckedState/Id"),
    ("confirmed", _IDS.AcknowledgeableConditionType, "ConfirmedState/Id"),
    ("active", _IDS.AlarmConditionType, "ActiveState/Id"),
)
_AUDIT_FIELDS: Final[tuple[tuple[str, int, str], ...]] = (
    ("event_type", _IDS.BaseEventType, "EventType"),
    ("source_node", _IDS.BaseEventType, "SourceNode"),
    ("time", _IDS.BaseEventType, "Time"),
    ("user", _IDS.AuditEventType, "ClientUserId"),
    ("attribute", _IDS.AuditWriteUpdateEventType, "AttributeId"),
    ("old", _IDS.AuditWriteUpdateEventType, "OldValue"),
    ("new", _IDS.AuditWriteUpdateEventType, "NewValue"),
)
#: The name of the condition's own node, which is an attribute and no field.
CONDITION: Final = "condition_id"


def _clause(type_id: int, path: str) -> ua.SimpleAttributeOperand:
    return ua.SimpleAttributeOperand(
        TypeDefinitionId=standard(type_id),
        BrowsePath=[ua.QualifiedName(name, 0) for name in path.split("/")],
        AttributeId=AttributeIds.Value,
    )


def _of_type(type_id: int) -> ua.ContentFilter:
    operand = ua.LiteralOperand(Value=ua.Variant(standard(type_id), ua.VariantType.NodeId))
    element = ua.ContentFilterElement(FilterOperator=ua.FilterOperator.OfType, FilterOperands=[operand])
    return ua.ContentFilter(Elements=[element])


def alarm_filter() -> ua.EventFilter:
    """Ask for all fields of alarms, and of every other event of the source that has no condition."""
    clauses = [_clause(type_id, path) for _, type_id, path in _ALARM_FIELDS]
    own_node = ua.SimpleAttributeOperand(
        TypeDefinitionId=standard(_IDS.ConditionType), BrowsePath=[], AttributeId=AttributeIds.NodeId
    )
    return ua.EventFilter(SelectClauses=[*clauses, own_node])


def audit_filter() -> ua.EventFilter:
    """Ask for who wrote which value."""
    clauses = [_clause(type_id, path) for _, type_id, path in _AUDIT_FIELDS]
    return ua.EventFilter(SelectClauses=clauses, WhereClause=_of_type(_IDS.AuditWriteUpdateEventType))


def alarm_fields(values: Sequence[ua.Variant]) -> Mapping[str, object]:
    """Return the fields of an event by name, raw; missing ones are None."""
    names = [*(name for name, _, _ in _ALARM_FIELDS), CONDITION]
    return {name: value.Value for name, value in zip(names, values, strict=False)}


def audit_fields(values: Sequence[ua.Variant]) -> Mapping[str, object]:
    """Return the fields of a write by name: values as evidence writes them, the rest raw."""
    fields: dict[str, object] = {}
    for (name, _, _), value in zip(_AUDIT_FIELDS, values, strict=False):
        fields[name] = plain(value) if name in {"old", "new"} else value.Value
    return fields
