"""The board of the stations' pictures: the newest one for everybody, and a limit for those who look."""

import asyncio

import pytest

from linewitness.status.stations.board import MAX_VIEWERS, StationBoard, StationChanges, TooManyViewers
from support.screens import view


async def test_a_viewer_gets_the_newest_picture_and_then_each_newer_one() -> None:
    board = StationBoard()
    board.publish(view(unit="SN1"))
    changes = board.changes("st-10")
    assert (await anext(changes)).unit == "SN1"
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(anext(changes))
        await asyncio.sleep(0)
        assert not waiting.done()
        board.publish(view("st-20", unit="elsewhere"))
        await asyncio.sleep(0)
        assert not waiting.done()
        board.publish(view(unit="SN2"))
    assert waiting.result().unit == "SN2"


async def test_a_slow_viewer_misses_pictures_and_never_gets_an_old_one() -> None:
    board = StationBoard()
    board.publish(view(unit="SN0"))
    changes = board.changes("st-10")
    await anext(changes)
    for number in range(1, 1000):
        board.publish(view(unit=f"SN{number}"))
    assert (await anext(changes)).unit == "SN999"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await anext(changes)


async def test_the_same_picture_again_is_no_news() -> None:
    board = StationBoard()
    board.publish(view(unit="SN1"))
    changes = board.changes("st-10")
    await anext(changes)
    board.publish(view(unit="SN1"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await anext(changes)


async def test_waiting_may_be_given_up_and_begun_again() -> None:
    board = StationBoard()
    board.publish(view(unit="SN1"))
    changes = board.changes("st-10")
    await anext(changes)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await anext(changes)
    board.publish(view(unit="SN2"))
    assert (await anext(changes)).unit == "SN2"


async def test_as_many_look_as_may_and_the_next_one_when_somebody_leaves() -> None:
    board = StationBoard()
    viewers = [board.changes("st-10") for _ in range(MAX_VIEWERS)]
    with pytest.raises(TooManyViewers):
        board.changes("st-20")
    viewers[0].close()
    viewers[0].close()
    board.changes("st-20")
    assert board.viewers == MAX_VIEWERS


async def test_a_station_that_is_no_more_ends_for_those_who_look() -> None:
    board = StationBoard()
    board.publish(view())
    board.publish(view("st-20"))
    changes = board.changes("st-10")
    await anext(changes)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(_all(changes))
        await asyncio.sleep(0)
        board.keep({"st-20"})
    assert waiting.result() == 0
    assert board.view("st-10") is None
    assert [each.station for each in board.stations] == ["st-20"]


async def _all(changes: StationChanges) -> int:
    return len([each async for each in changes])
