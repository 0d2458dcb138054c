"""Telemetry that is sent only when it changes, and deadbands of telemetry and evidence."""

import struct
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from linewitness.base.clock import NS_PER_S, Stamp
from linewitness.devices.base import Reading, Signals
from linewitness.devices.modbus.points import ModbusPoint
from linewitness.devices.modbus.polling.blocks import BlockState, Origin, Trip
from linewitness.devices.modbus.polling.plan import block_of


def point(name: str, address: int, **settings: Any) -> ModbusPoint:
    return ModbusPoint(
        **({"id": name, "address": address, "type": "int16", "record": "telemetry"} | settings)
    )


class Polled:
    """A block that is polled once a second."""

    def __init__(self, *points: ModbusPoint) -> None:
        origin = Origin(device="oven", session_id="s", order="big", repeat_ns=60 * NS_PER_S)
        self._state = BlockState(block_of(points), origin, {}, last_read=None)
        self._second = 0

    def poll(self, *registers: int) -> dict[str, Any]:
        return self.raw(struct.pack(f">{len(registers)}h", *registers))

    def raw(self, data: bytes) -> dict[str, Any]:
        return self._told(self._state.take(data, self._trip()))

    def fail(self) -> dict[str, Any]:
        return self._told(self._state.take_failure("the device has no such register", self._trip()))

    def wait(self, seconds: int) -> None:
        self._second += seconds

    def _trip(self) -> Trip:
        self._second += 1
        now = Stamp(realtime_ns=self._second * NS_PER_S, boottime_ns=self._second * NS_PER_S)
        return Trip(sent=now, received=now)

    def _told(self, observations: Any) -> dict[str, Any]:
        told: dict[str, Any] = {}
        for each in observations:
            if isinstance(each, Signals):
                told |= dict(zip(each.points, each.values, strict=True))
                for at, why in each.statuses.items():
                    told[each.points[at]] = why
            elif isinstance(each, Reading):
                told[each.point] = each.value if each.value is not None else each.status
        return told


def test_only_what_changed_is_sent_and_everything_at_the_start() -> None:
    block = Polled(point("a", 0, on_change=True), point("b", 1, on_change=True), point("always", 2))
    assert block.poll(1, 2, 3) == {"a": 1, "b": 2, "always": 3}
    assert block.poll(1, 2, 3) == {"always": 3}
    assert block.poll(1, 5, 3) == {"b": 5, "always": 3}


def test_a_quiet_value_is_sent_again_once_in_a_while() -> None:
    block = Polled(point("a", 0, on_change=True))
    assert block.poll(1) == {"a": 1}
    block.wait(58)
    assert block.poll(1) == {}
    assert block.poll(1) == {"a": 1}
    assert block.poll(1) == {}


def test_a_deadband_is_measured_from_what_was_last_sent() -> None:
    block = Polled(point("a", 0, deadband=Decimal("0.5"), scale=Decimal("0.1")))
    assert block.poll(200) == {"a": 20.0}
    assert block.poll(203) == {}
    assert block.poll(205) == {"a": 20.5}, "the smallest change that is sent is the deadband itself"
    assert block.poll(201) == {}
    assert block.poll(200) == {"a": 20.0}


def test_a_deadband_of_a_decimal_place_is_reached_by_one_step() -> None:
    block = Polled(point("a", 0, deadband=Decimal("0.1"), scale=Decimal("0.1")))
    sent = [block.poll(number) for number in range(100)]
    assert all(sent)


def test_that_there_is_no_value_is_sent_at_once_and_only_once() -> None:
    block = Polled(point("a", 0, deadband=Decimal(100)))
    assert block.poll(7) == {"a": 7}
    assert block.fail() == {"a": "the device has no such register"}
    assert block.fail() == {}
    assert block.poll(7) == {"a": 7}, "it is there again, whatever the deadband"


def test_a_number_that_is_none_is_sent_whatever_the_deadband() -> None:
    block = Polled(point("a", 0, type="float32", deadband=Decimal(100)))
    assert block.raw(struct.pack(">f", 1.5)) == {"a": 1.5}
    assert block.raw(struct.pack(">f", float("nan"))) == {"a": "the registers hold no value of this type"}
    assert block.raw(struct.pack(">f", float("nan"))) == {}
    assert block.fail() == {"a": "the device has no such register"}, "another reason"
    assert block.raw(struct.pack(">f", 1.75)) == {"a": 1.75}


def test_bits_and_texts_are_sent_on_change() -> None:
    block = Polled(point("word", 0, type="string", length=2, on_change=True))
    assert block.raw(b"ab") == {"word": "ab"}
    assert block.raw(b"ab") == {}
    assert block.raw(b"ac") == {"word": "ac"}


def test_evidence_below_the_deadband_is_no_change() -> None:
    block = Polled(point("set-point", 0, record="change", scale=Decimal("0.1"), deadband=Decimal("0.5")))
    assert block.poll(1800) == {"set-point": "180.0"}
    assert block.poll(1804) == {}
    assert block.poll(1805) == {"set-point": "180.5"}
    assert block.fail() == {"set-point": "the device has no such register, at holding 0"}
    assert block.poll(1805) == {"set-point": "180.5"}


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"type": "string", "length": 2, "deadband": 1}, "deadband belongs to numbers, not to string"),
        ({"labels": {0: "off"}, "deadband": 1}, "deadband belongs to numbers, not to labels"),
        ({"record": "change", "on_change": True}, "on_change belongs to record: telemetry"),
        ({"deadband": 0}, "greater than 0"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        point("a", 0, **settings)
