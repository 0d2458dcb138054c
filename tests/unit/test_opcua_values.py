"""How OPC UA values are written as evidence."""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from asyncua.ua.uatypes import Variant
from hypothesis import given
from hypothesis import strategies as st

from linewitness.devices.base import Quality
from linewitness.devices.opcua.decoding.values import decimal_text, overflowed, plain, quality, status_name
from linewitness_simulators.press.library import ua

V = ua.VariantType


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (12.3, "12.3"),
        (1.0, "1"),
        (-0.5, "-0.5"),
        (1e-7, "0.0000001"),
        (1e22, "1E+22"),
        (0.1 + 0.2, "0.30000000000000004"),
    ],
)
def test_float64_has_its_shortest_decimals(number: float, text: str) -> None:
    assert decimal_text(number) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float64_comes_back_from_its_text(number: float) -> None:
    assert float(Decimal(decimal_text(number))) == number


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_every_float32_comes_back_from_its_text(number: float) -> None:
    text = decimal_text(number, single=True)
    assert struct.pack("<f", float(text)) == struct.pack("<f", number)
    assert len(Decimal(text).as_tuple().digits.__str__()) <= len(
        Decimal(decimal_text(number)).as_tuple().digits.__str__()
    )


def test_float32_shows_what_the_plc_meant() -> None:
    single = struct.unpack("<f", struct.pack("<f", 12.3))[0]
    assert plain(ua.Variant(single, V.Float)) == "12.3"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_told_in_words(number: float) -> None:
    assert plain(ua.Variant(number, V.Double)) in {"NaN", "Infinity", "-Infinity"}


@pytest.mark.parametrize(
    ("variant", "told"),
    [
        (ua.Variant(True, V.Boolean), True),
        (ua.Variant(2**63, V.UInt64), "9223372036854775808"),
        (ua.Variant("öl", V.String), "öl"),
        (ua.Variant(None, V.String), None),
        (ua.Variant(b"\x01\xff", V.ByteString), "01ff"),
        (ua.Variant(ua.LocalizedText("ein"), V.LocalizedText), "ein"),
        (ua.Variant(ua.QualifiedName("a", 2), V.QualifiedName), "2:a"),
        (ua.Variant(ua.NodeId("x", 2), V.NodeId), "ns=2;s=x"),
        (
            ua.Variant(datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), V.DateTime),
            "2026-01-02T03:04:05.000006Z",
        ),
        (ua.Variant([1.5, 2.0], V.Double), {"[0]": "1.5", "[1]": "2"}),
        (ua.Variant([[1, 2], [3, 4]], V.Int16), {"[0][0]": "1", "[0][1]": "2", "[1][0]": "3", "[1][1]": "4"}),
        (ua.Variant([], V.Double), {}),
    ],
)
def test_each_type_has_its_form(variant: Variant, told: bool | dict[str, str] | str | None) -> None:
    assert plain(variant) == told


@dataclass
class Step:
    Name: str
    Forces: list[Any]


def test_structure_is_told_field_by_field() -> None:
    variant = ua.Variant([Step("press", [1.5, 2.5])], V.ExtensionObject)
    assert plain(variant) == {"[0].Name": "press", "[0].Forces[0]": "1.5", "[0].Forces[1]": "2.5"}


def test_large_array_is_named_by_its_hash_which_any_change_alters() -> None:
    one: Any = plain(ua.Variant([0.0] * 1000, V.Double))
    other: Any = plain(ua.Variant([0.0] * 999 + [1.0], V.Double))
    assert one["fields"] == "1000"
    assert one["sha256"] != other["sha256"]


@pytest.mark.parametrize(
    ("code", "kept", "name"),
    [
        (0, Quality.GOOD, "Good"),
        (0x480, Quality.GOOD, "Good"),
        (0x40900000, Quality.UNCERTAIN, "UncertainLastUsableValue"),
        (0x808A0000, Quality.BAD, "BadNotConnected"),
        (0x808A0480, Quality.BAD, "BadNotConnected"),
        (0x8FFF0000, Quality.BAD, "0x8fff0000"),
        (0xC0000000, Quality.BAD, "0xc0000000"),
    ],
)
def test_status_is_named_and_judged(code: int, kept: Quality, name: str) -> None:
    assert (quality(ua.StatusCode(code)), status_name(ua.StatusCode(code))) == (kept, name)


def test_overflow_is_only_the_overflow_bit_of_a_data_value() -> None:
    assert overflowed(ua.StatusCode(0x480))
    assert overflowed(ua.StatusCode(0x808A0480))
    assert not overflowed(ua.StatusCode(0x400))
    assert not overflowed(ua.StatusCode(0x080))
    assert not overflowed(ua.StatusCode(0))
    assert not overflowed(None)
