"""What a counter's step means, and where a measured value lies."""

from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewitness.devices.opcua.counting import Move, counted, measured_of, verdict
from linewitness.devices.opcua.options import FieldOptions
from linewitness_simulators.press.library import ua


@pytest.mark.parametrize(
    ("before", "now", "move"),
    [
        (None, 7, Move("same")),
        (7, 7, Move("same")),
        (7, 8, Move("next")),
        (7, 11, Move("next", (8, 10))),
        (65_535, 0, Move("next")),
        (900, 0, Move("reset")),
        (900, 1, Move("restarted")),
        (900, 4, Move("restarted", (1, 3))),
    ],
)
def test_each_step_has_its_meaning(before: int | None, now: int, move: Move) -> None:
    assert counted(before, now) == move


@pytest.mark.heavy
@given(st.lists(st.integers(1, 50), min_size=1))
def test_read_and_missed_results_add_up(steps: list[int]) -> None:
    count, told = 0, 0
    for step in steps:
        move = counted(count, count + step)
        told += 1 + (move.missed[1] - move.missed[0] + 1 if move.missed else 0)
        count += step
    assert told == count


@pytest.mark.parametrize(
    ("value", "low", "high", "where"),
    [
        ("5", "1", "9", "ok"),
        ("1", "1", "9", "ok"),
        ("0.999", "1", None, "low"),
        ("9.1", None, "9", "high"),
        ("5", None, None, None),
        ("NaN", "1", "9", "nok"),
        ("bush", "1", "9", None),
        (None, "1", "9", None),
        (True, "1", "9", None),
    ],
)
def test_value_is_judged_by_its_limits(
    value: bool | str | None, low: str | None, high: str | None, where: str | None
) -> None:
    assert verdict(value, cast(Any, low and Decimal(low)), cast(Any, high and Decimal(high))) == where


def test_parts_of_an_array_are_measured_each_by_itself() -> None:
    field = FieldOptions(id="profile", node="i=1", unit="kN", low=Decimal(2), high=Decimal(3))
    measured = measured_of(field, {"[0]": "1", "[1]": "2.5"}, ua.StatusCode(0))
    assert [(one.field, one.value, one.status, one.unit) for one in measured] == [
        ("profile[0]", "1", "low", "kN"),
        ("profile[1]", "2.5", "ok", "kN"),
    ]


def test_bad_value_is_never_measured() -> None:
    field = FieldOptions(id="peak", node="i=1", low=Decimal(2))
    (one,) = measured_of(field, "7", ua.StatusCode(0x80000000))
    assert (one.value, one.status) == (None, None)
