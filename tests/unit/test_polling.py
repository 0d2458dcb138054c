import asyncio
from collections.abc import Coroutine
from typing import Any

import async_solipsism
import pytest

from linewitness.base.clock import monotonic
from linewitness.devices.polling import PollGrid


def on_fake_loop(coroutine: Coroutine[Any, Any, Any]) -> list[float] | tuple[list[float], list[int], int]:
    loop = async_solipsism.EventLoop()
    try:
        found: list[float] | tuple[list[float], list[int], int] = loop.run_until_complete(coroutine)
        return found
    finally:
        loop.close()


def test_the_first_tick_is_at_once_and_the_grid_keeps_its_phase() -> None:
    async def run() -> list[float]:
        begun = monotonic()
        grid = PollGrid(period_s=1.0)
        moments = []
        for _ in range(4):
            await grid.tick()
            moments.append(monotonic() - begun)
            await asyncio.sleep(0.3)
        return moments

    assert on_fake_loop(run()) == pytest.approx([0.0, 1.0, 2.0, 3.0])


def test_a_slow_round_skips_ticks_and_counts_them_and_never_bunches() -> None:
    async def run() -> tuple[list[float], list[int], int]:
        begun = monotonic()
        grid = PollGrid(period_s=1.0)
        moments, missed = [], []
        for duration in (0.1, 3.5, 0.1, 0.1):
            missed.append(await grid.tick())
            moments.append(monotonic() - begun)
            await asyncio.sleep(duration)
        return moments, missed, grid.missed

    moments, missed, total = on_fake_loop(run())
    assert moments == pytest.approx([0.0, 1.0, 5.0, 6.0])
    assert missed == [0, 0, 3, 0]
    assert total == 3


def test_a_period_must_be_positive() -> None:
    with pytest.raises(ValueError, match="above 0"):
        PollGrid(period_s=0)
