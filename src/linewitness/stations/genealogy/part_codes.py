"""Read the code of a part: which part it is, its serial number or lot, and what else its maker says."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Final

from linewitness.base.patterns import compiled
from linewitness.stations.checklist.options import ComponentRequirement

#: Separates the fields of a GS1 code that have no fixed length.
_SEPARATOR: Final = "\x1d"
#: Amounts that a lot may have; what lies between has fewer digits than a Decimal keeps.
_LEAST: Final = Decimal("0.000000001")
_MOST: Final = Decimal(1_000_000_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartCode:
    """What a code says of a part. `wrong` says why it cannot be used although it is a code of this part."""

    part: str
    serial: str = ""
    lot: str = ""
    quantity: Decimal | None = None
    expiry: date | None = None
    supplier: str = ""
    position: str = ""
    wrong: str = ""

    @property
    def name(self) -> str:
        """The serial number, or else the lot."""
        return self.serial or self.lot


def as_lot(part: PartCode) -> PartCode:
    """Return what is loaded as each unit sees it: a lot. The number of a reel without a lot is its lot."""
    return replace(part, serial="", lot=part.lot or part.serial)


def read_part(text: str, need: ComponentRequirement) -> PartCode | None:
    """Return what a code says if it is one of this requirement's form, otherwise None."""
    if need.gtin is not None:
        return _read_gs1(text, need, need.gtin)
    found = compiled(need.pattern).fullmatch(text) if need.pattern else None
    if found is None:
        return None
    groups = {name: value or "" for name, value in found.items()}
    return _part_code(groups, need, expiry=_day_of(groups.get("expiry", "")))


def _read_gs1(text: str, need: ComponentRequirement, gtin: str) -> PartCode | None:
    """Return what a GS1 element string says if it names this GTIN (GS1 General Specifications, 3.2)."""
    # Imported where it is needed: only a line with GS1 codes pays for it.
    from biip import BiipException  # noqa: PLC0415
    from biip.gs1_messages import GS1Message  # noqa: PLC0415

    # A reader may put its symbology identifier before it (ISO/IEC 15424), and a separator.
    elements = text[3:] if text.startswith("]") else text
    try:
        message = GS1Message.parse(elements.strip(_SEPARATOR))
    except (BiipException, ValueError):
        return None
    values = {element.ai.ai: element for element in message.element_strings}
    twice = {
        element.ai.ai for element in message.element_strings if element.value != values[element.ai.ai].value
    }
    named = values.get("01") or values.get("02")
    if named is None or named.value.zfill(14) != gtin.zfill(14):
        return None
    days = [day for ai in ("17", "7003") if ai in values and (day := values[ai].date) is not None]
    amount = values.get("30") or values.get("37")
    groups = {
        "serial": values["21"].value if "21" in values else "",
        "lot": values["10"].value if "10" in values else "",
        "quantity": amount.value if amount else "",
    }
    code = _part_code(groups, need, expiry=min(days, default=None))
    return _with(code, f"it says ({min(twice)}) twice, and not the same") if twice else code


def _part_code(
    groups: Mapping[str, str], need: ComponentRequirement, *, expiry: date | str | None
) -> PartCode:
    wrong = ""
    if isinstance(expiry, str):
        wrong, expiry = f"its expiry {expiry!r} is no date", None
    quantity, amount = None, groups.get("quantity", "")
    if amount:
        try:
            quantity = Decimal(amount)
        except InvalidOperation:
            wrong = f"its quantity {amount!r} is no number"
    part = groups.get("part", "") or need.part
    code = PartCode(
        part=part,
        serial=groups.get("serial", ""),
        lot=groups.get("lot", ""),
        quantity=quantity,
        expiry=expiry,
        supplier=groups.get("supplier", "") or need.supplier,
        position=groups.get("position", ""),
        wrong=wrong,
    )
    if part != need.part:
        return _with(code, f"it is part {part}, and {need.part} belongs here")
    if not code.name:
        return _with(code, "it has neither a serial number nor a lot")
    if quantity is not None and not _is_amount(quantity):
        return _with(code, f"its quantity {amount!r} is no amount from 0.000000001 to 1000000000000")
    return code


def _is_amount(quantity: Decimal) -> bool:
    """Return whether an amount can be counted down without rounding."""
    return quantity.is_finite() and _LEAST <= quantity <= _MOST and quantity == quantity.quantize(_LEAST)


def _with(code: PartCode, wrong: str) -> PartCode:
    return replace(code, wrong=code.wrong or wrong)


def _day_of(text: str) -> date | str | None:
    """Return a day written YYYY-MM-DD or YYMMDD, the text itself where it is none, None where it is empty."""
    if not text:
        return None
    try:
        if len(text) == 6 and text.isdigit():  # noqa: PLR2004 (YYMMDD)
            return date(2000 + int(text[:2]), int(text[2:4]), int(text[4:]))
        return date.fromisoformat(text)
    except ValueError:
        return text
