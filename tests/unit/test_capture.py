"""Capture: durable first, confirmed then; what breaks is said once, and nothing read is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.clock import NS_PER_S
from linewitness.base.errors import DeviceRefused, DeviceUnavailable, JournalError
from linewitness.base.retry import Backoff
from linewitness.devices.base import Result, Signals, When
from linewitness.devices.options import ShareOptions
from linewitness.gateway import capture as capture_module
from linewitness.gateway.capture import Capture
from linewitness.gateway.intake.arrival import Standstills
from linewitness.journal.journal import Journal
from linewitness.journal.reader import Figures, JournalReader
from linewitness.journal.submission import Submission
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.stations.shared_state import SharedState
from linewitness.stations.station import Station
from linewitness.status.report import report
from support.clocks import ManualClock
from support.devices import Health, ScriptedDriver
from support.journals import create, members_of, running, verdict_of
from support.observations import START, code, reading, seen, tightening
from support.waiting import until


class Rig:
    """One capture on a real journal."""

    def __init__(
        self,
        directory: Path,
        clock: ManualClock,
        journal: Journal,
        telemetry: TelemetryBuffer,
        share: ShareOptions | None,
    ) -> None:
        self.directory = directory
        self.journal = journal
        self.telemetry = telemetry
        self.driver = ScriptedDriver()
        self.health = Health()
        station = Station(None, {}, shared=SharedState(), state={}, now=START)
        self.capture = Capture(
            self.driver,
            station,
            journal=journal,
            telemetry=telemetry,
            clock=clock,
            health=self.health,
            standstills=Standstills(clock),
            backoff=Backoff(first_s=0.01, cap_s=0.02),
            share=share,
        )

    task: asyncio.Task[None]

    def kinds(self) -> list[str]:
        return [record["kind"] for record in members_of(self.directory)][1:]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_module, "PARKED_S", 0.01)


@asynccontextmanager
async def rig(tmp_path: Path, clock: ManualClock, *, share: ShareOptions | None = None) -> AsyncIterator[Rig]:
    directory = tmp_path / "journal"
    if not directory.exists():
        create(directory, clock)
    telemetry = TelemetryBuffer(directory, max_bytes=1_000_000)
    try:
        async with running(directory, clock) as journal, asyncio.TaskGroup() as group:
            built = Rig(directory, clock, journal, telemetry, share)
            built.task = group.create_task(built.capture.run())
            tasks = [built.task, group.create_task(telemetry.run())]
            yield built
            for task in tasks:
                task.cancel()
    finally:
        telemetry.close()


async def test_a_result_is_confirmed_only_after_its_commit(tmp_path: Path, clock: ManualClock) -> None:
    async with rig(tmp_path, clock) as it:
        durable_at_confirm = []
        confirm = it.driver.confirmed.append

        class Recording(list[Any]):
            def append(self, observation: Result) -> None:
                durable_at_confirm.append(it.kinds())
                confirm(observation)

        it.driver.confirmed = Recording()
        await it.driver.says.put(tightening(1))
        await until(lambda: durable_at_confirm)
    assert "tightening.result" in durable_at_confirm[0]
    assert verdict_of(it.directory).status == "INTACT"


async def test_nothing_is_confirmed_when_the_journal_fails(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BaseExceptionGroup) as caught:  # noqa: PT012 (the whole rig ends)
        async with rig(tmp_path, clock) as it:
            await until(lambda: it.health.states == ["up"])
            await until(lambda: it.journal.waiting == 0)
            monkeypatch.setattr(it.journal._file, "append", _broken_disk)
            await it.driver.says.put(tightening(1))
            await asyncio.sleep(3600)
    assert caught.group_contains(JournalError)
    assert it.driver.confirmed == []


def _broken_disk(batch: list[Submission]) -> None:
    raise JournalError("the disk is gone")


async def test_a_duplicate_makes_no_record_and_is_confirmed_all_the_same(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with rig(tmp_path, clock) as it:
        await it.driver.says.put(seen(confirmable=True))
        await until(lambda: it.driver.confirmed)
    assert it.kinds() == ["device.back"]


async def test_lost_and_back_are_said_once_each_however_often_it_is_tried(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with rig(tmp_path, clock) as it:
        await until(lambda: "up" in it.health.states)
        it.driver.refusals = [DeviceUnavailable("no route") for _ in range(3)]
        await it.driver.says.put(DeviceUnavailable("the cable was pulled"))
        await until(lambda: it.health.states.count("up") == 2)
        await until(lambda: len(it.kinds()) == 3)
    assert it.kinds() == ["device.back", "device.lost", "device.back"]
    assert it.driver.connections == 5


async def test_after_a_start_it_is_on_record_again_which_device_is_lost(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with rig(tmp_path, clock) as it:
        it.driver.refusals = [DeviceUnavailable("no route") for _ in range(10_000)]
        await until(lambda: "device.lost" in it.kinds())
    async with rig(tmp_path, clock) as it:
        it.driver.refusals = [DeviceUnavailable("no route") for _ in range(5)]
        await until(lambda: "device.back" in it.kinds())
    assert it.kinds() == ["device.lost", "device.lost", "device.back"]


async def test_a_device_that_refuses_is_parked_with_its_reason_and_tried_again(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with rig(tmp_path, clock) as it:
        it.driver.refusals = [DeviceRefused("certificate unknown", hint="trust it")]
        await it.driver.says.put(reading("1"))
        await until(lambda: "parameter.changed" in it.kinds())
    lost = next(record for record in members_of(it.directory) if record["kind"] == "device.lost")
    assert lost["reason"] == "certificate unknown (trust it)"
    assert it.health.states == ["refused", "up"]


async def test_what_was_read_before_the_break_is_durable(tmp_path: Path, clock: ManualClock) -> None:
    async with rig(tmp_path, clock) as it:
        for number in range(500):
            await it.driver.says.put(reading(str(number)))
        await it.driver.says.put(DeviceUnavailable("gone"))
        await until(lambda: "lost" in it.health.states)
    assert it.kinds().count("parameter.changed") == 500


async def test_a_break_between_commit_and_confirmation_ends_the_session(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with rig(tmp_path, clock) as it:
        it.driver.confirm_fails = True
        await it.driver.says.put(tightening(1))
        await it.driver.says.put(DeviceUnavailable("gone too"))
        await until(lambda: "lost" in it.health.states)
        assert "tightening.result" in it.kinds()
    lost = next(record for record in members_of(it.directory) if record["kind"] == "device.lost")
    assert lost["reason"] == "the link broke"


async def test_the_next_connection_is_given_what_was_remembered(tmp_path: Path, clock: ManualClock) -> None:
    async with rig(tmp_path, clock) as it:
        await it.driver.says.put(tightening(1, remember={"watermark": "1"}))
        await it.driver.says.put(DeviceUnavailable("gone"))
        await until(lambda: it.driver.connections == 2)
    assert it.driver.remembered == {"watermark": "1"}


@pytest.mark.heavy
async def test_a_device_that_never_pauses_leaves_all_others_their_turn(
    tmp_path: Path, clock: ManualClock
) -> None:
    clock.tick_ns = 0
    most = 0

    async def neighbour(left: asyncio.Queue[Any]) -> None:
        nonlocal most
        before = left.qsize()
        while before:
            await asyncio.sleep(0)
            most, before = max(most, before - left.qsize()), left.qsize()

    async with rig(tmp_path, clock, share=ShareOptions(records_per_s=1, burst_s=1)) as it:
        await until(lambda: it.health.states == ["up"])
        for number in range(20_000):
            it.driver.says.put_nowait(code(f"SN{number}", device="wrench-10"))
        await neighbour(it.driver.says)
    assert most <= 64


async def test_what_is_above_the_share_is_said_once_and_counted_when_the_session_ends(
    tmp_path: Path, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    clock.tick_ns = 0
    async with rig(tmp_path, clock, share=ShareOptions(records_per_s=1, burst_s=5)) as it:
        for number in range(500):
            await it.driver.says.put(code(f"SN{number}", device="wrench-10"))
        await it.driver.says.put(DeviceUnavailable("gone"))
        await until(lambda: "lost" in it.health.states)
    with JournalReader(it.directory) as reader:
        (device,) = report(reader, None).devices
    assert "; sends more than its share since 2026-03-01T08:00:" in device.why
    kinds = it.kinds()
    # It may be connected to again already.
    assert kinds[: kinds.index("device.lost") + 1] == [
        "device.back",
        *["identifier.scanned"] * 5,
        "source.gap",
        "source.gap",
        "device.lost",
    ]
    assert it.health.counts == 5
    assert it.health.shares[-1] == (True, True, 495)
    assert capsys.readouterr().out.count("device sends more than its share") == 1


async def test_the_last_fifth_of_the_room_is_not_for_a_device_above_its_share(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.tick_ns = 0
    used = int(0.85 * 8 * 1024**3)
    monkeypatch.setattr(JournalReader, "figures", lambda _: Figures(10, 0, 5, used, used))
    async with rig(tmp_path, clock, share=ShareOptions(records_per_s=10, burst_s=1)) as it:
        for number in range(20):
            await it.driver.says.put(code(f"SN{number}", device="wrench-10"))
        await until(lambda: it.health.shares and it.health.shares[-1] == (True, True, 10))
        clock.advance_ns(5 * NS_PER_S)
        await it.driver.says.put(code("SN20", device="wrench-10"))
        await until(lambda: it.health.shares[-1] == (True, True, 11))
        clock.advance_ns(61 * NS_PER_S)
        await it.driver.says.put(code("SN21", device="wrench-10"))
        await until(lambda: it.health.shares[-1] == (False, False, 11))
    assert it.kinds().count("identifier.scanned") == 11


async def test_a_gateway_that_stops_does_not_wait_for_the_share_of_a_device_that_keeps_its_data(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with rig(tmp_path, clock, share=ShareOptions(records_per_s=0.001, burst_s=1)) as it:
        for number in range(3):
            await it.driver.says.put(tightening(number))
        await until(lambda: len(it.driver.confirmed) == 2)
        assert it.health.shares[-1] == (True, False, 0)
        assert it.capture.stop()
        await until(it.task.done)
    assert it.kinds().count("tightening.result") == 2  # the device keeps the third


async def test_telemetry_goes_to_its_buffer_and_not_into_the_chain(
    tmp_path: Path, clock: ManualClock
) -> None:
    stamp = clock.stamp()
    signals = Signals(
        device="wrench-10",
        session_id="s",
        received=stamp,
        when=When(occurred_ns=stamp.realtime_ns, occurred_from="poll"),
        points=("a", "b"),
        values=(1.5, None),
        statuses={1: "BadSensorFailure"},
    )
    async with rig(tmp_path, clock) as it:
        await it.driver.says.put(signals)
        [block] = await it.telemetry.next(10_000)
    assert b'"values":[1.5,null]' in block.payload
    assert b"BadSensorFailure" in block.payload
    assert it.kinds() == ["device.back"]


async def test_points_are_not_known_while_the_share_holds_back_what_they_say(
    tmp_path: Path, clock: ManualClock
) -> None:
    share = ShareOptions(records_per_s=1, burst_s=1)
    async with rig(tmp_path, clock, share=share) as it:
        await until(lambda: it.capture.known_until(clock.stamp()))
        now = clock.stamp()
        assert it.capture.known_until(now) == now
        for value in range(5):
            await it.driver.says.put(reading(str(value)))
        await until(lambda: it.capture.known_until(clock.stamp()) is None)
        clock.advance_ns(30 * NS_PER_S)
        await it.driver.says.put(reading("4"))
        await until(lambda: it.capture.known_until(clock.stamp()) is not None)
    assert [record["changes"][0]["after"] for record in members_of(it.directory)[1:]][-1] == "4"
