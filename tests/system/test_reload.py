"""A running line takes over a changed YAML: nothing is lost, and only what changed is connected anew."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.clock import SharedClockState, SystemClock
from linewitness.demo.plant import Plant, Process, open_plant
from linewitness.evidence.verify.stream import verify
from linewitness.journal.file import JournalFile
from linewitness.journal.submission import Submission
from support.lines import prepare
from support.waiting import until

MIB = 1024**2


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[Plant]:
    async with open_plant(tmp_path / "plant") as plant:
        await plant.enroll(prepare)
        await plant.gateway.start()
        await until(lambda: kinds(plant).count("device.back") == 4)
        yield plant


def records(plant: Any) -> Any:
    with plant.journal() as journal:
        return [json.loads(data) for _, data in journal.records()]


def kinds(plant: Any) -> Any:
    return [record["kind"] for record in records(plant)]


def rewrite(plant: Any, before: Any, after: Any) -> None:
    text = plant.line_file.read_text(encoding="utf-8")
    assert before in text
    plant.line_file.write_text(text.replace(before, after), encoding="utf-8")


def fill(directory: Path, size: int) -> None:
    """Write raw bytes of so many into the journal of a gateway that does not run."""
    file = JournalFile.open(directory, clock=SystemClock(), clock_state=SharedClockState())
    file.append([Submission(raw={f"{number:064x}": bytes(100_000)}) for number in range(size // 100_000 + 1)])
    file.close()


async def test_a_changed_device_is_connected_anew_and_the_others_are_not(plant: Plant) -> None:
    rewrite(plant, "period_ms: 100", "period_ms: 200")
    command = Process("reload", plant.folder, "reload", str(plant.line_file))
    await command.start()
    assert await command.wait() == 0
    assert "applied: 4 devices" in command.log.read_text(encoding="utf-8")
    assert kinds(plant).count("config.applied") == 2, "the command ends when it is done"
    await until(lambda: kinds(plant).count("device.back") == 5)
    applied = [record for record in records(plant) if record["kind"] == "config.applied"][1]
    [change] = [change for change in applied["changes"] if change["field"] != "config"]
    assert change == {"field": "devices.oven-10.period_ms", "before": 100, "after": 200}
    again = [record["resource"]["id"] for record in records(plant) if record["kind"] == "device.back"][4:]
    assert again == ["oven-10"]
    await plant.devices.scanner.scan("SN0001")
    await until(lambda: {"unit.entered", "identifier.scanned"} & {*kinds(plant)})
    assert await plant.gateway.stop() == 0
    with plant.journal() as journal:
        assert verify(data for _, data in journal.records()).status == "INTACT"


async def test_a_full_journal_gets_more_room_without_a_restart(plant: Plant) -> None:
    assert await plant.gateway.stop() == 0
    fill(plant.folder / "journal", 17 * MIB)
    rewrite(plant, "directory: journal\n", "directory: journal\n  max_size: 64 MiB\n  prune: never\n")
    await plant.gateway.start()
    await until(lambda: plant.devices.torque.subscribed() > 0, "the tool")
    rewrite(plant, "max_size: 64 MiB", "max_size: 16 MiB")
    await plant.command("reload", "reload", str(plant.line_file))
    await until(lambda: "journal.pressure" in kinds(plant), "the journal to be full")
    waiting = plant.devices.torque.tighten()
    await asyncio.sleep(1.5)  # longer than the gateway waits between two looks
    assert waiting not in plant.devices.torque.acked
    rewrite(plant, "max_size: 16 MiB", "max_size: 64 MiB")
    await plant.command("reload", "reload", str(plant.line_file))
    await until(lambda: waiting in plant.devices.torque.acked, "the confirmation")
    applied = [record for record in records(plant) if record["kind"] == "config.applied"]
    [change] = [change for change in applied[-1]["changes"] if change["field"] != "config"]
    assert change == {"field": "journal.max_size", "before": 16 * MIB, "after": 64 * MIB}
    assert kinds(plant).count("gateway.started") == 2
    assert await plant.gateway.stop() == 0


async def test_a_wrong_yaml_is_refused_with_its_errors_and_the_old_one_goes_on(plant: Plant) -> None:
    rewrite(plant, "period_ms: 100", "period_ms: soon")
    command = Process("reload", plant.folder, "reload", str(plant.line_file))
    await command.start()
    assert await command.wait() == 2
    assert "devices.oven-10.period_ms" in command.log.read_text(encoding="utf-8")
    polled = plant.devices.oven.served
    await asyncio.sleep(0.5)
    assert plant.devices.oven.served > polled


async def test_what_needs_a_restart_is_refused_by_the_gateway(plant: Plant) -> None:
    rewrite(plant, "name: Demo line, axle carriers", "name: Another name")
    command = Process("reload", plant.folder, "reload", str(plant.line_file))
    await command.start()
    assert await command.wait() == 3
    assert "need a restart: line" in command.log.read_text(encoding="utf-8")
    assert "needs a restart" in plant.gateway.log.read_text(encoding="utf-8")
    assert [record["kind"] for record in records(plant)].count("config.applied") == 1


async def test_a_journal_that_was_moved_in_the_yaml_needs_a_restart(plant: Plant) -> None:
    rewrite(plant, "directory: journal", "directory: elsewhere")
    command = Process("reload", plant.folder, "reload", str(plant.line_file))
    await command.start()
    assert await command.wait() == 2
    said = command.log.read_text(encoding="utf-8")
    assert "no gateway runs on the journal of this YAML" in said
    assert "if it runs and journal.directory was changed, restart it" in said


async def test_reloading_a_line_that_does_not_run_says_so(plant: Plant) -> None:
    assert await plant.gateway.stop() == 0
    command = Process("reload", plant.folder, "reload", str(plant.line_file))
    await command.start()
    assert await command.wait() == 2
    assert "linewitness run" in command.log.read_text(encoding="utf-8")
