import asyncio
from collections.abc import Coroutine
from typing import Any

import async_solipsism
import pytest

from linewitness.base.clock import monotonic
from linewitness.devices.polling import PollGrid
from support.clocks import ManualClock


def on_fake_loop(coroutine: Coroutine[Any, Any, Any]) -> Any:
    loop = async_solipsism.EventLoop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


def test_the_first_tick_is_at_once_and_the_grid_keeps_its_phase() -> None:
    async def run() -> list[float]:
        begun = monotonic()
        grid = PollGrid(period_s=1.0, clock=ManualClock())
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
        grid = PollGrid(period_s=1.0, clock=ManualClock())
        moments, missed = [], []
        for duration in (0.1, 3.5, 0.1, 0.1):
            missed.append(await grid.tick())
            moments.append(monotonic() - begun)
            await asyncio.sleep(duration)
        return moments, missed, grid.figures.missed

    moments, missed, total = on_fake_loop(run())
    assert moments == pytest.approx([0.0, 1.0, 5.0, 6.0])
    assert missed == [0, 0, 3, 0]
    assert total == 3


def test_a_period_must_be_positive() -> None:
    with pytest.raises(ValueError, match="above 0"):
        PollGrid(period_s=0, clock=ManualClock())


async def rounds(grid: PollGrid, count: int, *, asking_s: float = 0.0, held_s: float = 0.0) -> None:
    for _ in range(count):
        await grid.tick()
        with grid.asking():
            await asyncio.sleep(asking_s)
        with grid.handing_over():
            await asyncio.sleep(held_s)


@pytest.mark.parametrize(
    ("took", "hindrance", "words"),
    [
        ({"asking_s": 2.5, "held_s": 0.1}, "device", "the device takes too long to answer"),
        ({"asking_s": 0.1, "held_s": 2.5}, "journal", "the journal takes too long"),
    ],
)
def test_an_overload_says_what_takes_the_time_and_ends_when_polls_are_made_again(
    took: dict[str, float], hindrance: str, words: str
) -> None:
    async def run() -> list[Any]:
        grid = PollGrid(period_s=1.0, clock=ManualClock())
        await rounds(grid, 11, **took)
        during, missed = grid.figures, grid.report()
        again = grid.report()
        await rounds(grid, 40, asking_s=0.1)
        return [during, missed, again, grid.figures, grid.report() is not None]

    during, missed, again, after, last = on_fake_loop(run())
    assert (during.due, during.missed) == (31, 20)
    assert during.overload.hindrance == hindrance
    assert str(during.overload).startswith("20 of 31 polls in 30 s were not made")
    assert words in str(during.overload)
    assert missed.count == 20
    assert again is None, "once"
    gap = missed.gap("oven-10", "s1")
    assert gap.reason.startswith("20 polls were due and not made")
    assert gap.first is not None
    assert gap.last is not None
    assert gap.first < gap.last
    assert after.overload is None
    assert after.missed >= during.missed
    assert last, "what was missed at the end of the overload"


def test_a_moments_delay_is_counted_and_is_no_overload() -> None:
    async def run() -> list[Any]:
        grid = PollGrid(period_s=1.0, clock=ManualClock())
        await rounds(grid, 1, asking_s=2.5)
        await rounds(grid, 40)
        return [grid.figures, grid.report()]

    figures, missed = on_fake_loop(run())
    assert figures.missed == missed.count == 2
    assert figures.overload is None
