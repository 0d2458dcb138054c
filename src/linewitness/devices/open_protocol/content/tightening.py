"""What a tightening telegram (0061, 0065) says: values with limits and verdicts, facts, and its identity."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from linewitness.devices.base import Measured, Scalar, Verdict
from linewitness.devices.open_protocol.content.limits import TighteningLimits
from linewitness.devices.open_protocol.ledger.state import NO_ID, ResultCore, ResultEntry
from linewitness.devices.open_protocol.wire.codec import Content, DecodedTelegram, FieldValue

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
#: The place of a result in job and batch.
PLACE: Final = ("job_id", "job_sequence_number", "pset_id", "batch_counter")
#: Values whose angle is scaled by the telegram's own fraction (revision 10 and later).
ANGLES: Final = frozenset({"angle", "rundown_angle", "overall_angle"})


Values = Mapping[str, FieldValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class TighteningContent:
    """What a tightening telegram says; None where it says nothing.

    `unit_configured`: the telegram does not name its torque unit. `contradictions` is what in it contradicts
    itself; nothing is corrected. `counts`: it decides about a unit, as loosening and bookkeeping do not.
    """

    identifier: str | None
    ok: bool | None
    measured: tuple[Measured, ...]
    facts: tuple[tuple[str, Scalar], ...]
    counts: bool
    unit_configured: bool
    tool_serial: str | None
    time: str | None
    contradictions: tuple[str, ...]


def entry_of(decoded: DecodedTelegram) -> ResultEntry | None:
    """Return what identifies this result; None where nothing does, because it is damaged and has no id.

    Where all but the id can be read, the id is `NO_ID`, and its content identifies it.
    """
    number = _number(decoded.values, "tightening_id")
    if number is None:
        return ResultEntry(NO_ID, _core(decoded.values)) if is_readable(decoded) else None
    # A damaged telegram is no evidence about what the controller stored: its core is left blank.
    return ResultEntry(number, _core(decoded.values) if decoded.complete else ResultCore())


def pushed_entry_of(decoded: DecodedTelegram) -> ResultEntry | None:
    """Return what identifies a pushed result: its place in job and batch, too, as far as it tells it.

    A place of 0 is none: a controller may fill it in later, or leave it out in another revision.
    """
    entry = entry_of(decoded)
    if entry is None or entry.core.blank:
        return entry
    found = [decoded.number(key) for key in PLACE]
    place = ".".join(str(number or "") for number in found) if any(found) else ""
    return replace(entry, core=entry.core._replace(place=place))


def place_of(decoded: DecodedTelegram) -> str:
    """Return the place by which a result without an id is known, "" where it is in no batch."""
    found = [decoded.number(key) for key in PLACE]
    return ".".join("" if number is None else str(number) for number in found) if any(found[-1:]) else ""


def is_readable(decoded: DecodedTelegram) -> bool:
    """Whether all but the tightening id could be read."""
    return decoded.complete or replace(decoded, invalid=_but_the_id(decoded.invalid)).complete


def _but_the_id(invalid: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(key for key in invalid if key != "tightening_id")


def read(decoded: DecodedTelegram, torque_unit: str, limits: TighteningLimits | None) -> TighteningContent:
    """Return what the telegram says.

    `torque_unit` holds where the telegram names none; `limits` fill in where it has none.
    """
    values = decoded.values
    unit = _number(values, "torque_unit")
    status = _number(values, "tightening_status")
    kind = _number(values, "result_type")
    return TighteningContent(
        identifier=_text(values, "vin"),
        ok=None if status is None else status == 1,
        measured=tuple(_measured(values, TORQUE_UNITS.get(unit or 0, torque_unit), limits)),
        facts=facts(decoded),
        counts=kind is None or kind in COUNTING,
        unit_configured=unit is None,
        tool_serial=_text(values, "tool_serial_number"),
        time=_text(values, "timestamp"),
        contradictions=tuple(_contradictions(values)),
    )


def facts(decoded: DecodedTelegram) -> tuple[tuple[str, Scalar], ...]:
    """Return what stands in the telegram beside the measured values; nothing where it is blank."""
    return tuple(_facts(decoded.values, decoded.blocks.get("stage_results", ())))


def _core(values: Values) -> ResultCore:
    """Return what the live result and its stored copy have in common."""
    keys = ("timestamp", "torque", "angle", "tightening_status", "torque_status", "angle_status", "vin")
    return ResultCore(*("" if (content := _content(values, key)) is None else str(content) for key in keys))


def _facts(values: Values, stages: tuple[Values, ...]) -> Iterator[tuple[str, Scalar]]:
    for key, name in FACTS:
        found = values.get(key)
        content = None if found is None else found.decimal if key in DECIMAL_FACTS else found.content
        if content is not None:
            yield name, content
    batch = _number(values, "batch_status")
    if batch is not None:
        yield "batch_status", BATCH_STATUS.get(batch, str(batch))
    kind = _number(values, "result_type")
    if kind is not None:
        yield "result_type", RESULT_TYPES.get(kind, str(kind))
    if (_number(values, "tightening_error_status_2") or 0) & LATENT:
        yield "latent", True
    for position, stage in enumerate(stages, start=1):
        yield f"stage_{position}_torque", stage["torque"].decimal
        yield f"stage_{position}_angle", stage["angle"].decimal
    over, under = _number(values, "angle_scale_numerator"), _number(values, "angle_scale_denominator")
    if over and under:
        yield "angle_scale", f"{over}/{under}"


def _contradictions(values: Values) -> Iterator[str]:
    torque, low, high = (_number(values, key) for key in ("torque", "torque_min_limit", "torque_max_limit"))
    if torque is None or not low or not high:
        return
    if _number(values, "tightening_status") == 1 and not low <= torque <= high:
        yield "status OK, torque outside its limits"


def _measured(values: Values, unit: str, limits: TighteningLimits | None) -> Iterator[Measured]:
    known = (
        {}
        if limits is None
        else {
            "torque": (limits.low_torque, limits.high_torque),
            "angle": (limits.low_angle, limits.high_angle),
        }
    )
    for key, name, low_key, high_key, status_key in MEASURED:
        value = values.get(key)
        if value is None or value.content is None:
            continue
        low, high = _decimal(values, low_key), _decimal(values, high_key)
        if low is None and high is None:
            low, high = known.get(key, (None, None))
        status = _number(values, status_key)
        yield Measured(
            field=name,
            value=_decimal(values, key),
            unit=unit if value.unit == "torque" else value.unit,
            low=low,
            high=high,
            status=None if status is None else VERDICTS.get(status),
        )


def _decimal(values: Values, key: str) -> str | None:
    found = values.get(key)
    text = found.decimal if found is not None else None
    over, under = _number(values, "angle_scale_numerator"), _number(values, "angle_scale_denominator")
    if (
        text is None
        or not over
        or not under
        or over == under
        or key.removesuffix("_min").removesuffix("_max") not in ANGLES
    ):
        return text
    return str(Decimal(text) * over / under)


# A telegram has up to a hundred parameters: they are read here and not by a call into the codec each.
def _content(values: Values, key: str) -> Content:
    found = values.get(key)
    return None if found is None else found.content


def _number(values: Values, key: str) -> int | None:
    content = _content(values, key)
    return content if isinstance(content, int) else None


def _text(values: Values, key: str) -> str | None:
    content = _content(values, key)
    return content if isinstance(content, str) else None
