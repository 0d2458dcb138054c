"""The clocks of devices are followed through what their records say, and told when they are far off."""

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import async_solipsism
import pytest

from linewitness.evidence.format.record import Change, Event, Resource
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from linewitness.timesources.devices import LOOK_S, DeviceClocks, follow_devices, newest_offsets
from support.clocks import ManualClock
from support.journals import create, reopen, result_event


def records(folder: Path, *events: Event) -> list[bytes]:
    """Return the exact bytes of events in a journal."""
    clock = ManualClock()
    create(folder, clock)
    journal = reopen(folder, clock)
    journal.append([Submission(events=events)])
    journal.close()
    with JournalReader(folder) as reader:
        return [data for _, data in reader.records()]


def of(device: str, offset_ms: int | None, **other: Any) -> Event:
    event = result_event(1, ManualClock())
    found: Event = replace(
        event, context={**event.context, "device_id": device}, device_offset_ms=offset_ms, **other
    )
    return found


def test_the_newest_offset_of_each_device_is_read_off_its_records(tmp_path: Path) -> None:
    found = newest_offsets(
        records(tmp_path, of("a", 10), of("b", -7000), of("a", -20), of("c", None), of("b", None))
    )
    assert found == {"a": -20, "b": -7000}


def test_text_that_looks_like_an_offset_is_none(tmp_path: Path) -> None:
    lure = '"device_offset_ms":99,"context":{"device_id":"x"'
    event = of("a", None, changes=(Change(lure, None, lure),), resource=Resource("r", lure), reason=lure)
    assert newest_offsets(records(tmp_path, event)) == {}


def told(clocks: DeviceClocks, **offsets_ms: int) -> list[tuple[str, Any]]:
    events = clocks.take(offsets_ms, 0)
    return [(event.resource.id, event.changes[1].after) for event in events]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_clock_beyond_the_limit_is_told_once_and_again_when_it_is_well_within(sign: int) -> None:
    clocks = DeviceClocks(5000)
    assert told(clocks, a=sign * 5000, b=0) == []
    assert told(clocks, a=sign * 5001, b=0) == [("a", True)]
    assert told(clocks, a=sign * 9000) == []
    assert told(clocks, a=sign * 4500) == []
    assert told(clocks, a=sign * 4000) == [("a", False)]
    assert clocks.offsets_ms == {"a": sign * 4000, "b": 0}


def test_the_event_says_which_way_and_by_how_much() -> None:
    clocks = DeviceClocks(5000)
    clocks.take({"press-4": -100}, 0)
    (event,) = clocks.take({"press-4": -7250}, 42)
    assert (event.kind, event.occurred_ns, event.resource) == (
        "clock.status",
        42,
        Resource("device", "press-4"),
    )
    assert event.changes == (Change("offset_ms", -100, -7250), Change("warning", False, True))
    assert event.reason == "the device's clock is 7.250 s behind the gateway's, more than 5000 ms"


def test_each_minute_only_what_is_new_is_looked_through() -> None:
    asked: list[tuple[int, int]] = []
    submitted: list[str] = []
    size = 10

    async def offsets(first: int, last: int) -> dict[str, int]:
        asked.append((first, last))
        return {"a": 6000}

    async def submit(events: list[Event]) -> None:
        submitted.extend(event.kind for event in events)

    async def run() -> None:
        nonlocal size
        following = follow_devices(
            DeviceClocks(5000), clock=ManualClock(), size=lambda: size, offsets=offsets, submit=submit
        )
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(following)
            await asyncio.sleep(2.5 * LOOK_S)
            size = 14
            await asyncio.sleep(2 * LOOK_S)
            task.cancel()

    loop = async_solipsism.EventLoop()
    with contextlib.closing(loop):
        loop.run_until_complete(run())
    assert asked == [(10, 14)]
    assert submitted == ["clock.status"]
