"""What a tightening telegram (0061, 0065) says: values with limits and verdicts, facts, and its core."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from linewitness.devices.base import Measured, Scalar, Verdict
from linewitness.devices.open_protocol.ledger.state import ResultCore, ResultEntry
from linewitness.devices.open_protocol.wire.codec import DecodedTelegram

TORQUE_UNITS: Final = MappingProxyType(
    {1: "Nm", 2: "lbf·ft", 3: "lbf·in", 4: "kpm", 5: "kgf·cm", 6: "ozf·in", 7: "%", 8: "Ncm"}
)
RESULT_TYPES: Final = MappingProxyType(
    {
        1: "tightening",
        2: "loosening",
        3: "batch increment",
        4: "batch decrement",
        5: "bypass parameter set",
        6: "abort job",
        7: "sync tightening",
        8: "reference setup",
        9: "batch reset",
        10: "job restart",
    }
)
#: Only these decide about a unit; the others are stored and do not.
COUNTING: Final = frozenset({1, 7})
BATCH_STATUS: Final = MappingProxyType({0: "nok", 1: "ok", 2: "not used", 3: "running"})
VERDICTS: Final[MappingProxyType[int, Verdict]] = MappingProxyType({0: "low", 1: "ok", 2: "high"})
#: The second error word's bit that says a wireless tool delivered late.
LATENT: Final = 1 << 17

#: key of the value → field, key of low, key of high, key of status
MEASURED: Final = (
    ("torque", "torque", "torque_min_limit", "torque_max_limit", "torque_status"),
    ("angle", "angle", "angle_min", "angle_max", "angle_status"),
    ("rundown_angle", "rundown_angle", "rundown_angle_min", "rundown_angle_max", "rundown_angle_status"),
    ("current_value", "current", "current_min", "current_max", "current_monitoring_status"),
    ("selftap_torque", "selftap_torque", "selftap_min", "selftap_max", "selftap_status"),
    ("pvt_torque", "pvt_torque", "pvt_min", "pvt_max", "pvt_monitoring_status"),
    ("current_amp", "current_a", "current_amp_min", "current_amp_max", ""),
    ("overall_angle", "overall_angle", "overall_angle_min", "overall_angle_max", "overall_angle_status"),
    ("peak_torque", "peak_torque", "", "", ""),
    ("residual_breakaway_torque", "residual_breakaway_torque", "", "", ""),
    ("final_angle_decimal", "final_angle", "", "", ""),
    ("compensated_angle", "compensated_angle", "", "", ""),
    ("click_torque", "click_torque", "", "", ""),
    ("click_angle", "click_angle", "", "", ""),
)
FACTS: Final = (
    ("tightening_id", "tightening_id"),
    ("pset_id", "pset"),
    ("pset_name", "pset_name"),
    ("pset_last_change", "pset_last_change"),
    ("job_id", "job"),
    ("job_sequence_number", "job_sequence"),
    ("batch_size", "batch_size"),
    ("batch_counter", "batch_counter"),
    ("sync_tightening_id", "sync_id"),
    ("tool_serial_number", "tool_serial"),
    ("strategy", "strategy"),
    ("tightening_error_status", "error_bits"),
    ("tightening_error_status_2", "error_bits_2"),
    ("customer_error_code", "customer_error"),
    ("identifier_2", "identifier_2"),
    ("identifier_3", "identifier_3"),
    ("identifier_4", "identifier_4"),
    ("torque_final_target", "torque_target"),
    ("final_angle_target", "angle_target"),
    ("station_id", "controller_station"),
)
DECIMAL_FACTS: Final = frozenset({"torque_final_target"})
#: Values whose angle is scaled by the telegram's own fraction (revision 10 and later).
ANGLES: Final = frozenset({"angle", "rundown_angle", "overall_angle"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TighteningLimits:
    """The limits of a parameter set, where they come from, and since when they hold (controller's time)."""

    pset: int
    low_torque: str | None
    high_torque: str | None
    low_angle: str | None
    high_angle: str | None
    since: str | None
    origin: str


def entry_of(decoded: DecodedTelegram) -> ResultEntry | None:
    """Return what identifies this result, or None where its id cannot be read."""
    number = decoded.number("tightening_id")
    if number is None:
        return None
    # A damaged telegram is no evidence about what the controller stored: its core is left blank.
    return ResultEntry(number, core_of(decoded) if decoded.complete else ResultCore())


def core_of(decoded: DecodedTelegram) -> ResultCore:
    """Return what the live result and its stored copy have in common."""
    keys = ("timestamp", "torque", "angle", "tightening_status", "torque_status", "angle_status")
    return ResultCore(*("" if (content := decoded.content(key)) is None else str(content) for key in keys))


def limits_of(decoded: DecodedTelegram) -> TighteningLimits | None:
    """Return the limits that a live result carries, to enrich stored ones with; None where it has none."""
    pset = decoded.number("pset_id")
    if pset is None or decoded.number("torque_min_limit") is None:
        return None
    return TighteningLimits(
        pset=pset,
        low_torque=decoded.decimal("torque_min_limit"),
        high_torque=decoded.decimal("torque_max_limit"),
        low_angle=decoded.decimal("angle_min"),
        high_angle=decoded.decimal("angle_max"),
        since=decoded.text("pset_last_change"),
        origin=f"result {decoded.number('tightening_id')}",
    )


def measured(
    decoded: DecodedTelegram, torque_unit: str, limits: TighteningLimits | None = None
) -> tuple[Measured, ...]:
    """Return the measured values in the order of importance; `limits` fill in where the telegram has none."""
    unit = TORQUE_UNITS.get(decoded.number("torque_unit") or 0, torque_unit)
    return tuple(_measured(decoded, unit, limits))


def facts(decoded: DecodedTelegram) -> Iterator[tuple[str, Scalar]]:
    """Yield what stands in the telegram beside the measured values; nothing where it is blank."""
    for key, name in FACTS:
        value = decoded.decimal(key) if key in DECIMAL_FACTS else decoded.content(key)
        if value is not None:
            yield name, value
    batch = decoded.number("batch_status")
    if batch is not None:
        yield "batch_status", BATCH_STATUS.get(batch, str(batch))
    kind = decoded.number("result_type")
    if kind is not None:
        yield "result_type", RESULT_TYPES.get(kind, str(kind))
    if (decoded.number("tightening_error_status_2") or 0) & LATENT:
        yield "latent", True
    for position, stage in enumerate(decoded.blocks.get("stage_results", ()), start=1):
        yield f"stage_{position}_torque", stage["torque"].decimal
        yield f"stage_{position}_angle", stage["angle"].decimal
    yield from _scale_facts(decoded)


def counts(decoded: DecodedTelegram) -> bool:
    """Whether this result decides about a unit: tightenings do, loosening and bookkeeping do not."""
    kind = decoded.number("result_type")
    return kind is None or kind in COUNTING


def verdict(decoded: DecodedTelegram) -> bool | None:
    """Return whether the controller says OK; None where it says nothing."""
    status = decoded.number("tightening_status")
    return None if status is None else status == 1


def contradictions(decoded: DecodedTelegram) -> Iterator[str]:
    """Yield what in the telegram contradicts itself; nothing is corrected."""
    torque, low, high = (decoded.number(key) for key in ("torque", "torque_min_limit", "torque_max_limit"))
    if torque is None or not low or not high:
        return
    if verdict(decoded) and not low <= torque <= high:
        yield "status OK, torque outside its limits"


def _measured(decoded: DecodedTelegram, unit: str, limits: TighteningLimits | None) -> Iterator[Measured]:
    known = (
        {}
        if limits is None
        else {
            "torque": (limits.low_torque, limits.high_torque),
            "angle": (limits.low_angle, limits.high_angle),
        }
    )
    for key, name, low_key, high_key, status_key in MEASURED:
        value = decoded.values.get(key)
        if value is None or value.content is None:
            continue
        low, high = _decimal(decoded, low_key), _decimal(decoded, high_key)
        if low is None and high is None:
            low, high = known.get(key, (None, None))
        yield Measured(
            field=name,
            value=_decimal(decoded, key),
            unit=unit if value.unit == "torque" else value.unit,
            low=low,
            high=high,
            status=VERDICTS.get(number) if (number := decoded.number(status_key)) is not None else None,
        )


def _decimal(decoded: DecodedTelegram, key: str) -> str | None:
    text = decoded.decimal(key)
    over, under = decoded.number("angle_scale_numerator"), decoded.number("angle_scale_denominator")
    if (
        text is None
        or not over
        or not under
        or over == under
        or key.removesuffix("_min").removesuffix("_max") not in ANGLES
    ):
        return text
    return str(Decimal(text) * over / under)


def _scale_facts(decoded: DecodedTelegram) -> Iterator[tuple[str, Scalar]]:
    over, under = decoded.number("angle_scale_numerator"), decoded.number("angle_scale_denominator")
    if over and under:
        yield "angle_scale", f"{over}/{under}"
