"""A Modbus device's own clock is read now and then, and what is new of it is said once."""

import asyncio
import contextlib
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import async_solipsism
import pytest
from pydantic import ValidationError

from linewitness.base.clock import NS_PER_S, Stamp, from_datetime, monotonic
from linewitness.devices.base import Notice
from linewitness.devices.modbus.clock_options import ModbusClock
from linewitness.devices.modbus.device_clock import DeviceClock, read_clock
from linewitness.devices.modbus.options import ModbusOptions
from linewitness.devices.modbus.polling.blocks import Origin
from linewitness.devices.modbus.wire.link import ModbusError

MOMENT = datetime(2026, 7, 1, 10, 30, 15, tzinfo=UTC)
MOMENT_NS = from_datetime(MOMENT)
SECONDS = MOMENT_NS // NS_PER_S
ORIGIN = Origin(device="oven-1", session_id="01J", order="big")
TRIP_S = 0.2


def options(form: str = "unix", **other: Any) -> ModbusClock:
    return ModbusClock.model_validate({"address": 300, "form": form, **other})


def swap_words(data: bytes) -> bytes:
    return data[2:] + data[:2]


@pytest.mark.parametrize(
    ("clock", "data"),
    [
        (options("unix"), struct.pack(">I", SECONDS)),
        (options("unix", order="DCBA"), struct.pack("<I", SECONDS)),
        (options("unix", order="CDAB"), swap_words(struct.pack(">I", SECONDS))),
        (options("unix-ms"), struct.pack(">Q", SECONDS * 1000)),
        (options("fields"), struct.pack(">6H", 2026, 7, 1, 10, 30, 15)),
        (options("fields", timezone="Europe/Berlin"), struct.pack(">6H", 2026, 7, 1, 12, 30, 15)),
        (options("fields-bcd"), struct.pack(">6H", 0x2026, 0x07, 0x01, 0x10, 0x30, 0x15)),
    ],
)
def test_each_form_shows_the_same_moment(clock: ModbusClock, data: bytes) -> None:
    shown = read_clock(clock, "big", data)
    assert shown.unix_ns - shown.half_ns == MOMENT_NS
    assert shown.half_ns == (500_000 if clock.form == "unix-ms" else 500_000_000)


@pytest.mark.parametrize(
    ("form", "fields"),
    [
        ("fields", (0, 0, 0, 0, 0, 0)),
        ("fields", (2026, 13, 1, 0, 0, 0)),
        ("fields-bcd", (0x2026, 0x0A, 1, 0, 0, 0)),
    ],
)
def test_what_is_no_time_is_refused(form: str, fields: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"year|month|digits"):
        read_clock(options(form), "big", struct.pack(">6H", *fields))


class Scene:
    """A device whose clock is `ahead_s`, and a gateway whose clock is right."""

    boot_id = "b"

    def __init__(self) -> None:
        self.form = "unix"
        self.ahead_s = 0.0
        self.fault: ModbusError | None = None
        self.asked: list[float] = []
        self.clock = DeviceClock(options(every_s=300), origin=ORIGIN, reader=self, clock=self)  # type: ignore[arg-type]  # reads only

    def stamp(self) -> Stamp:
        passed_ns = round(monotonic() * NS_PER_S)
        return Stamp(MOMENT_NS + passed_ns, passed_ns)

    async def read(self, table: str, first: int, count: int) -> bytes:
        assert (table, first, count) == ("holding", 300, 2 if self.form == "unix" else 4)
        self.asked.append(monotonic())
        await asyncio.sleep(TRIP_S / 2)
        now_s = SECONDS + monotonic() + self.ahead_s
        await asyncio.sleep(TRIP_S / 2)
        if self.fault is not None:
            raise self.fault
        return struct.pack(">I", int(now_s)) if self.form == "unix" else struct.pack(">Q", int(now_s * 1000))

    async def ticks(self, seconds: int) -> list[Notice]:
        """Look once a second, as a poll does, and return what was said."""
        found = []
        for _ in range(seconds):
            if (notice := await self.clock.look()) is not None:
                found.append(notice)
            await asyncio.sleep(1)
        return found


def played(play: Callable[[Scene], Any]) -> None:
    loop = async_solipsism.EventLoop()
    with contextlib.closing(loop):
        loop.run_until_complete(play(Scene()))


def test_the_offset_is_said_on_connecting_and_then_only_when_it_moved() -> None:
    async def play(scene: Scene) -> None:
        scene.ahead_s = 60
        (first,) = await scene.ticks(1000)
        assert len(scene.asked) == 4
        assert abs((first.when.device_offset_ms or 0) - 60_000) <= 500
        assert first.changes[0][:2] == ("offset_ms", None)
        assert first.changes[1] == ("offset_unc_ms", None, 601)
        assert (first.kind, first.resource_type, first.resource_id) == ("clock.status", "device", "oven-1")
        assert first.when.device_time == str(SECONDS + 60)
        scene.ahead_s = 90
        (moved,) = await scene.ticks(400)
        assert moved.changes[0] == ("offset_ms", first.when.device_offset_ms, moved.when.device_offset_ms)
        assert abs((moved.when.device_offset_ms or 0) - 90_000) <= 600

    played(play)


def test_the_truth_is_within_the_stated_uncertainty_whenever_it_is_read() -> None:
    async def play(scene: Scene) -> None:
        for tenth in range(20):
            scene.ahead_s = 7 + tenth / 10
            scene.clock = DeviceClock(options(), origin=ORIGIN, reader=scene, clock=scene)  # type: ignore[arg-type]  # reads only
            (notice,) = await scene.ticks(1)
            offset_ms, unc_ms = cast(Any, notice.changes[0][2]), cast(Any, notice.changes[1][2])
            assert abs(offset_ms - scene.ahead_s * 1000) <= unc_ms

    played(play)


def test_the_clock_is_taken_to_be_read_half_way_between_request_and_answer() -> None:
    async def play(scene: Scene) -> None:
        scene.form, scene.ahead_s = "unix-ms", 7
        scene.clock = DeviceClock(options("unix-ms"), origin=ORIGIN, reader=scene, clock=scene)  # type: ignore[arg-type]  # reads only
        (notice,) = await scene.ticks(1)
        assert abs(cast(Any, notice.changes[0][2]) - 7000) <= 2

    played(play)


def test_a_clock_that_cannot_be_read_is_said_once_and_stops_nothing() -> None:
    async def play(scene: Scene) -> None:
        scene.fault = ModbusError(2)
        (notice,) = await scene.ticks(1000)
        assert notice.reason.startswith("the device's clock cannot be read: the device has no such register")
        assert notice.when.device_offset_ms is None
        scene.fault = None
        (found,) = await scene.ticks(400)
        assert found.when.device_offset_ms is not None

    played(play)


def test_a_gateway_that_cannot_reach_the_device_ends_the_session() -> None:
    async def play(scene: Scene) -> None:
        scene.fault = ModbusError(11)
        with pytest.raises(ModbusError):
            await scene.clock.look()

    played(play)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"form": "unix", "timezone": "Europe/Berlin"}, "leave timezone out"),
        ({"form": "fields", "timezone": "Berlin"}, "write it like Europe/Berlin"),
        ({"form": "fields", "address": 65_531}, "above 65535"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        options(**settings)


def test_a_clock_in_a_forbidden_range_is_refused() -> None:
    with pytest.raises(ValidationError, match="forbidden"):
        ModbusOptions.model_validate(
            {
                "id": "oven-1",
                "host": "10.0.0.1",
                "clock": {"address": 300, "form": "unix"},
                "forbidden": [{"first": 301, "last": 302}],
            }
        )
