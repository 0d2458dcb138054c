"""What an operation result says (1201 and its 1202), for controllers that have no 0061."""

from collections.abc import Iterator
from typing import Final

from linewitness.devices.base import Measured, Scalar, Verdict
from linewitness.devices.open_protocol.ledger.state import ResultCore, ResultEntry, ResultRecord
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram
from linewitness.devices.open_protocol.wire.variable import OperationParts, VariableField

TORQUE, ANGLE, IDENTIFIER, TOOL_SERIAL, RESULT_TYPE = 2001, 2011, 10, 1202, 1039
#: field → parameter ids of value, high, low, status
MEASURED: Final = (("torque", TORQUE, 2002, 2003, 1402), ("angle", ANGLE, 2012, 2013, 1403))
FACTS: Final = (
    (100, "batch_size"),
    (101, "batch_counter"),
    (105, "batch_status"),
    (1000, "pset"),
    (1001, "pset_name"),
    (1003, "pset_last_change"),
    (1037, "error_bits"),
    (1038, "error_bits_2"),
    (RESULT_TYPE, "operation_result_type"),
    (1201, "tool_article"),
    (TOOL_SERIAL, "tool_serial"),
    (1300, "bolt_name"),
    (1301, "bolt_number"),
    (2000, "torque_target"),
    (2010, "angle_target"),
)
#: Result types (1039) that are tightenings.
COUNTING: Final = frozenset({"1", "3", "5"})
VERDICTS: Final[dict[str, Verdict]] = {"0": "low", "1": "ok", "2": "high"}


def record_of(operation: OperationParts, received: ReceivedTelegram, *, live: bool) -> ResultRecord:
    """Return an operation as a result, `received` with its last telegram.

    Times differ between the event and a fetched copy: they are no evidence.
    """
    status = "1" if operation.overall.ok else "0"
    core = ResultCore("", operation.text(TORQUE) or "", operation.text(ANGLE) or "", status)
    return ResultRecord(
        entry=ResultEntry(operation.overall.result_id, core), live=live, received=received, content=operation
    )


def measured(operation: OperationParts) -> Iterator[Measured]:
    """Yield torque and angle of each object, named by the object where there are several."""
    objects = operation.objects()
    for part in objects:
        prefix = f"object_{part.object_id}_" if len(objects) > 1 else ""
        for name, value, high, low, status in MEASURED:
            found = part.parameters.get(value)
            if found is not None and found.text:
                yield Measured(
                    field=prefix + name,
                    value=found.text,
                    unit=found.unit,
                    low=_text(part.parameters.get(low)),
                    high=_text(part.parameters.get(high)),
                    status=VERDICTS.get(_text(part.parameters.get(status)) or ""),
                )


def facts(operation: OperationParts) -> Iterator[tuple[str, Scalar]]:
    """Yield what stands beside the values."""
    yield "tightening_id", operation.overall.result_id
    for pid, name in FACTS:
        text = operation.text(pid)
        if text is not None:
            yield name, text
    yield "parts", operation.overall.total


def counts(operation: OperationParts) -> bool:
    """Whether it decides about a unit."""
    kind = operation.text(RESULT_TYPE)
    return kind is None or kind.lstrip("0") in COUNTING


def _text(parameter: VariableField | None) -> str | None:
    return parameter.text or None if parameter is not None else None
