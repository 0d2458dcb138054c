"""What a gate writes to a Modbus device: coils and plain registers, read back; everything else is refused."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from linewitness.base.errors import DeviceRefused
from linewitness.devices.base import CommandingSession
from linewitness_simulators.oven.device import Oven
from linewitness_simulators.oven.server import OvenServerOptions, serve
from support.oven_rig import DOOR, driver_for

FAN = {"id": "fan", "record": "change", "table": "coil", "address": 1}
PROGRAM = {"id": "program", "record": "change", "address": 0, "type": "uint16"}
SCALED = {"id": "set-point", "record": "change", "address": 1, "type": "int16", "scale": "0.1"}


@pytest.fixture
async def rig() -> AsyncIterator[tuple[Oven, Any]]:
    async with (
        serve(OvenServerOptions()) as oven,
        driver_for(oven, DOOR, FAN, PROGRAM, SCALED).connect(_NoMemory()) as session,
    ):
        yield oven.oven, session


class _NoMemory:
    async def get(self, key: Any) -> None:
        return None

    async def items(self, prefix: str) -> Any:
        return {}


async def test_a_coil_is_written_and_read_back(rig: tuple[Oven, Any]) -> None:
    oven, session = rig
    assert isinstance(session, CommandingSession)
    assert await session.command("fan", "0") == "0"
    assert oven.inputs.fan is False
    assert await session.command("fan", "1") == "1"
    assert oven.inputs.fan is True


async def test_a_register_is_written_and_read_back(rig: tuple[Oven, Any]) -> None:
    oven, session = rig
    assert await session.command("program", "7") == "7"
    assert oven.inputs.program == 7


@pytest.mark.parametrize(
    ("point", "value", "words"),
    [
        ("nowhere", "1", "has no point"),
        ("set-point", "1", "not something that a gate can write"),
        ("program", "70000", "does not fit"),
        ("fan", "maybe", "not a value of a coil"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_a_hint(
    rig: tuple[Oven, Any], point: str, value: Any, words: str
) -> None:
    _, session = rig
    with pytest.raises(DeviceRefused, match=words) as caught:
        await session.command(point, value)
    assert caught.value.hint
