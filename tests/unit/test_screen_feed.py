"""Screens show what is on the disk: nothing before its commit, and nothing that stays behind it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from linewitness.base.clock import Stamp
from linewitness.devices.options import DeviceOptions
from linewitness.gateway import fleet as fleet_module
from linewitness.gateway.fleet import Fleet
from linewitness.gateway.intake.arrival import Standstills
from linewitness.gateway.screens import feed as feed_module
from linewitness.gateway.screens.feed import ScreenFeed
from linewitness.journal.file import JournalFile
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.stations.options import StationOptions, UnitOptions
from linewitness.stations.station import Station
from linewitness.stations.view import StationView
from linewitness.status.stations.board import StationBoard
from support.clocks import ManualClock
from support.devices import Health, ScriptedDriver
from support.journals import create, members_of, running
from support.observations import code
from support.waiting import until


class Shown:
    """A station that only counts: what it shows may be ahead of the disk."""

    def __init__(self) -> None:
        self.count = 0

    def view(self, now: Stamp) -> StationView:
        return StationView(station="st-10", unit=f"SN{self.count}")


class Feed:
    """A feed and one station; the test says when what was queued is durable."""

    def __init__(self, clock: ManualClock) -> None:
        self.board, self.station = StationBoard(), Shown()
        self.markers: list[asyncio.Future[Any]] = []
        self.feed = ScreenFeed(self.board, settled=self._marker, clock=clock)
        self.feed.begin({"st-10": self.station})
        self.viewer = self.board.changes("st-10")

    def _marker(self) -> asyncio.Future[Any]:
        self.markers.append(asyncio.get_running_loop().create_future())
        return self.markers[-1]

    def change(self, durable: asyncio.Future[Any] | None = None) -> asyncio.Future[Any]:
        durable = durable or asyncio.get_running_loop().create_future()
        self.station.count += 1
        self.feed.follow(self.station, durable)
        return durable

    @property
    def shown(self) -> str | None:
        view = self.board.view("st-10")
        return view.unit if view else None


@pytest.fixture
async def it(clock: ManualClock) -> Feed:
    return Feed(clock)


async def turn() -> None:
    """Let what was done be told."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_a_change_is_shown_when_it_is_durable_and_not_before(it: Feed) -> None:
    assert it.shown == "SN0"
    durable = it.change()
    it.feed.look()
    await turn()
    assert it.shown == "SN0"
    durable.set_result(None)
    await turn()
    assert it.shown == "SN1"


async def test_while_changes_overlap_for_ever_each_is_shown_as_it_was_when_it_is_durable(it: Feed) -> None:
    last = it.change()
    for _ in range(100):
        following = it.change()
        ahead = it.station.count
        last.set_result(None)
        await turn()
        assert int((it.shown or "")[2:]) < ahead
        last = following
    assert int((it.shown or "")[2:]) > 95
    last.set_result(None)
    await turn()
    assert it.shown == "SN101"


async def test_changes_that_share_a_commit_are_shown_with_it(it: Feed) -> None:
    durable = it.change()
    it.change(durable)
    durable.set_result(None)
    await turn()
    assert it.shown == "SN2"


async def test_what_cannot_become_durable_is_never_shown(it: Feed) -> None:
    it.change().set_exception(OSError("the disk is gone"))
    await turn()
    it.feed.look()
    assert it.shown == "SN0"


async def test_where_the_wait_was_cancelled_the_commit_is_still_waited_for(it: Feed) -> None:
    it.change().cancel()
    await turn()
    it.feed.look()
    assert it.shown == "SN0"
    it.markers[0].set_result(None)
    await turn()
    assert it.shown == "SN1"


async def test_what_changes_by_time_alone_is_shown_soon(it: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "LOOK_S", 0.01)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(it.feed.run())
        it.station.count = 7
        await until(lambda: it.shown == "SN7")
        task.cancel()


async def test_while_nobody_looks_no_picture_is_drawn_for_each_change(it: Feed) -> None:
    it.viewer.close()
    for _ in range(100):
        it.change().set_result(None)
        await turn()
    assert it.shown == "SN0"
    it.board.changes("st-10")
    assert it.shown == "SN100"


async def test_while_nobody_looks_a_look_is_enough_where_something_always_waits(it: Feed) -> None:
    it.viewer.close()
    last = it.change()
    for _ in range(3):
        following = it.change()
        last.set_result(None)
        await turn()
        last = following
    assert it.shown == "SN0"
    it.feed.look()
    it.change()
    last.set_result(None)
    await turn()
    assert it.shown == "SN4"


async def test_while_nobody_looks_a_look_during_a_commit_is_answered_after_it(it: Feed) -> None:
    it.viewer.close()
    durable = it.change()
    it.feed.look()
    assert it.shown == "SN0"
    durable.set_result(None)
    await turn()
    assert it.shown == "SN1"


async def test_nothing_is_shown_while_stations_take_over_their_settings(it: Feed) -> None:
    with it.feed.held():
        it.station.count = 3
        it.feed.look()
        assert it.shown == "SN0"
    it.feed.begin({"st-10": it.station})
    assert it.shown == "SN3"


async def test_a_station_that_is_taken_down_is_not_shown_again(it: Feed) -> None:
    durable = it.change()
    it.feed.begin({})
    durable.set_result(None)
    await turn()
    it.feed.look()
    assert it.shown is None


class PicturedStation(Station):
    """A station with a picture of its unit."""

    def view(self, now: Stamp) -> StationView:
        return StationView(station="st-10", unit=self.unit)


class Line:
    """A reader at one station, on a real journal, and the board of its screen."""

    def __init__(self, directory: Path, board: StationBoard, driver: ScriptedDriver, fleet: Fleet) -> None:
        self.directory, self.board, self.driver, self.fleet = directory, board, driver, fleet

    @property
    def shown(self) -> str | None:
        view = self.board.view("st-10")
        return view.unit if view else None


@asynccontextmanager
async def line(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Line]:
    directory, board, driver = tmp_path / "journal", StationBoard(), ScriptedDriver("scan-10")
    create(directory, clock)
    telemetry = TelemetryBuffer(directory, max_bytes=1_000_000)
    try:
        async with running(directory, clock) as journal, asyncio.TaskGroup() as group:
            fleet = Fleet(
                group,
                build=cast(Any, lambda _options: driver),
                journal=journal,
                telemetry=telemetry,
                clock=clock,
                health=cast(Any, Health()),
                standstills=Standstills(clock),
                screens=ScreenFeed(
                    board,
                    settled=lambda: journal.observe("screens", (), state={}, raw={}),
                    clock=clock,
                ),
            )
            options = StationOptions(
                id="st-10", devices=("scan-10",), unit=UnitOptions(scanner="scan-10", pattern=r"SN\d+")
            )
            await fleet.apply([DeviceOptions(id="scan-10", driver="scripted")], [options])
            yield Line(directory, board, driver, fleet)
            await fleet.stop()
    finally:
        telemetry.close()


async def test_a_scan_is_on_the_screen_as_soon_as_its_record_is_on_the_disk(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_module, "Station", PicturedStation)
    publish = StationBoard.publish
    records_when_shown: dict[str | None, list[str]] = {}

    def published(board: StationBoard, view: StationView) -> None:
        records_when_shown.setdefault(view.unit, [each["kind"] for each in members_of(it.directory)])
        publish(board, view)

    append = JournalFile.append

    def slowly(file: JournalFile, *args: Any) -> Any:
        shown_at_commit.append(it.shown)
        return append(file, *args)

    shown_at_commit: list[str | None] = []
    async with line(tmp_path, clock) as it:
        it.board.changes("st-10")
        assert it.board.view("st-10") is not None
        monkeypatch.setattr(StationBoard, "publish", published)
        monkeypatch.setattr(JournalFile, "append", slowly)
        await it.driver.says.put(code("SN0001"))
        await until(lambda: it.shown == "SN0001")
    assert "unit.entered" in records_when_shown["SN0001"]
    assert shown_at_commit[0] is None


async def test_a_station_that_the_settings_drop_has_no_screen(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_module, "Station", PicturedStation)
    async with line(tmp_path, clock) as it:
        await it.fleet.apply([], [])
        assert it.board.stations == ()
