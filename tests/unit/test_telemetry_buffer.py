"""Signals have a bounded buffer: what does not fit is dropped, counted and put on record."""

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any, cast

import pytest

from linewitness.evidence.format.record import Event
from linewitness.journal.telemetry import buffer as module
from linewitness.journal.telemetry import losses
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.journal.telemetry.losses import report_losses
from support.clocks import ManualClock
from support.present import present
from support.waiting import until

pytestmark = pytest.mark.heavy


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


def payload(number: int, size: int = 10_000) -> bytes:
    return str(number).encode().ljust(size, b".")


async def fill(buffer: TelemetryBuffer, count: int, device: str = "press-4") -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(buffer.run())
        moved = buffer.moved
        for number in range(count):
            await buffer.put(device, 5, payload(number))
        await until(lambda: buffer.moved == moved + count)
        task.cancel()


async def test_the_oldest_blocks_give_way(directory: Path) -> None:
    buffer = TelemetryBuffer(directory, max_bytes=100_000)
    await fill(buffer, 30)
    blocks = await buffer.oldest(10**9)
    assert [block.payload[:2] for block in blocks] == [b"%d" % number for number in range(20, 30)]
    assert buffer.dropped == {"press-4": 100}
    buffer.close()


async def test_what_was_kept_is_there_after_a_restart(directory: Path) -> None:
    buffer = TelemetryBuffer(directory, max_bytes=100_000)
    await fill(buffer, 5)
    buffer.close()
    again = TelemetryBuffer(directory, max_bytes=100_000)
    assert len(await again.oldest(10**9)) == 5
    await again.remove((await again.oldest(10**9))[:2])
    assert len(await again.oldest(10**9)) == 3
    again.close()


async def test_a_restart_with_a_smaller_limit_drops_what_is_too_much(directory: Path) -> None:
    buffer = TelemetryBuffer(directory, max_bytes=100_000)
    await fill(buffer, 10)
    buffer.close()
    smaller = TelemetryBuffer(directory, max_bytes=50_000)
    await fill(smaller, 1)
    assert sum(len(block.payload) for block in await smaller.oldest(10**9)) == 50_000
    smaller.close()


async def test_it_makes_do_with_what_it_has_where_evidence_needs_the_disk(directory: Path) -> None:
    buffer = TelemetryBuffer(directory, max_bytes=1_000_000)
    await fill(buffer, 10)
    buffer.make_do(True)
    await fill(buffer, 10)
    assert len(await buffer.oldest(10**9)) == 10
    assert buffer.dropped == {"press-4": 50}
    buffer.make_do(False)
    await fill(buffer, 10)
    assert len(await buffer.oldest(10**9)) == 20
    buffer.close()


async def test_another_limit_holds_from_the_next_block_on(directory: Path) -> None:
    buffer = TelemetryBuffer(directory, max_bytes=100_000)
    await fill(buffer, 20)
    assert len(await buffer.oldest(10**9)) == 10
    buffer.take_over(200_000)
    await fill(buffer, 20)
    assert len(await buffer.oldest(10**9)) == 20
    buffer.make_do(True)
    buffer.take_over(300_000)
    await fill(buffer, 20)
    assert len(await buffer.oldest(10**9)) == 20
    buffer.make_do(False)
    await fill(buffer, 20)
    assert len(await buffer.oldest(10**9)) == 30
    buffer.close()


async def test_memory_is_bounded_while_the_disk_is_behind(directory: Path) -> None:
    buffer = TelemetryBuffer(directory, max_bytes=10**9)
    async with asyncio.TaskGroup() as group:

        async def pour() -> None:
            for number in range(10_000):
                await buffer.put("press-4", 1, payload(number, 100))

        task = group.create_task(pour())
        for _ in range(100):
            await asyncio.sleep(0)
        assert buffer.waiting == module.MAX_WAITING
        task.cancel()
    buffer.close()


async def test_signals_do_not_wait_where_nothing_waits(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent at once never lies on the disk."""
    monkeypatch.setattr(module, "FLUSH_S", 3600)
    buffer = TelemetryBuffer(directory, max_bytes=10**6)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(buffer.run())
        sending = group.create_task(buffer.next(25_000))
        await asyncio.sleep(0)
        await buffer.put("press-4", 5, payload(0))
        assert [block.payload for block in await sending] == [payload(0)]
        for number in range(1, 5):
            await buffer.put("press-4", 5, payload(number))
        assert [block.payload for block in await buffer.next(25_000)] == [payload(1), payload(2)]
        await buffer.remove(await buffer.next(1))
        running.cancel()
    assert buffer.waiting == 1
    assert present(buffer._file).bytes == 0
    buffer.close()


async def test_what_did_not_reach_the_broker_goes_to_the_disk_in_its_place(directory: Path) -> None:
    buffer = TelemetryBuffer(directory, max_bytes=10**6)
    for number in range(3):
        await buffer.put("press-4", 5, payload(number))
    async with asyncio.TaskGroup() as group:
        first = await buffer.next(15_000)
        running = group.create_task(buffer.run())
        await until(lambda: present(buffer._file).bytes == 30_000, "the broker does not answer in time")
        buffer.give_back(first)
        await buffer.put("press-4", 5, payload(3))
        again = await buffer.next(25_000)
        assert [block.payload for block in again] == [payload(0), payload(1)], "the disk's go first"
        buffer.give_back(again)
        running.cancel()
    buffer.close()
    later = TelemetryBuffer(directory, max_bytes=10**6)
    kept = await later.next(10**6)
    assert [block.payload for block in kept] == [payload(number) for number in range(4)]
    await later.remove(kept)
    assert present(later._file).bytes == 0
    later.close()


async def test_what_was_given_back_in_time_is_sent_before_what_came_later(directory: Path) -> None:
    buffer = TelemetryBuffer(directory, max_bytes=10**6)
    await buffer.put("press-4", 5, payload(0))
    first = await buffer.next(15_000)
    await buffer.put("press-4", 5, payload(1))
    buffer.give_back(first)
    assert [block.payload for block in await buffer.next(10**6)] == [payload(0), payload(1)]
    buffer.close()


async def test_an_acknowledgement_that_comes_late_is_one_all_the_same(directory: Path) -> None:
    """What was on its way for so long that it was written is not sent again."""
    buffer = TelemetryBuffer(directory, max_bytes=10**6)
    await buffer.put("press-4", 5, payload(0))
    async with asyncio.TaskGroup() as group:
        sent = await buffer.next(15_000)
        running = group.create_task(buffer.run())
        await buffer.put("press-4", 5, payload(1))
        await until(lambda: present(buffer._file).bytes == 20_000)
        await buffer.remove(sent)
        assert [block.payload for block in await buffer.next(10**6)] == [payload(1)]
        running.cancel()
    buffer.close()


async def test_only_what_is_old_goes_to_the_disk(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block that came later does not go with one that was old and was sent in time."""
    now_s = [0.0]
    monkeypatch.setattr(module, "monotonic", lambda: now_s[0])
    monkeypatch.setattr(module, "FLUSH_S", 0.01)
    buffer = TelemetryBuffer(directory, max_bytes=10**6)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(buffer.run())
        await buffer.put("press-4", 5, payload(0))
        sent = await buffer.next(10**6)
        now_s[0] = 0.005
        await buffer.put("press-4", 5, payload(1))
        await buffer.remove(sent)
        now_s[0] = 0.012
        await asyncio.sleep(0.1)  # several looks of `run`
        assert (buffer.waiting, present(buffer._file).bytes) == (1, 0)
        now_s[0] = 0.02
        await until(lambda: present(buffer._file).bytes == 10_000)
        running.cancel()
    buffer.close()


async def test_what_gave_way_while_it_was_sent_is_counted_once(directory: Path) -> None:
    buffer = TelemetryBuffer(directory, max_bytes=50_000)
    await fill(buffer, 5)
    sent = await buffer.next(10**6)
    await fill(buffer, 5)  # the ones on their way give way
    await buffer.remove(sent)
    assert present(buffer._file).bytes == 50_000
    kept = await buffer.next(10**6)
    assert len(kept) == 5
    await buffer.remove(kept)
    assert present(buffer._file).bytes == 0
    buffer.close()


async def test_a_stop_writes_also_what_was_about_to_be_written(directory: Path) -> None:
    buffer = TelemetryBuffer(directory, max_bytes=10**6)
    await buffer.put("press-4", 5, payload(0))
    busy, done = threading.Event(), threading.Event()

    def keep_the_thread_busy() -> None:
        busy.set()
        done.wait(30)

    buffer._thread.submit(keep_the_thread_busy)
    await asyncio.to_thread(busy.wait)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(buffer.run())
        await until(lambda: buffer._writing)
        running.cancel()
        await asyncio.sleep(0)
        done.set()
    buffer.close()
    again = TelemetryBuffer(directory, max_bytes=10**6)
    assert [block.payload for block in await again.oldest(10**6)] == [payload(0)]
    again.close()


async def test_who_waits_to_put_goes_on_when_signals_are_sent(directory: Path) -> None:
    buffer = TelemetryBuffer(directory, max_bytes=10**9)
    async with asyncio.TaskGroup() as group:

        async def pour() -> None:
            for number in range(3 * module.MAX_WAITING):
                await buffer.put("press-4", 1, payload(number, 10))

        pouring = group.create_task(pour())
        sent: list[bytes] = []
        while len(sent) < 3 * module.MAX_WAITING:
            sent += [block.payload for block in await buffer.next(500)]
        await pouring
    assert sent == [payload(number, 10) for number in range(3 * module.MAX_WAITING)]
    buffer.close()


async def test_a_disk_that_refuses_costs_signals_not_the_process(directory: Path) -> None:
    buffer = TelemetryBuffer(directory, max_bytes=10**6)
    await fill(buffer, 2)
    other = sqlite3.connect(directory / "telemetry.sqlite")
    other.execute("CREATE TRIGGER no BEFORE INSERT ON block BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END")
    other.close()
    await fill(buffer, 3)
    assert buffer.dropped == {"press-4": 15}
    assert len(await buffer.oldest(10**9)) == 2
    buffer.close()


async def test_losses_are_put_on_record_and_added_up(
    directory: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "FIRST_REPORT_S", 0.01)
    monkeypatch.setattr(losses, "REPORT_S", 0.05)
    events = []

    async def submitted(found: list[Event]) -> None:
        events.extend(found)

    def counts() -> dict[str, int]:
        return {
            device: sum(cast(int, e.changes[0].after) for e in events if e.resource.id == device)
            for device in ("oven-1", "press-4")
        }

    buffer = TelemetryBuffer(directory, max_bytes=100_000)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(report_losses(buffer, cast(Any, submitted), clock=clock))
        await fill(buffer, 10, "oven-1")
        await asyncio.sleep(0.05)
        assert events == []
        await fill(buffer, 10, "press-4")
        await until(lambda: counts() == {"oven-1": 50, "press-4": 0})
        await fill(buffer, 20, "press-4")
        await until(lambda: counts() == {"oven-1": 50, "press-4": 100})
        task.cancel()
    assert {event.kind for event in events} == {"source.gap"}
    assert {event.resource.type for event in events} == {"telemetry"}
    buffer.close()


def damage(directory: Path, *, first: int = 4096) -> None:
    """Overwrite what is in the main file, behind SQLite's back, and take the log of changes away."""
    file = directory / "telemetry.sqlite"
    with file.open("r+b") as stream:
        stream.seek(first)
        stream.write(b"\xa5" * (file.stat().st_size - first))


def moved_to_the_main_file(directory: Path) -> None:
    other = sqlite3.connect(directory / "telemetry.sqlite")
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()


async def test_damage_while_it_runs_costs_what_was_in_it_and_is_counted(directory: Path) -> None:
    buffer = TelemetryBuffer(directory, max_bytes=10**7)
    await fill(buffer, 300)
    moved_to_the_main_file(directory)
    damage(directory)
    assert await buffer.oldest(10**9) == []
    assert buffer.dropped == {"press-4": 1500}
    await fill(buffer, 3)
    blocks = await buffer.oldest(10**9)
    assert [block.payload[:2] for block in blocks] == [b"0.", b"1.", b"2."]
    await buffer.remove(blocks)
    assert await buffer.oldest(10**9) == []
    assert (directory / "telemetry.sqlite.damaged").exists()
    buffer.close()


async def test_what_a_damaged_file_gave_is_not_looked_for_in_the_new_one(directory: Path) -> None:
    buffer = TelemetryBuffer(directory, max_bytes=2 * 10**6)
    await fill(buffer, 200)
    sent = await buffer.oldest(1)
    moved_to_the_main_file(directory)
    damage(directory)
    await fill(buffer, 30)  # making room reads the damaged pages
    assert (directory / "telemetry.sqlite.damaged").exists()
    kept = dict(present(buffer._file).held)
    await buffer.remove(sent)
    assert present(buffer._file).held == kept
    assert len(await buffer.oldest(10**9)) == kept["press-4"] // 5
    buffer.close()


async def test_a_damaged_file_at_the_start_is_a_gap_without_a_number(
    directory: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "FIRST_REPORT_S", 0.01)
    (directory / "telemetry.sqlite").write_bytes(b"\xa5" * 8192)
    buffer, events = TelemetryBuffer(directory, max_bytes=10**6), []

    async def submitted(found: list[Event]) -> None:
        events.extend(found)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(report_losses(buffer, cast(Any, submitted), clock=clock))
        await until(lambda: events)
        task.cancel()
    assert [(event.kind, event.resource.id, event.changes) for event in events] == [
        ("source.gap", "buffer", ())
    ]
    await fill(buffer, 2)
    assert len(await buffer.oldest(10**9)) == 2
    buffer.close()
