"""What a station needs to know of its devices and points, taken from the YAML by the composition root."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Literal, Protocol

from linewitness.devices.base import Scalar, Verdict

RecordMode = Literal["change", "result", "alarm", "telemetry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PointRule:
    """How one point is recorded, and the limits that its value should keep."""

    record: RecordMode = "change"
    unit: str | None = None
    low: Decimal | None = None
    high: Decimal | None = None

    def status(self, value: Scalar) -> Verdict | None:
        """Return `ok`, `low` or `high`; None where there are no limits or the value is no number."""
        if (self.low is None and self.high is None) or value is None or isinstance(value, bool):
            return None
        try:
            number = Decimal(value)
        except InvalidOperation:
            return "nok"
        if number.is_nan():
            return "nok"
        if self.low is not None and number < self.low:
            return "low"
        if self.high is not None and number > self.high:
            return "high"
        return "ok"


class ShareRule(Protocol):
    """How much of the journal one device may take, and how many seconds of that may come at once."""

    @property
    def records_per_s(self) -> float:
        """Records a second."""

    @property
    def bytes_per_s(self) -> int:
        """Bytes a second."""

    @property
    def burst_s(self) -> float:
        """Seconds of both that may come at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRule:
    """What the YAML says of one device that its observations do not say themselves."""

    points: Mapping[str, PointRule] = field(default_factory=dict)


ANY_POINT = PointRule()
ANY_DEVICE = DeviceRule()
