"""`deadband` holds whether the server or the driver looks."""

from functools import partial
from typing import Any, cast

import pytest

from linewitness.devices.base import Reading, Readings
from linewitness_simulators.press.server import PressSimulation, serve
from support.opcua_rig import Listening, listening, options, point


def heard(ear: Listening, name: str) -> list[float]:
    """Return the values of a point in the order in which they came."""
    singly = (one for each in ear.heard for one in (each.singly() if isinstance(each, Readings) else [each]))
    return [float(cast(Any, one.value)) for one in singly if isinstance(one, Reading) and one.point == name]


@pytest.mark.parametrize(
    ("mode", "moves", "told"),
    [
        ("subscribe", [100.2, 101.0, 100.8, 99.0], [100.0, 101.0, 99.0]),
        ("poll", [100.2, 101.0, 100.8, 99.0], [100.0, 101.0, 99.0]),
        # asyncua's server compares with the value before, which a slow drift never leaves far enough.
        ("poll", [100.3, 100.6, 100.9, 99.0], [100.0, 100.6, 99.0]),
    ],
)
async def test_what_moves_less_than_the_deadband_is_not_told(
    mode: str, moves: list[float], told: list[float]
) -> None:
    async with serve(PressSimulation(tick_s=0)) as press:
        holding = point("Holding", record="change", deadband="0.5", sampling_ms=20)
        settings = options(press, holding, point("Program", record="change"), mode=mode, poll_ms=50)
        await press.set("Holding", 100.0)
        async with listening(settings) as ear:
            await ear.first(lambda _: bool(heard(ear, "holding")))
            for number, value in enumerate(moves, start=100):
                await press.set("Holding", value)
                await press.set("Program", number)
                await ear.first(partial(lambda wanted, _: wanted in heard(ear, "program"), number))
            if 99.0 not in heard(ear, "holding"):
                await ear.first(lambda _: 99.0 in heard(ear, "holding"))
            assert heard(ear, "holding") == told
