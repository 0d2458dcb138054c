"""What a running gateway leaves beside its journal for `linewitness status`."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from linewitness.devices.polling import PollFigures
from linewitness.status import running_file
from linewitness.status.running_file import FILE_NAME, RunningState, read_running, write_running
from support.clocks import ManualClock
from support.lines import call
from support.status_pages import looked_at
from support.waiting import until

UP = RunningState("up", "", "2026-03-01T08:00:00.000Z", ())
AWAY = RunningState("away", "connection refused", "2026-03-01T08:00:09.000Z", ())


class Gateway:
    """What the file is written from."""

    def __init__(self) -> None:
        self.state = UP

    async def look(self) -> RunningState:
        return self.state


@asynccontextmanager
async def writing(directory: Path) -> AsyncIterator[Gateway]:
    gateway = Gateway()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(write_running(directory, gateway.look))
        yield gateway
        task.cancel()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_file, "PERIOD_S", 0.01)


async def test_it_says_what_is_and_is_gone_afterwards(tmp_path: Path) -> None:
    async with writing(tmp_path) as gateway:
        await until(lambda: read_running(tmp_path) == UP)
        assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
        gateway.state = AWAY
        await until(lambda: read_running(tmp_path) == AWAY)
        written = (tmp_path / FILE_NAME).stat().st_ino
        await asyncio.sleep(0.1)
        assert (tmp_path / FILE_NAME).stat().st_ino == written, "nothing is written where nothing changed"
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240 (nothing else runs)


async def test_where_it_cannot_be_written_there_is_none_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with writing(tmp_path) as gateway:
        await until(lambda: read_running(tmp_path) == UP)
        with monkeypatch.context() as full:

            def no_room(*_: object) -> None:
                raise OSError(28, "No space left on device")

            full.setattr(running_file, "replace_private", no_room)
            gateway.state = AWAY
            await until(lambda: read_running(tmp_path) is None)
        await until(lambda: read_running(tmp_path) == AWAY)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"uplink": "up"}', b"\xff"])
def test_what_cannot_be_read_says_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert read_running(tmp_path) is None


async def test_status_shows_uplink_and_problems_of_a_running_line_only(
    tmp_path: Path, clock: ManualClock
) -> None:
    directory = tmp_path / "journal"
    async with looked_at(directory, clock) as line:
        line.health.uplink("refused", "bad user name or password")
        line.health.untold("wrench-10", "no program of wrench-10 fits the unit SN1")
        line.health.refused_points("press-4", {"force": "ns=2;s=Force: BadNodeIdUnknown"})
        state = await line.overview.running_state()
        assert state.uplink == "refused"
        assert await line.overview.running_state() == state, "the same moment, however late it is asked"
        assert {each.code for each in state.problems} >= {"uplink-refused", "points-refused", "unit-not-told"}
        async with writing(directory) as gateway:
            gateway.state = state
            await until(lambda: read_running(directory) == state)
            said = (await asyncio.to_thread(call, "status", directory)).output
            assert f"uplink     refused since {state.uplink_since}: bad user name or password" in said
            assert (
                "ALARM      press-4 refuses a point or feature: force (ns=2;s=Force: BadNodeIdUnknown)"
                in said
            )
            assert "to do      operator action required: nothing is recorded" in said
            found: dict[str, Any] = json.loads(
                (await asyncio.to_thread(call, "status", directory, "--json")).output
            )
            assert found["now"]["uplink"] == "refused"
            left = (directory / FILE_NAME).read_bytes()
    (directory / FILE_NAME).write_bytes(left)  # a gateway that was killed leaves it behind
    said = call("status", directory).output
    assert "uplink " not in said
    assert "STOPPED" in said


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("hours_left", "shown"), [(5.25, "5 h left at this rate"), (None, "not limited by what comes now")]
)
async def test_page_metric_and_command_give_the_same_time_that_is_left(
    tmp_path: Path, clock: ManualClock, hours_left: float | None, shown: str
) -> None:
    directory = tmp_path / "journal"
    async with looked_at(directory, clock) as line, writing(directory) as gateway:
        pressure = line.journal.pressure
        await pressure.measure(line.journal.read)
        room = replace(pressure.room_left, hours_left=hours_left)
        pressure.room_left = room
        gateway.state = await line.overview.running_state()
        await until(lambda: read_running(directory) == gateway.state)
        said = (await asyncio.to_thread(call, "status", directory)).output
        found = json.loads((await asyncio.to_thread(call, "status", directory, "--json")).output)
        pressure.room_left = room
        page = (await line.get("/"))[2]
        pressure.room_left = room
        metrics = (await line.get("/metrics"))[2]
    assert shown in said
    assert found["hours_left"] == hours_left
    assert (shown if hours_left else "Room enough") in page
    assert (f"linewitness_journal_hours_left {hours_left}" in metrics) == (hours_left is not None)


async def test_status_counts_the_polls_of_each_device_that_were_not_made(
    tmp_path: Path, clock: ManualClock
) -> None:
    directory = tmp_path / "journal"
    up = {"state": "up", "why": "", "since_ns": clock.stamp().realtime_ns}
    async with looked_at(directory, clock) as line:
        states = {f"capture/{name}": json.dumps(up) for name in ("press-4", "wrench-10")}
        await line.journal.submit([], state=states)
        line.health.polls("press-4", PollFigures(1200, 50, 7))
        async with writing(directory) as gateway:
            gateway.state = await line.overview.running_state()
            await until(lambda: read_running(directory) == gateway.state)
            said = (await asyncio.to_thread(call, "status", directory)).output
            found = json.loads((await asyncio.to_thread(call, "status", directory, "--json")).output)
            written = (directory / FILE_NAME).stat().st_ino
            line.health.polls("press-4", PollFigures(1300, 50, 7))
            gateway.state = await line.overview.running_state()
            await asyncio.sleep(0.1)
            assert (directory / FILE_NAME).stat().st_ino == written, "counts alone are no news"
    [press] = [each for each in said.splitlines() if each.startswith("device     press-4")]
    assert press.endswith("50 of 1,200 polls not made  7 polls without telemetry")
    assert {each["name"]: each["polls"] for each in found["devices"]} == {
        "press-4": {"due": 1200, "missed": 50, "cut": 7},
        "wrench-10": None,
    }
