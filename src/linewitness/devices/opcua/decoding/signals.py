"""Collect telemetry in columns, at as little cost for each value as there can be."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from asyncua import ua

from linewitness.base.clock import Stamp
from linewitness.base.mappings import EMPTY
from linewitness.devices.base import Signals, When
from linewitness.devices.opcua.decoding.times import unix_ns
from linewitness.devices.opcua.decoding.values import Value, overflowed, shortest_float32, status_name

#: Types that are passed on as they are.
AS_THEY_ARE: Final = (float, int, str, bool)
INFINITE: Final = (float("inf"), float("-inf"))
SEVERITY_AND_CODE: Final = 0xFFFF_0000


@dataclass(slots=True)
class TelemetryBlock:
    """Columns of telemetry while they are collected."""

    points: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    statuses: dict[int, str] = field(default_factory=dict)
    overflowed: list[str] = field(default_factory=list)

    def add(
        self,
        point: str,
        value: Any,
        *,
        told: Callable[[ua.Variant | None], Value],
        arrived_ns: int,
        shift_ns: int,
    ) -> None:
        """Append one value; `told` writes what is neither number nor text, `shift_ns` mends its time."""
        variant = value.Value
        content = variant.Value
        if type(content) is float:
            if content != content or content in INFINITE:  # noqa: PLR0124 - only NaN differs from itself
                content = None
            elif variant.VariantType is ua.VariantType.Float:
                content = shortest_float32(content)
        elif type(content) not in AS_THEY_ARE:
            content = told(variant)
        status = value.StatusCode
        if status is not None and status.value:
            if status.value & SEVERITY_AND_CODE:
                self.statuses[len(self.points)] = status_name(status)
            if overflowed(status):
                self.overflowed.append(point)
        stamp = value.SourceTimestamp or value.ServerTimestamp
        self.points.append(point)
        self.values.append(content)
        self.times.append(arrived_ns if stamp is None else unix_ns(stamp) - shift_ns)

    def signals(self, *, device: str, session_id: str, received: Stamp, backfilled: bool = False) -> Signals:
        """Return the columns as one observation."""
        return Signals(
            device=device,
            session_id=session_id,
            received=received,
            when=When(occurred_ns=received.realtime_ns, occurred_from="gateway"),
            backfilled=backfilled,
            points=tuple(self.points),
            values=tuple(self.values),
            times_ns=tuple(self.times),
            statuses=self.statuses or EMPTY,
        )
