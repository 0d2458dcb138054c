"""The stream of a station's pictures over a real connection to the real server."""

import asyncio
import itertools
import re
from typing import Any

import pytest

from linewitness.status import connection
from linewitness.status.stations import event_stream
from linewitness.status.stations.board import MAX_VIEWERS, StationBoard
from support.clocks import ManualClock
from support.screens import WAIT_S, Served, Viewer, requirement, served, view
from support.waiting import until

pytestmark = pytest.mark.heavy


@pytest.fixture
def board() -> StationBoard:
    board = StationBoard()
    board.publish(view(unit="SN1", requirements=(requirement("1"),)))
    return board


async def test_who_looks_gets_the_picture_and_each_change_on_one_connection(
    board: StationBoard, clock: ManualClock
) -> None:
    async with served(board, clock=clock) as server, server.viewer() as viewer:
        assert viewer.head.startswith("HTTP/1.1 200")
        assert "content-type: text/event-stream" in viewer.head.lower()
        assert ">SN1<" in (await viewer.event()).data
        for number in range(2, 20):
            board.publish(view(unit=f"SN{number}\nand <more>"))
            picture = (await viewer.event()).data
            assert f">SN{number}\nand &lt;more&gt;<" in picture


async def test_a_beat_comes_before_the_picture_and_while_nothing_happens(
    board: StationBoard, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "BEAT_S", 0.01)
    async with served(board, clock=clock) as server, server.viewer() as viewer:
        beats = [await viewer.event("beat") for _ in range(4)]
        async with server.viewer("/station/st-10") as page:
            text = (await page.rest()).partition("data-version=")[2]
    times = [int(beat.data.split()[0]) for beat in beats]
    assert times == sorted(set(times))
    assert times[-1] <= clock.realtime_ns // 1_000_000
    assert text.startswith(f'"{beats[0].data.split()[1]}"')


async def test_all_who_look_get_one_rendering(board: StationBoard) -> None:
    async with served(board) as server, server.viewer() as one, server.viewer() as other:
        assert await one.event() == await other.event()
        board.publish(view(unit="SN2"))
        assert await one.event() == await other.event()


async def test_one_too_many_is_told_why_and_the_status_page_goes_on(board: StationBoard) -> None:
    async with served(board) as server:
        async with asyncio.TaskGroup() as group:
            enough = asyncio.Event()
            for _ in range(MAX_VIEWERS):
                group.create_task(_look(server, enough))
            await until(lambda: board.viewers == MAX_VIEWERS)
            async with server.viewer() as refused:
                assert refused.head.startswith("HTTP/1.1 503")
                assert "close one of them" in await refused.rest()
            async with server.viewer("/stations") as others:
                assert others.head.startswith("HTTP/1.1 200")
            enough.set()
        await until(lambda: board.viewers == 0)
        async with server.viewer() as viewer:
            assert viewer.head.startswith("HTTP/1.1 200")


async def _look(server: Served, enough: asyncio.Event) -> None:
    async with server.viewer() as viewer:
        await viewer.event()
        await enough.wait()


async def test_a_stream_lasts_longer_than_an_answer_may(
    board: StationBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ANSWER_S", 0.05)
    monkeypatch.setattr(event_stream, "BEAT_S", 0.05)
    async with served(board) as server, server.viewer() as viewer:
        for _ in range(10):
            await viewer.event("beat")
        board.publish(view(unit="SN2"))
        while ">SN2<" not in (await viewer.event()).data:
            pass


def stop_reading(viewer: Viewer) -> None:
    transport: Any = viewer.writer.transport
    transport.pause_reading()


async def test_a_viewer_that_reads_nothing_keeps_nobody_waiting(board: StationBoard) -> None:
    async with served(board) as server, server.viewer() as stuck, server.viewer() as viewer:
        stop_reading(stuck)
        for number in range(2, 100):
            board.publish(view(unit=f"SN{number}", unknown="x" * 20_000))
            while f">SN{number}<" not in (await viewer.event()).data:
                pass


async def test_a_viewer_that_reads_nothing_is_cut_off(
    board: StationBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "STALLED_S", 0.2)
    async with served(board) as server, server.viewer() as stuck:
        stop_reading(stuck)
        async with asyncio.timeout(WAIT_S):
            for number in itertools.count(2):
                board.publish(view(unit=f"SN{number}", unknown="x" * 100_000))
                await asyncio.sleep(0.01)
                if not board.viewers:
                    break


async def test_a_stop_of_the_gateway_does_not_wait_for_those_who_look(
    board: StationBoard, caplog: pytest.LogCaptureFixture
) -> None:
    """The server gives open answers a second, and logs an error when it has to cancel them then."""
    async with served(board) as server, server.viewer() as viewer, server.viewer() as other:
        await viewer.event()
        await other.event()
        server.task.cancel()
        await asyncio.wait([server.task])
        assert board.viewers == 0
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_station_that_is_no_more_ends_the_stream(board: StationBoard) -> None:
    async with served(board) as server, server.viewer() as viewer:
        await viewer.event()
        board.keep(())
        with pytest.raises(EOFError):
            await viewer.event()
        async with server.viewer() as again:
            assert re.match(r"HTTP/1.1 404", again.head)
