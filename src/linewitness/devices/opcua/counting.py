"""Count results, and judge measured values: what needs no server to be understood."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final, Literal

from asyncua import ua

from linewitness.devices.base import Measured, Scalar, Verdict
from linewitness.devices.opcua.decoding.values import Value, quality
from linewitness.devices.opcua.options import FieldOptions

#: After the largest value of its type a counter goes on with 0: that 0 is a result, not a reset.
LARGEST: Final = frozenset({127, 255, 32_767, 65_535, 2_147_483_647, 4_294_967_295})

Step = Literal["same", "next", "reset", "restarted"]


@dataclass(frozen=True, slots=True)
class Move:
    """What a counter's step means: results before this one that nobody read, and whether one stands now."""

    step: Step
    missed: tuple[int, int] | None = None


def counted(before: int | None, now: int) -> Move:
    """Return what it means that a counter went from `before` (None: never seen) to `now`."""
    if before is None or now == before:
        return Move("same")
    if now > before:
        return Move("next", None if now == before + 1 else (before + 1, now - 1))
    if before in LARGEST and now == 0:
        return Move("next")
    if now == 0:
        return Move("reset")
    return Move("restarted", None if now == 1 else (1, now - 1))


def verdict(value: Scalar, low: Decimal | None, high: Decimal | None) -> Verdict | None:
    """Return where a value lies; None without limits or for what is no number."""
    if (low is None and high is None) or not isinstance(value, str):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    if number.is_nan():
        return "nok"
    if low is not None and number < low:
        return "low"
    return "high" if high is not None and number > high else "ok"


def measured_of(field: FieldOptions, told: Value, status: ua.StatusCode | None) -> list[Measured]:
    """Return a field's value; each part of an array or a structure by itself."""
    content = told if quality(status) != "bad" else None
    parts = dict(content) if isinstance(content, Mapping) else {"": content}
    return [
        Measured(
            field=f"{field.id}{path}" if not path or path.startswith("[") else f"{field.id}.{path}",
            value=part,
            unit=field.unit,
            low=None if field.low is None else str(field.low),
            high=None if field.high is None else str(field.high),
            status=verdict(part, field.low, field.high),
        )
        for path, part in parts.items()
    ]
