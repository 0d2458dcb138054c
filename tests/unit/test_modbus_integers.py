"""Integers that are compared as a column say what they say one by one."""

import struct
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewitness.base.clock import NS_PER_S, Stamp
from linewitness.devices.base import Observation, Reading
from linewitness.devices.modbus.points import ModbusPoint
from linewitness.devices.modbus.polling.blocks import BlockState, EvidencePoint, Origin, Trip
from linewitness.devices.modbus.polling.integers import integer_column
from linewitness.devices.modbus.polling.plan import block_of, split
from linewitness.devices.modbus.polling.rounds import Rounds
from linewitness.devices.modbus.wire.link import ModbusError
from linewitness.devices.modbus.wire.protocol import ILLEGAL_ADDRESS
from linewitness.devices.modbus.wire.reader import Reader
from support.clocks import ManualClock
from support.one_by_one import singly

ORIGIN = Origin(device="oven", session_id="s", order="big")


def point(name: str, address: int, kind: str = "uint16", **settings: Any) -> ModbusPoint:
    return ModbusPoint(**({"id": name, "address": address, "type": kind, "record": "change"} | settings))


POINTS = (
    point("count", 0),
    point("temperature", 1, "int16", scale="0.1", unit="°C"),
    point("total", 4, "uint32"),
    point("level", 6, "int16", offset="-40", decimals=1),
    point("energy", 7, "int64"),
)


class Block:
    """A block that is polled once a second; `column` False takes the column away."""

    def __init__(self, *, column: bool) -> None:
        self._column = column
        self._known: dict[str, EvidencePoint] = {}
        self._second = 0
        self._states = [self._state(block_of(POINTS))]

    def _state(self, block: Any) -> BlockState:
        state = BlockState(block, ORIGIN, self._known, last_read=None)
        assert state._integers is not None
        if not self._column:
            state._integers = None
        return state

    def do(self, step: bytes | str) -> list[Observation]:
        """Poll these registers, let the poll fail with these words, or cut the first block in two."""
        self._second += 1
        now = Stamp(realtime_ns=self._second * NS_PER_S, boottime_ns=self._second * NS_PER_S)
        trip = Trip(sent=now, received=now)
        if step == "cut":
            if len(self._states) == 1:
                self._states[0].settle()
                self._states = [self._state(part) for part in split(self._states[0].block)]
            return []
        found: list[Observation] = []
        for state in self._states:
            if isinstance(step, str):
                found += state.take_failure(step, trip)
            else:
                first, last = state.block.first * 2, (state.block.last + 1) * 2
                found += state.take(step[first:last], trip)
        return [one for observation in found for one in singly(observation)]


REGISTERS = st.lists(st.integers(0, 2) | st.sampled_from([0x8000, 0xFFFF]), min_size=11, max_size=11)
STEPS = st.one_of(
    REGISTERS.map(lambda values: struct.pack(">11H", *values)),
    st.sampled_from(["the device has no such register", "it is busy", "cut"]),
)


@pytest.mark.heavy
@given(st.lists(STEPS, max_size=12))
def test_a_column_says_what_its_points_say_one_by_one(steps: list[bytes | str]) -> None:
    together, one_by_one = Block(column=True), Block(column=False)
    for step in steps:
        assert together.do(step) == one_by_one.do(step)


class Registers:
    """A device whose registers all hold one value; `refuses` makes it refuse to give them together."""

    def __init__(self) -> None:
        self.value, self.refuses = 0, False

    async def read(self, _table: str, _first: int, count: int) -> bytes:
        if self.refuses and count > 1:
            raise ModbusError(ILLEGAL_ADDRESS)
        return struct.pack(">H", self.value) * count


async def test_a_value_that_comes_back_after_its_block_was_cut_is_said(clock: ManualClock) -> None:
    device = Registers()
    points = (point("count", 0), point("total", 1))
    reader = cast(Reader, device)
    rounds = Rounds([block_of(points)], origin=ORIGIN, reader=reader, clock=clock, last_read=None)
    said = []
    for device.value, device.refuses in ((1, False), (2, False), (1, True), (1, True), (3, True)):
        said.append(
            [
                (one.point, one.value)
                for state in rounds.evidence
                for observation in await rounds.visit(state)
                for one in singly(observation)
                if isinstance(one, Reading)
            ]
        )
    assert said == [
        [("count", str(value)), ("total", str(value))] if value else [] for value in (1, 2, 1, 0, 3)
    ]


@pytest.mark.parametrize(
    "points",
    [
        [point("a", 0, labels={"0": "off"})],
        [point("a", 0, deadband="5")],
        [point("a", 0, "float32")],
        [point("a", 0), point("b", 1, order="little")],
        [point("a", 0, "uint32", order="big-byte-swap")],
        [point("a", 0, "uint32"), point("b", 1)],
        [point("a", 0, "bool", table="coil")],
        [],
    ],
)
def test_what_is_not_integers_one_after_the_other_has_no_column(points: list[ModbusPoint]) -> None:
    block = block_of(tuple(points or POINTS))
    assert integer_column(block, points, "big") is None
