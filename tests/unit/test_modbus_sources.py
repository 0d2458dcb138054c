from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from linewitness.devices.modbus.polling.plan import Limits
from linewitness.devices.modbus.result_options import ModbusResult
from linewitness.devices.modbus.sources import number_from, registers_of, source_of

LIMITS = Limits(max_registers=125, max_bits=2000, gap=8, forbidden=())
FIELD = {"id": "value", "address": 10, "type": "uint16"}


def result(**settings: Any) -> ModbusResult:
    defaults = {"id": "cycle", "pattern": "counter", "counter": {"address": 0}, "fields": [FIELD]}
    return ModbusResult(**{key: value for key, value in (defaults | settings).items() if value is not None})


class Registers:
    """A device whose counter moves on after so many reads."""

    def __init__(self, counter: int, *, moves_after: int | None = None) -> None:
        self.counter = counter
        self.moves_after = moves_after
        self.read_at: list[Any] = []

    async def read(self, table: str, first: int, count: int) -> bytes:
        self.read_at.append((table, first, count))
        if self.moves_after is not None and len(self.read_at) > self.moves_after:
            return (self.counter + 1).to_bytes(2 * count, "big")
        return self.counter.to_bytes(2 * count, "big")


async def test_a_block_that_was_overwritten_while_it_was_read_is_not_taken() -> None:
    steady, moving = Registers(7), Registers(7, moves_after=2)
    for registers, expected in ((steady, [(10, b"\0\7", (result().fields[0],))]), (moving, None)):
        source = source_of(result(), cast(Any, registers), LIMITS, "big")
        assert (await source.stock()).newest == 7
        assert await source.fetch(7) == expected


async def test_a_slot_of_a_ring_is_overwritten_only_when_the_ring_went_round() -> None:
    ring = result(pattern="ring", slots=2, stride=4)
    assert await source_of(ring, cast(Any, Registers(7)), LIMITS, "big").fetch(6) is not None
    assert await source_of(ring, cast(Any, Registers(8)), LIMITS, "big").fetch(6) is None


@pytest.mark.parametrize(
    ("first_number", "number", "address"), [(0, 8, 10), (0, 9, 14), (1, 1, 10), (1, 4, 22)]
)
async def test_each_number_has_its_slot(first_number: int, number: int, address: int) -> None:
    ring = result(pattern="ring", slots=4, stride=4, first_number=first_number)
    registers = Registers(number)
    await source_of(ring, cast(Any, registers), LIMITS, "big").fetch(number)
    assert registers.read_at[0] == ("holding", address, 1)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["big", "little", "big-byte-swap", "little-byte-swap"]))
def test_a_number_is_written_back_as_it_was_read(number: int, order: str) -> None:
    place = result(counter={"address": 0, "type": "uint32", "order": order}).numbered_by
    registers = registers_of(place, number, "big")
    data = b"".join(register.to_bytes(2, "big") for register in registers)
    assert number_from(place, data, "big") == number


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"counter": None}, "pattern counter needs counter"),
        ({"slots": 4}, "slots belongs to pattern ring"),
        ({"pattern": "ring", "stride": 4}, "pattern ring needs slots"),
        ({"pattern": "ring", "slots": 4}, "pattern ring needs stride"),
        ({"pattern": "fifo", "counter": None, "stride": 3, "number_field": "value"}, "needs fifo"),
        ({"pattern": "fifo", "counter": None, "stride": 3, "fifo": 9}, "needs number_field"),
        (
            {"pattern": "fifo", "counter": None, "stride": 3, "fifo": 9, "number_field": "value"},
            "does not fit into a queued result",
        ),
        ({"ok_field": "verdict"}, "ok_field 'verdict' is not among its fields"),
        ({"fields": [FIELD, FIELD]}, "used twice"),
        (
            {"number_field": "value", "fields": [FIELD | {"scale": "0.1"}]},
            "number_field must be a uint16 or uint32",
        ),
    ],
)
def test_wrong_results_are_refused_in_words(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        result(**settings)
