"""Operation results (1201 and its 1202): for controllers that have no 0061, put together from their parts."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from linewitness.devices.base import Measured, Scalar, Verdict
from linewitness.devices.open_protocol.ledger.state import ResultCore, ResultEntry
from linewitness.devices.open_protocol.ledger.tracker import ResultRecord
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram
from linewitness.devices.open_protocol.wire.variable import (
    OperationPart,
    VariableField,
)

TORQUE, ANGLE, IDENTIFIER, TOOL_SERIAL = 2001, 2011, 10, 1202
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
    (1039, "operation_result_type"),
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


@dataclass(slots=True)
class OperationResult:
    """One result: its overall part and its objects, by part number."""

    parts: dict[int, OperationPart] = field(default_factory=dict)
    last: ReceivedTelegram | None = None

    @property
    def complete(self) -> bool:
        """Whether all parts are here."""
        overall = self.parts.get(1)
        return overall is not None and len(self.parts) == overall.total

    @property
    def overall(self) -> OperationPart:
        """The overall part (1201)."""
        return self.parts[1]

    def objects(self) -> list[OperationPart]:
        """Return the parts that carry values: the objects, or the overall part where there are none."""
        return [part for _, part in sorted(self.parts.items()) if part.object_id is not None] or [
            self.overall
        ]

    def text(self, pid: int) -> str | None:
        """Return a parameter from wherever it stands first; None where it is blank or missing."""
        for part in (self.overall, *self.objects()):
            found = part.parameters.get(pid)
            if found is not None and found.text:
                return found.text
        return None

    def record(self, *, live: bool) -> ResultRecord:
        """Return it as a record. Times differ between the event and a fetched copy: they are no evidence."""
        status = "1" if self.overall.ok else "0"
        core = ResultCore("", self.text(TORQUE) or "", self.text(ANGLE) or "", status)
        return ResultRecord(entry=ResultEntry(self.overall.result_id, core), live=live, telegram=self)

    def measured(self) -> Iterator[Measured]:
        """Yield torque and angle of each object, named by the object where there are several."""
        objects = self.objects()
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

    def facts(self) -> Iterator[tuple[str, Scalar]]:
        """Yield what stands beside the values."""
        yield "tightening_id", self.overall.result_id
        for pid, name in FACTS:
            text = self.text(pid)
            if text is not None:
                yield name, text
        yield "parts", self.overall.total

    @property
    def counts(self) -> bool:
        """Whether it decides about a unit."""
        kind = self.text(1039)
        return kind is None or kind.lstrip("0") in COUNTING


def _text(parameter: VariableField | None) -> str | None:
    return parameter.text or None if parameter is not None else None
