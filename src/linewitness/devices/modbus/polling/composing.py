"""Compose a result out of the registers that it was read from. Pure: no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from linewitness.devices.base import Measured, Quality, Scalar, Verdict
from linewitness.devices.modbus.points import NUMBERS, Order
from linewitness.devices.modbus.polling.decode import Decoded, decoder, slice_of
from linewitness.devices.modbus.result_options import ModbusResult, ResultField


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """The values of one result; `troubles` says which have no value and why."""

    number: int | None
    identifier: str | None
    ok: bool | None
    measured: tuple[Measured, ...]
    facts: tuple[tuple[str, Scalar], ...]
    troubles: tuple[str, ...]


class Composer:
    """Knows the fields of one source of results."""

    def __init__(self, options: ModbusResult, order: Order) -> None:
        """Compile how the fields are read."""
        self._options = options
        self._decoders = [(each, decoder(each, order)) for each in options.fields]
        self._roles = {options.number_field, options.identifier_field}

    def compose(self, pieces: Sequence[tuple[int, bytes, Sequence[ResultField]]]) -> Composed:
        """Return the result that these pieces hold: first address, bytes, and the fields that are in them."""
        where = {each.id: (first, data) for first, data, fields in pieces for each in fields}
        values: dict[str, Decoded] = {}
        for each, decode in self._decoders:
            first, data = where[each.id]
            values[each.id] = decode(slice_of(each, first, data))
        measured, facts = self._sorted_out(values)
        return Composed(
            number=_whole(values, self._options.number_field),
            identifier=_text(values, self._options.identifier_field),
            ok=_truth(values, self._options.ok_field),
            measured=measured,
            facts=facts,
            troubles=tuple(
                f"{name}: {value.status}"
                for name, value in values.items()
                if value.quality is not Quality.GOOD
            ),
        )

    def _sorted_out(
        self, values: Mapping[str, Decoded]
    ) -> tuple[tuple[Measured, ...], tuple[tuple[str, Scalar], ...]]:
        measured: list[Measured] = []
        facts: list[tuple[str, Scalar]] = []
        for each, _ in self._decoders:
            value = values[each.id].value
            if each.id in self._roles:
                continue
            if isinstance(value, Mapping):
                facts += [(f"{each.id}.{name}", part) for name, part in value.items()]
            elif each.kind in NUMBERS and not each.labels and each.id != self._options.ok_field:
                measured.append(_measured(each, value))
            else:
                facts.append((each.id, value))
        return tuple(measured), tuple(facts)


def _measured(field: ResultField, value: Scalar) -> Measured:
    return Measured(
        field=field.id,
        value=value,
        unit=field.unit,
        low=_plain(field.low),
        high=_plain(field.high),
        status=_verdict(field, value),
    )


def _verdict(field: ResultField, value: Scalar) -> Verdict | None:
    if (field.low is None and field.high is None) or not isinstance(value, str):
        return None
    number = Decimal(value)
    if field.low is not None and number < field.low:
        return "low"
    if field.high is not None and number > field.high:
        return "high"
    return "ok"


def _plain(limit: Decimal | None) -> str | None:
    return None if limit is None else format(limit, "f")


def _whole(values: Mapping[str, Decoded], name: str | None) -> int | None:
    value = values[name].value if name is not None else None
    return int(value) if isinstance(value, str) and value.lstrip("-").isdecimal() else None


def _text(values: Mapping[str, Decoded], name: str | None) -> str | None:
    value = values[name].value if name is not None else None
    return str(value) if isinstance(value, str) and value else None


def _truth(values: Mapping[str, Decoded], name: str | None) -> bool | None:
    value = values[name].value if name is not None else None
    if isinstance(value, bool):
        return value
    whole = _whole(values, name)
    return None if whole is None else whole != 0
