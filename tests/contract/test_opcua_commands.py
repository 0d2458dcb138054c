"""What a gate writes to an OPC UA server: a point in its own type, read back; refusals with their reason."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from linewitness.base.errors import DeviceRefused
from linewitness.devices.base import CommandingSession
from linewitness_simulators.press.server import PressSimulation, RunningPress, serve
from support.opcua_rig import listening, options, point

POINTS = [point(name, record="change") for name in ("Holding", "Program", "PartDone", "Operator", "Force")]


@pytest.fixture
async def rig() -> AsyncIterator[tuple[RunningPress, Any]]:
    async with (
        serve(PressSimulation(tick_s=0)) as press,
        listening(options(press, *POINTS)) as it,
    ):
        yield press, it.session


@pytest.mark.parametrize(
    ("name", "value", "held"),
    [
        ("Program", "7", 7),
        ("Holding", "130.5", 130.5),
        ("PartDone", "1", True),
        ("Operator", "anna.b", "anna.b"),
    ],
)
async def test_a_point_is_written_in_its_own_type_and_read_back(
    rig: tuple[RunningPress, Any], name: str, value: Any, held: Any
) -> None:
    press, session = rig
    assert isinstance(session, CommandingSession)
    assert await session.command(name.lower(), value) == value
    assert await press.server.get_node(f"ns=2;s=Press.{name}").read_value() == held


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("force", "1", "refused the write"),
        ("program", "seven", "no value of type Int32"),
        ("program", "3000000000", "no value of type Int32"),
        ("nowhere", "1", "no node of the server"),
    ],
)
async def test_what_cannot_be_written_is_refused_with_a_hint(
    rig: tuple[RunningPress, Any], name: str, value: Any, words: str
) -> None:
    _, session = rig
    with pytest.raises(DeviceRefused, match=words) as caught:
        await session.command(name, value)
    assert caught.value.hint
